"""Every example of docs/security.md, run: on another port, and with the files in another folder."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from podium.cli.main import main
from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2, task_service_pb2
from podium.conductor.metadata_service_pb2_grpc import MetadataServiceStub
from podium.conductor.task_service_pb2_grpc import TaskServiceStub
from podium.conductor.workflow_service_pb2_grpc import WorkflowServiceStub
from podium.v1 import workflow_pb2, workflow_pb2_grpc
from tests.api.credentials import Certified, Issuer, Keys, bearer
from tests.cli.serving import serving

pytestmark = pytest.mark.timeout(90)

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "security.md"
FOLDER: Final = "/etc/podium"
SERVER: Final = "podium.example:8090"
END_S: Final = 40
POLL: Final = task_service_pb2.PollRequest(task_type="t")


Folder = tuple[Path, Certified, Keys]


def examples(kind: str) -> list[str]:
    """The blocks of one kind, in order."""
    return re.findall(rf"```{kind}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    certified, keys = Certified(tmp_path), Keys()
    (tmp_path / "ca.pem").write_bytes(certified.ca.cert_pem.bytes())
    (tmp_path / "keys").write_text("\n".join(keys.lines()))
    (tmp_path / "worker.key").write_text(f"{keys.shown['worker']}\n")
    return tmp_path, certified, keys


def config_of(folder: Path, example: str) -> str:
    """The example as a file that can be used here."""
    path = folder / "podium.toml"
    path.write_text(example.replace(FOLDER, str(folder)))
    return str(path)


def local(server: Any) -> str:
    return server.target.replace("0.0.0.0", "localhost")


async def code_of(channel: grpc.aio.Channel, shown: Any) -> str:
    """Of a poll: OK for workers and administrators."""
    call = TaskServiceStub(channel).Poll(POLL, metadata=shown)
    return (await call.code()).name


def test_there_are_the_examples_that_are_run_here() -> None:
    counts = {kind: len(examples(kind)) for kind in ("toml", "python", "sh")}
    assert counts == {"toml": 3, "python": 2, "sh": 1}


async def test_tls_with_keys(folder: Folder) -> None:
    path, certified, keys = folder
    config = config_of(path, examples("toml")[0])
    async with (
        serving(config, "--store", "memory://", "--http", "", "--grpc", "0.0.0.0:0") as server,
        certified.channel(local(server)) as channel,
    ):
        assert await code_of(channel, bearer(keys.shown["worker"])) == "OK"
        assert await code_of(channel, bearer(keys.shown["reader"])) == "PERMISSION_DENIED"
        assert await code_of(channel, ()) == "UNAUTHENTICATED"


async def test_client_certificates(folder: Folder) -> None:
    path, certified, _ = folder
    config = config_of(path, examples("toml")[1])
    shown = {
        "worker.example": ("some", "OK"),
        "x.example": ("billing", "PERMISSION_DENIED"),
        "y.example": ("nobody", "PERMISSION_DENIED"),
    }
    async with serving(
        config, "--store", "memory://", "--http", "", "--grpc", "0.0.0.0:0"
    ) as server:
        for host, (name, expected) in shown.items():
            client = certified.ca.issue_cert(host, common_name=name)
            async with certified.channel(local(server), client) as channel:
                assert await code_of(channel, ()) == expected
        async with certified.channel(local(server)) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Check(health_pb2.HealthCheckRequest())


async def test_tokens(folder: Folder) -> None:
    path, certified, _ = folder
    issuer = Issuer(path)
    config = config_of(path, examples("toml")[2])
    async with (
        serving(config, "--store", "memory://", "--http", "", "--grpc", "0.0.0.0:0") as server,
        certified.channel(local(server)) as channel,
    ):
        assert await code_of(channel, bearer(issuer.token(roles=["worker"]))) == "OK"
        assert await code_of(channel, bearer(issuer.token(aud="x"))) == "UNAUTHENTICATED"


def test_making_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    [command] = examples("sh")
    program, *arguments = command.split()
    assert program == "podium"
    assert main(arguments) == 0
    key, line = capsys.readouterr().out.splitlines()
    assert line.split()[:2] == ["ci-bot", "writer"]
    assert key


async def run_example(example: str, path: Path, address: str, **environment: str) -> Any:
    """The example as a program of its own."""
    code = example.replace(FOLDER, str(path)).replace(SERVER, address)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_client_with_a_key(folder: Folder) -> None:
    path, _, keys = folder
    config = config_of(path, examples("toml")[0])
    async with serving(
        config, "--store", "memory://", "--http", "", "--grpc", "0.0.0.0:0"
    ) as server:
        for role, expected in (("writer", "INVALID_ARGUMENT"), ("reader", "PERMISSION_DENIED")):
            process = await run_example(
                examples("python")[0], path, local(server), API_KEY=keys.shown[role]
            )
            async with asyncio.timeout(END_S):
                _, complaints = await process.communicate()
            # The example's request is empty: the writer's reached the service, which says so.
            assert expected in complaints.decode()


async def test_a_worker_with_a_key(folder: Folder) -> None:
    path, certified, keys = folder
    config = config_of(path, examples("toml")[0])
    shown = bearer(keys.shown["writer"])
    task = definition.WorkflowTask(name="greet", task_reference_name="greet")
    task.input_parameters["name"].string_value = "${workflow.input.name}"
    defs = [definition.WorkflowDef(name="w", tasks=[task], schema_version=2)]
    async with (
        serving(config, "--store", "memory://", "--http", "", "--grpc", "0.0.0.0:0") as server,
        certified.channel(local(server)) as channel,
    ):
        registry, workflows = MetadataServiceStub(channel), WorkflowServiceStub(channel)
        await registry.UpdateWorkflows(metadata.UpdateWorkflowsRequest(defs=defs), metadata=shown)
        asked = request_pb2.StartWorkflowRequest(name="w")
        asked.input["name"].string_value = "Ada"
        started = await workflows.StartWorkflow(asked, metadata=shown)
        process = await run_example(examples("python")[1], path, local(server))
        try:
            waiting = workflow_pb2.WaitRequest(
                workflow_id=started.workflow_id, timeout_ms=END_S * 1_000
            )
            answer = await workflow_pb2_grpc.WorkflowServiceStub(channel).Wait(
                waiting, metadata=shown
            )
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            _, complaints = await process.communicate()
        assert answer.status == "COMPLETED", (answer, complaints.decode())
