"""Children and failure workflows as the relay starts them, over a whole runtime."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from podium.app.executions import Executions
from podium.app.start import StartRequest, StartWorkflow
from podium.app.tasks import TaskResult, WorkerTasks
from podium.engine.transition import StartChild
from podium.model.definition import SubWorkflowParams, TaskDef, WorkflowDef, WorkflowTask
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.model.payload import Payload
from podium.model.queue import Queue
from podium.runtime.relay import StartRefused
from tests.api.edge import Edge

EVENT_MS = 10_000
STEP = WorkflowTask(name="step", task_reference_name="step")


def sub(**params: object) -> WorkflowTask:
    return WorkflowTask(
        name="sub",
        task_reference_name="sub",
        type="SUB_WORKFLOW",
        sub_workflow_param=msgspec.convert(params, SubWorkflowParams),
    )


async def finish(edge: Edge, status: TaskStatus, **output: str) -> str:
    """Take the next task of `step` and report; answers its execution."""
    polled = await edge.runtime.polls.poll(Queue("step"), "w", 1, EVENT_MS)
    [(record, header)] = polled
    await WorkerTasks(edge.services).update(
        TaskResult(
            workflow_id=header.id,
            task_id=record.id,
            status=status,
            output=Payload.of(output),
            reason="planned",
        )
    )
    return header.id


@pytest.mark.parametrize("inline", [False, True])
async def test_a_child_runs_and_its_output_is_the_tasks(*, inline: bool) -> None:
    async with Edge() as edge:
        child = WorkflowDef(name="child", version=3, tasks=[STEP])
        await edge.registry.register_workflow(child)
        params = {"name": "child"}
        if inline:
            params = {"name": "inner", "workflowDefinition": {"name": "inner", "tasks": [TASK]}}
        await edge.registry.register_workflow(WorkflowDef(name="parent", tasks=[sub(**params)]))
        started = await StartWorkflow(edge.services).start(StartRequest(name="parent"))

        child_id = await finish(edge, TaskStatus.COMPLETED, answer="yes")
        view = await Executions(edge.services).wait(started.workflow_id, EVENT_MS)

        assert view.header.status is WorkflowStatus.COMPLETED
        assert view.output.value == {"subWorkflowId": child_id, "answer": "yes"}
        inner = await Executions(edge.services).get(child_id, tasks=True)
        assert inner.header.parent is not None
        assert inner.header.parent.workflow_id == started.workflow_id
        assert inner.header.name == ("inner" if inline else "child")
        assert inner.header.version == (1 if inline else 3)


TASK = {"name": "step", "taskReferenceName": "step", "type": "SIMPLE", "sink": None}


async def test_a_child_that_cannot_be_read_fails_its_task_with_the_reason() -> None:
    async with Edge() as edge:
        definition = WorkflowDef(
            name="parent", tasks=[sub(name="x", workflowDefinition="${workflow.input.def}")]
        )
        await edge.registry.register_workflow(definition)
        given = Payload.of({"def": {"name": "bad", "tasks": [{"type": "SIMPLE"}]}})
        started = await StartWorkflow(edge.services).start(StartRequest(name="parent", input=given))
        view = await Executions(edge.services).wait(started.workflow_id, EVENT_MS)
        assert view.header.status is WorkflowStatus.FAILED
        assert "tasks[0].name: expected" in str(view.header.reason)


async def test_s_068_s_809_an_inline_definition_without_tasks_completes() -> None:
    async with Edge() as edge:
        nothing = WorkflowDef(name="nothing")
        started = await StartWorkflow(edge.services).start(StartRequest(definition=nothing))
        view = await Executions(edge.services).get(started.workflow_id, tasks=True)
        assert (view.header.status, view.tasks) == (WorkflowStatus.COMPLETED, ())
        assert view.header.reason == "No tasks found to be executed"


async def test_a_failure_workflow_gets_the_failed_execution() -> None:
    async with Edge() as edge:
        await edge.registry.register_tasks([TaskDef(name="step", retry_count=0)])
        await edge.registry.register_workflow(WorkflowDef(name="cleaner", tasks=[STEP]))
        await edge.registry.register_workflow(
            WorkflowDef(name="fails", tasks=[STEP], failure_workflow="cleaner")
        )
        started = await StartWorkflow(edge.services).start(
            StartRequest(name="fails", input=Payload.of({"order": 5}))
        )
        await finish(edge, TaskStatus.FAILED)
        await Executions(edge.services).wait(started.workflow_id, EVENT_MS)
        cleaner = await finish(edge, TaskStatus.COMPLETED)

        told = await Executions(edge.services).get(started.workflow_id, tasks=False)
        assert told.output.value == {"conductor.failure_workflow": cleaner}
        view = await Executions(edge.services).get(cleaner, tasks=False)
        given: Any = view.input.value
        assert given["order"] == 5
        assert given["failureStatus"] == "FAILED"
        failed = given["failedWorkflow"]
        assert failed["workflowId"] == started.workflow_id
        assert [task["reasonForIncompletion"] for task in failed["tasks"]] == ["planned"]


async def test_a_start_is_refused_for_good_where_no_definition_is_there() -> None:
    async with Edge() as edge:
        effect = StartChild(workflow_id="w", name="absent", version=2)
        with pytest.raises(StartRefused, match="found none with name absent and version 2"):
            await StartWorkflow(edge.services).start_child(effect, "p")
        effect = StartChild(workflow_id="w", name="x", version=1, definition=b'{"tasks": 5}')
        with pytest.raises(StartRefused, match="expected a workflow definition, found"):
            await StartWorkflow(edge.services).start_child(effect, "p")


async def test_a_child_that_was_started_before_is_fine() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(WorkflowDef(name="child", tasks=[STEP]))
        child = "22222222-2222-4222-8222-222222222222"
        effect = StartChild(workflow_id=child, name="child", version=None)
        for _ in range(2):
            await StartWorkflow(edge.services).start_child(effect, "p")
        view = await Executions(edge.services).get(child, tasks=True)
        assert len(view.tasks) == 1


async def test_an_independent_workflow_is_started_and_its_id_is_the_tasks_output() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(WorkflowDef(name="other", tasks=[STEP]))
        await edge.registry.register_workflow(starter("other"))
        started = await StartWorkflow(edge.services).start(StartRequest(name="starter"))

        view = await Executions(edge.services).wait(started.workflow_id, EVENT_MS)
        other_id = await finish(edge, TaskStatus.COMPLETED)

        assert view.header.status is WorkflowStatus.COMPLETED
        assert view.output.value == {"workflowId": other_id}
        other = await Executions(edge.services).wait(other_id, EVENT_MS)
        assert other.header.parent is None
        assert other.header.status is WorkflowStatus.COMPLETED


async def test_a_start_of_what_is_not_registered_fails_its_task_with_the_reason() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(starter("gone"))
        started = await StartWorkflow(edge.services).start(StartRequest(name="starter"))
        await Executions(edge.services).wait(started.workflow_id, EVENT_MS)
        view = await Executions(edge.services).get(started.workflow_id, tasks=True)
        assert view.header.status is WorkflowStatus.FAILED
        [task] = view.tasks
        assert task.record.status is TaskStatus.FAILED
        assert "found none with name gone" in (task.record.reason or "")


def starter(name: str) -> WorkflowDef:
    task = WorkflowTask(
        name="s",
        task_reference_name="s",
        type="START_WORKFLOW",
        input_parameters={"startWorkflow": {"name": name}},
    )
    return WorkflowDef(name="starter", tasks=[task])
