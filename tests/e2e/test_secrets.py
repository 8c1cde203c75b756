"""One secret through a whole server: who works with it gets it, and nothing else ever holds it.

The server is a process of its own on a sqlite file. Every way in which a task is handed out is
gone, and each way in which one fails; then the file, its log, what the server printed and what
clients read are searched for the secret's text.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from google.protobuf import json_format

from podium.conductor import (
    definition_pb2,
    execution_pb2,
    metadata_service_pb2,
    task_service_pb2,
)
from podium_worker import worker_task
from tests.cli.serving import serving
from tests.e2e.client import OWNER, Client
from tests.tasks.serving import serving as http_serving
from tests.worker.working import working

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.cli.serving import Serving

CANARY = "CANARY-5f1c9e0d-quite-secret"
TOKEN = "${workflow.secrets.TOKEN}"
READ = {"x": "${workflow.variables.token}", "r": "${workflow.env.REGION}"}
IN_JSON = "${workflow.secrets.LOGIN.json.password}"
PROGRAMS = {
    "script": ("INLINE", {"evaluatorType": "javascript", "expression": "$.t.length", "t": TOKEN}),
    "named": ("INLINE", {"evaluatorType": "javascript", "expression": f"'{TOKEN}'.length"}),
    "lambda": ("LAMBDA", {"scriptExpression": "return $.t.length", "t": TOKEN}),
    "jq": ("JSON_JQ_TRANSFORM", {"queryExpression": ".t | length", "t": TOKEN}),
    "value": ("INLINE", {"evaluatorType": "value-param", "expression": "t", "t": TOKEN}),
    "variable": ("SET_VARIABLE", {"token": TOKEN}),
    "event": ("EVENT", {"t": TOKEN}),
}
FAILING = {
    "thrown": ("INLINE", {"evaluatorType": "javascript", "expression": "throw new Error($.t)",
                          "t": TOKEN}),
    "parsed": ("JSON_JQ_TRANSFORM", {"queryExpression": ".t | tonumber", "t": TOKEN}),
    "unsent": ("HTTP", {"http_request": {"uri": f"http://127.0.0.1:1/{TOKEN}", "method": "GET"}}),
    "no_uri": ("HTTP", {"http_request": {"uri": f"{TOKEN}", "method": "GET"}}),
}  # fmt: skip


@contextlib.asynccontextmanager
async def secretive(path: Path, allow: str) -> AsyncIterator[Serving]:
    async with serving(
        "--store",
        f"sqlite:///{path}",
        PODIUM_HTTP_ALLOW=allow,
        CONDUCTOR_SECRET_TOKEN=CANARY,
        CONDUCTOR_SECRET_LOGIN=json.dumps({"password": CANARY}),
        CONDUCTOR_ENV_REGION="eu",
    ) as server:
        yield server


def task(
    ref: str, kind: str, parameters: Mapping[str, Any], **fields: Any
) -> definition_pb2.WorkflowTask:
    made = definition_pb2.WorkflowTask(name=ref, task_reference_name=ref, type=kind, **fields)
    for name, value in parameters.items():
        json_format.ParseDict(value, made.input_parameters[name])
    return made


async def register(client: Client, name: str, *tasks: definition_pb2.WorkflowTask) -> None:
    flow = definition_pb2.WorkflowDef(
        name=name, version=1, schema_version=2, owner_email=OWNER, tasks=tasks
    )
    flow.output_parameters["token"].string_value = TOKEN
    await client.metadata.CreateWorkflow(metadata_service_pb2.CreateWorkflowRequest(workflow=flow))


async def register_all(client: Client, port: int) -> None:
    """A workflow that hands the secret out in every way there is, and its child."""
    request = {
        "uri": f"http://127.0.0.1:{port}/", "method": "GET",
        "headers": {"authorization": f"Bearer {TOKEN}"},
    }  # fmt: skip
    child = definition_pb2.SubWorkflowParams(name="child", version=1)
    await register(client, "child", task("in", "SIMPLE", {"x": "${workflow.input.token}"}))
    await register(
        client,
        "main",
        task("polled", "SIMPLE", {"x": TOKEN, "y": "${workflow.input.y}"}),
        task("streamed", "SIMPLE", {"x": {"deep": [f"<{TOKEN}>", IN_JSON]}}),
        task("http", "HTTP", {"http_request": request}),
        *(
            task(ref, kind, given, sink="conductor" if kind == "EVENT" else "")
            for ref, (kind, given) in PROGRAMS.items()
        ),
        task("read", "SIMPLE", READ),
        task("sub", "SUB_WORKFLOW", {"token": TOKEN}, sub_workflow_param=child),
    )


async def input_of(client: Client, kind: str) -> dict[str, Any]:
    """What a poller of the old protocol is given; the task is completed."""
    calls = client.tasks.BatchPoll(
        task_service_pb2.BatchPollRequest(task_type=kind, worker_id="p", count=1, timeout=5000)
    )
    [got] = [each async for each in calls]
    await done(client, got)
    shown = await client.tasks.GetTask(task_service_pb2.GetTaskRequest(task_id=got.task_id))
    assert CANARY not in str(shown)
    return json_format.MessageToDict(got)["inputData"]


async def done(client: Client, got: execution_pb2.Task) -> None:
    result = execution_pb2.TaskResult(
        workflow_instance_id=got.workflow_instance_id,
        task_id=got.task_id,
        status=execution_pb2.TaskResult.COMPLETED,
    )
    await client.tasks.UpdateTask(task_service_pb2.UpdateTaskRequest(result=result))


def holders(folder: Path) -> list[str]:
    """The files in which the secret's text stands."""
    files = [each for each in folder.iterdir() if each.is_file()]
    assert any(each.stat().st_size for each in files)
    return [each.name for each in files if CANARY.encode() in each.read_bytes()]


