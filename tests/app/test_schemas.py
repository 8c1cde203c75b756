"""S-046 over a whole runtime with the real sandbox: what a client, a parent and a worker hear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import orjson
import pytest

from podium.app.executions import Executions
from podium.app.start import StartRequest, StartWorkflow
from podium.app.tasks import PollRequest, TaskResult, WorkerTasks
from podium.conductor import request_pb2 as requests
from podium.conductor import workflow_service_pb2 as services
from podium.engine.transition import StartChild
from podium.model.definition import decode_task, decode_workflow
from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from podium.registry.failure import DefinitionUnsound
from tests.api.edge import Edge

if TYPE_CHECKING:
    from podium.app.view import ExecutionView
    from podium.model.definition import TaskDef, WorkflowDef

EVENT_MS = 10_000
POLL_MS = 5_000
ORDER = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string", "pattern": "^[a-z]+[0-9]+$"}},
    "additionalProperties": False,
}
STEP = {"name": "step", "taskReferenceName": "step"}


def schema(data: object) -> dict[str, object]:
    return {"name": "order", "version": 1, "type": "JSON", "data": data}


def flow(name: str, *tasks: object, **fields: object) -> WorkflowDef:
    document = {"name": name, "version": 1, "tasks": tasks or [STEP], **fields}
    return decode_workflow(orjson.dumps(document))


def task(name: str, **fields: object) -> TaskDef:
    return decode_task(orjson.dumps({"name": name, "retryCount": 0, **fields}))


def child(name: str, **given: object) -> dict[str, object]:
    return {
        "name": "sub", "taskReferenceName": "sub", "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": name, "version": 1}, "inputParameters": given,
    }  # fmt: skip


async def start(edge: Edge, name: str, **given: Any) -> str:
    request = StartRequest(name=name, input=Payload.of(given))
    return (await StartWorkflow(edge.services).start(request)).workflow_id


async def ended(edge: Edge, workflow_id: str) -> ExecutionView:
    await Executions(edge.services).wait(workflow_id, EVENT_MS)
    return await Executions(edge.services).get(workflow_id, tasks=True)


async def work(edge: Edge, **output: Any) -> None:
    tasks = WorkerTasks(edge.services)
    [view] = await tasks.poll(PollRequest("step", worker_id="w", timeout_ms=POLL_MS))
    result = TaskResult(
        workflow_id=view.header.id, task_id=view.record.id, status=TaskStatus.COMPLETED,
        output=Payload.of(output),
    )  # fmt: skip
    await tasks.update(result)


async def test_a_start_over_grpc_is_refused_with_the_places() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(flow("w", inputSchema=schema(ORDER)))
        request = requests.StartWorkflowRequest(name="w", version=1)
        request.input["id"].string_value = "7"
        request.input["more"].number_value = 1
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await edge.workflows.StartWorkflow(request)
        assert found.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        text = found.value.details() or ""
        assert text.startswith("input: expected one that fits its schema, found $")
        assert '$.id: the value does not match "^[a-z]+[0-9]+$"' in text
        assert "$: Additional properties are not allowed ('more' was unexpected)" in text
        del request.input["more"]
        request.input["id"].string_value = "a7"
        started = await edge.workflows.StartWorkflow(request)
        asked = services.GetWorkflowStatusRequest(workflow_id=started.workflow_id)
        assert (await edge.workflows.GetWorkflowStatus(asked)).workflow_id == started.workflow_id


async def test_a_childs_input_fails_the_task_that_starts_it() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(flow("child", inputSchema=schema(ORDER)))
        await edge.registry.register_workflow(flow("parent", child("child", more=1)))
        view = await ended(edge, await start(edge, "parent"))
        [sub] = view.tasks
        assert sub.record.status is TaskStatus.FAILED
        assert "$: Additional properties are not allowed" in (sub.record.reason or "")
        assert '$: "id" is a required property' in (sub.record.reason or "")


async def test_an_inline_child_is_judged_by_what_its_parent_gave() -> None:
    async with Edge() as edge:
        inner = {"name": "inner", "version": 1, "tasks": [STEP], "inputSchema": schema(ORDER)}
        params = {"name": "inner", "workflowDefinition": inner}
        outer = {**child("inner", id="a1"), "subWorkflowParam": params}
        await edge.registry.register_workflow(flow("parent", outer))
        workflow_id = await start(edge, "parent")
        await work(edge)
        assert (await ended(edge, workflow_id)).header.status == "COMPLETED"


async def test_a_child_that_runs_is_not_refused_when_its_start_is_carried_out_again() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(flow("child"))
        effect = StartChild(workflow_id="c1", name="child", version=1)
        starter = StartWorkflow(edge.services)
        await starter.start_child(effect, "p")
        strict = flow("child", inputSchema=schema(ORDER))
        await edge.registry.register_workflow(strict, overwrite=True)
        await starter.start_child(effect, "p")
        await work(edge)
        assert (await ended(edge, "c1")).header.status == "COMPLETED"


async def test_a_workers_output_and_a_workflows_are_judged() -> None:
    async with Edge() as edge:
        await edge.registry.register_tasks(
            [task("step", outputSchema=schema({"required": ["a"]}), enforceSchema=True)]
        )
        done = flow("w", outputSchema=schema({"properties": {"a": {"maximum": 3}}}))
        await edge.registry.register_workflow(done)
        for output, status, reason in (
            ({"b": 1}, "FAILED_WITH_TERMINAL_ERROR", '$: "a" is a required property'),
            ({"a": 5}, "COMPLETED", "$.a: the value is greater than the maximum of 3"),
            ({"a": 2}, "COMPLETED", ""),
        ):
            workflow_id = await start(edge, "w")
            await work(edge, **output)
            view = await ended(edge, workflow_id)
            [step] = view.tasks
            assert (step.record.status, step.record.output.value) == (status, output)
            assert reason in (view.header.reason or "")
            assert view.header.status == ("FAILED" if reason else "COMPLETED")


async def test_a_schema_that_takes_too_long_fails_its_own_execution() -> None:
    definitions: dict[str, Any] = {"d0": True}
    for level in range(1, 40):
        definitions[f"d{level}"] = {"allOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 2}
    slow = {"$defs": definitions, "$ref": "#/$defs/d39"}
    async with Edge() as edge:
        await edge.registry.register_workflow(flow("slow", outputSchema=schema(slow)))
        await edge.registry.register_workflow(flow("w", inputSchema=schema(ORDER)))
        slow_id = await start(edge, "slow")
        await work(edge)
        view = await ended(edge, slow_id)
        assert view.header.status == "FAILED"
        assert (view.header.reason or "").startswith("output: expected a program that ends within")
        workflow_id = await start(edge, "w", id="a1")
        await work(edge)
        assert (await ended(edge, workflow_id)).header.status == "COMPLETED"


BAD: Any = {"type": "objekt"}
FILE = {"$ref": "file:///etc/passwd"}


async def test_what_is_no_schema_is_refused_by_its_place() -> None:
    async with Edge() as edge:
        inline = {"name": "in", "version": 1, "tasks": [STEP], "outputSchema": schema(BAD)}
        bad = flow(
            "w",
            {**STEP, "taskDefinition": {
                "name": "step", "inputSchema": schema(BAD), "enforceSchema": True,
            }},
            {**child("in"), "subWorkflowParam": {"name": "in", "workflowDefinition": inline}},
            inputSchema=schema(FILE),
        )  # fmt: skip
        with pytest.raises(DefinitionUnsound) as found:
            await edge.registry.register_workflow(bad)
        told = {each.place: each.message for each in found.value.problems}
        assert list(told) == [
            "inputSchema.data",
            "tasks[0].taskDefinition.inputSchema.data",
            "tasks[1].subWorkflowParam.workflowDefinition.outputSchema.data",
        ]
        assert "cannot fetch file:///etc/passwd" in told["inputSchema.data"]
        words = "expected a JSON Schema, found at $.type: "
        assert told["tasks[0].taskDefinition.inputSchema.data"].startswith(words)

        broken = task("step", outputSchema=schema(BAD), enforceSchema=True)
        with pytest.raises(DefinitionUnsound) as found:
            await edge.registry.register_tasks([task("fine"), broken])
        assert [each.place for each in found.value.problems] == ["defs[1].outputSchema.data"]
        await edge.registry.register_tasks([task("step", outputSchema=schema(BAD))])
        with pytest.raises(DefinitionUnsound) as found:
            await edge.registry.update_task(broken)
        assert [each.place for each in found.value.problems] == ["outputSchema.data"]