@pytest.mark.timeout(90)
async def test_s_259_s_314_s_521_s_523_a_secret_reaches_who_works_with_it_and_no_store(
    tmp_path: Path,
) -> None:
    headers: list[str] = []
    streamed: list[dict[str, Any]] = []

    async def listen(request: web.Request) -> web.Response:
        headers.append(request.headers["authorization"])
        return web.json_response({})

    async with (
        http_serving(listen) as port,
        secretive(tmp_path / "p.db", f"127.0.0.1:{port}") as server,
        Client(server.target) as client,
    ):
        await register_all(client, port)

        @worker_task("streamed")
        def take(task_input: dict[str, Any]) -> dict[str, Any]:
            streamed.append(task_input)
            return {}

        # When it is handed out in every way there is
        started = await client.start("main", "x")
        async with working(server.target, take):
            assert await input_of(client, "polled") == {"x": CANARY, "y": None}
            assert await input_of(client, "read") == {"x": CANARY, "r": "eu"}
            assert await input_of(client, "in") == {"x": CANARY}
            assert await client.ended(started) == ("COMPLETED", {"token": TOKEN})
        # Then who works with it has it
        assert streamed == [{"x": {"deep": [f"<{CANARY}>", CANARY]}}]
        assert headers == [f"Bearer {CANARY}"]
        shown = await client.read(started)
        by_ref = {each.reference_task_name: each for each in shown.tasks}
        for ref in ("script", "named", "lambda", "jq"):
            output = json_format.MessageToDict(by_ref[ref])["outputData"]
            assert output["result"] == len(CANARY), ref
        assert json_format.MessageToDict(by_ref["value"])["outputData"] == {"result": TOKEN}
        # And nothing else
        assert CANARY not in str(shown)
        assert CANARY not in str(await client.read(by_ref["sub"].sub_workflow_id))
        _, complaints = await server.end()
    assert CANARY not in complaints
    assert holders(tmp_path) == []


@pytest.mark.timeout(90)
async def test_no_failure_tells_the_secret(tmp_path: Path) -> None:
    told: dict[str, str] = {}
    async with (
        secretive(tmp_path / "p.db", "127.0.0.1:1") as server,
        Client(server.target) as client,
    ):
        for ref, (kind, given) in FAILING.items():
            await register(client, ref, task(ref, kind, given, retry_count=0))
            started = await client.start(ref)
            status, _ = await client.ended(started)
            assert status == "FAILED", ref
            shown = await client.read(started)
            told[ref] = shown.tasks[0].reason_for_incompletion
            assert CANARY not in str(shown)
        _, complaints = await server.end()
    assert CANARY not in complaints
    assert holders(tmp_path) == []
    assert f"Error: {TOKEN}" in told["thrown"]
    assert all(told.values()), told
