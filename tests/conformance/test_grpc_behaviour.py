"""What a live Conductor was seen to do over gRPC, and Podium's column of it: a test for each row.

The rows stand in contract/grpc-behaviour.md; ROWS names the test that shows Podium's answer. Some
were there before, the others follow here. All of them go over a real channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.store.sqlite import SqliteStore
from tests.api.calls import METADATA, WORKFLOWS, plain, refusal, simple, values
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.waiting import ended
from tests.conformance.facts import ROOT, defined_tests
from tests.store.subjects import unsynced

if TYPE_CHECKING:
    from pathlib import Path

    from podium.runtime.clock import SystemClock

HERE: Final = "tests/conformance/test_grpc_behaviour.py::"
GUARD: Final = "tests/api/test_guard.py::"
REFLECTION: Final = "tests/e2e/test_reflection.py::"
JAVA: Final = "tests/stubs/test_java_client.py::"
ROWS: Final = {
    "whole numbers in what is read": f"{HERE}test_whole_numbers_of_every_kind_of_task_are_read",
    "an empty Poll": f"{HERE}test_an_empty_poll_is_ok_without_a_task",
    "backoff_scale_factor 0": f"{HERE}test_a_scale_factor_of_0_is_1_and_a_negative_one_is_refused",
    "retry_count 0": f"{HERE}test_a_retry_count_of_0_leaves_the_definitions",
    "failure_workflow_version 0": f"{HERE}test_a_failure_workflow_without_a_version_is_the_latest",
    "rerun without a task": f"{HERE}test_a_rerun_without_a_task_begins_with_the_new_input",
    "what is missing": f"{HERE}test_what_is_missing_is_not_found",
    "terminating twice": f"{HERE}test_terminating_twice_is_fine",
    "GetQueueAllInfo": f"{HERE}test_all_queues_are_described_on_every_store",
    "empty isolation group": f"{HERE}test_an_empty_isolation_group_is_none",
    "inputTemplate": f"{HERE}test_an_input_template_fills_an_empty_input",
    "details of INTERNAL": f"{GUARD}test_no_word_of_a_fault_reaches_the_client",
    "reflection and health": f"{REFLECTION}test_the_services_are_listed_and_serving",
    "clients in the field": f"{JAVA}test_the_java_client_of_conductor_works_unchanged",
}


def test_each_row_names_a_test() -> None:
    wrong = {
        row: named
        for row, named in ROWS.items()
        if named.partition("::")[2] not in defined_tests(named.partition("::")[0])
    }
    assert not wrong
    assert all((ROOT / named.partition("::")[0]).is_file() for named in ROWS.values())


async def test_whole_numbers_of_every_kind_of_task_are_read() -> None:
    async with Edge() as edge:
        part = simple("part", type="SUB_WORKFLOW")
        part.sub_workflow_param.name = "child"
        values(part, "input_parameters", {"n": 7})
        loop = simple("loop", type="DO_WHILE", loop_condition="$.loop.iteration < 2")
        inner = loop.loop_over.add(name="inner", task_reference_name="inner", type="INLINE")
        values(inner, "input_parameters", {"evaluatorType": "javascript", "expression": "40 + 2"})
        event = simple("event", type="EVENT", sink="conductor")
        values(event, "input_parameters", {"big": 2**40})
        await registered(
            edge,
            definition.WorkflowDef(name="child", tasks=[simple("a")]),
            definition.WorkflowDef(name="one", tasks=[loop, event, part]),
        )
        workflow_id = await started(edge, n=1)
        await completed(edge, await polled(edge, "a"), m=3)
        read = await ended(edge, workflow_id)
        found = {each.task_type: each for each in read.tasks}
        assert plain(read.input) == {"n": 1}
        assert plain(found["INLINE"].output_data) == {"result": 42}
        assert plain(found["DO_WHILE"].output_data)["iteration"] == 2
        assert plain(found["EVENT"].output_data)["big"] == 2**40
        assert plain(found["SUB_WORKFLOW"].output_data)["m"] == 3


async def test_an_empty_poll_is_ok_without_a_task() -> None:
    async with Edge() as edge:
        answer = await edge.tasks.Poll(task.PollRequest(task_type="nobody"))
        assert not answer.HasField("task")


async def test_a_scale_factor_of_0_is_1_and_a_negative_one_is_refused() -> None:
    async with Edge() as edge:
        created = metadata.CreateTasksRequest(defs=[definition.TaskDef(name="t")])
        await edge.metadata.CreateTasks(created)
        read = await edge.metadata.GetTask(metadata.GetTaskRequest(task_type="t"))
        assert read.task.backoff_scale_factor == 1
        bad = definition.TaskDef(name="t", backoff_scale_factor=-1)
        asked = metadata.CreateTasksRequest(defs=[bad])
        code, text = await refusal(edge, f"{METADATA}CreateTasks", asked)
        assert (code, "found -1" in text) == ("INVALID_ARGUMENT", True)


async def failing(edge: Edge, got: execution.Task) -> None:
    result = execution.TaskResult(
        workflow_instance_id=got.workflow_instance_id,
        task_id=got.task_id,
        status=execution.TaskResult.FAILED,
    )
    await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))


async def test_a_retry_count_of_0_leaves_the_definitions() -> None:
    async with Edge() as edge:
        once = definition.TaskDef(name="a", retry_count=1)
        await edge.metadata.CreateTasks(metadata.CreateTasksRequest(defs=[once]))
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        workflow_id = await started(edge)
        await failing(edge, await polled(edge, "a"))
        await failing(edge, await polled(edge, "a"))
        read = await ended(edge, workflow_id)
        assert read.status == execution.Workflow.FAILED
        assert [each.retry_count for each in read.tasks] == [0, 1]


async def test_a_failure_workflow_without_a_version_is_the_latest() -> None:
    async with Edge() as edge:
        cleaners = [
            definition.WorkflowDef(name="clean", version=version, tasks=[simple("c")])
            for version in (1, 2)
        ]
        failing_def = definition.WorkflowDef(
            name="one", tasks=[simple("a")], failure_workflow="clean"
        )
        await registered(edge, *cleaners, failing_def)
        once = definition.TaskDef(name="a", retry_count=0)
        await edge.metadata.CreateTasks(metadata.CreateTasksRequest(defs=[once]))
        workflow_id = await started(edge)
        await failing(edge, await polled(edge, "a"))
        assert (await ended(edge, workflow_id)).status == execution.Workflow.FAILED
        cleaning = (await polled(edge, "c")).workflow_instance_id
        assert (await status_of(edge, cleaning)).workflow_definition.version == 2


async def test_a_rerun_without_a_task_begins_with_the_new_input() -> None:
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        workflow_id = await started(edge, n=1)
        await completed(edge, await polled(edge, "a"))
        again = request.RerunWorkflowRequest(re_run_from_workflow_id=workflow_id)
        values(again, "workflow_input", {"n": 2})
        await edge.workflows.RerunWorkflow(again)
        read = await status_of(edge, workflow_id)
        assert (read.status, plain(read.input)) == (execution.Workflow.RUNNING, {"n": 2})


async def test_what_is_missing_is_not_found() -> None:
    async with Edge() as edge:
        for path, asked in (
            (f"{METADATA}GetTask", metadata.GetTaskRequest(task_type="none")),
            (f"{METADATA}GetWorkflow", metadata.GetWorkflowRequest(name="none")),
            (f"{WORKFLOWS}GetWorkflowStatus", workflow.GetWorkflowStatusRequest(workflow_id="n")),
            (f"{WORKFLOWS}StartWorkflow", request.StartWorkflowRequest(name="none")),
        ):
            assert (await refusal(edge, path, asked))[0] == "NOT_FOUND"


async def test_terminating_twice_is_fine() -> None:
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        workflow_id = await started(edge)
        for reason in ("first", "second"):
            asked = workflow.TerminateWorkflowRequest(workflow_id=workflow_id, reason=reason)
            await edge.workflows.TerminateWorkflow(asked)
        read = await status_of(edge, workflow_id)
        assert (read.status, read.reason_for_incompletion) == (
            execution.Workflow.TERMINATED,
            "first",
        )


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_all_queues_are_described_on_every_store(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis: the conformance suite of stores asks for the same."""
    if store == "sqlite":

        def opened(clock: SystemClock) -> SqliteStore:
            return SqliteStore(tmp_path / "podium.db", clock.now_ms, sync=unsynced)

        monkeypatch.setattr("tests.api.edge.CountingStore", opened)
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        await started(edge)
        answer = await edge.tasks.GetQueueAllInfo(task.QueueAllInfoRequest())
        assert {name: each.shards["a"].size for name, each in answer.queues.items()} == {"a": 1}


async def test_an_empty_isolation_group_is_none() -> None:
    async with Edge() as edge:
        kind = definition.TaskDef(name="call", isolation_group_id="", execution_name_space="")
        await edge.metadata.CreateTasks(metadata.CreateTasksRequest(defs=[kind]))
        call = simple("call", type="HTTP")
        values(call, "input_parameters", {"uri": "http://127.0.0.1:9", "method": "GET"})
        await registered(edge, definition.WorkflowDef(name="one", tasks=[call]))
        await started(edge)
        answer = await edge.tasks.GetQueueInfo(task.QueueInfoRequest())
        assert dict(answer.queues) == {"HTTP": 1}


async def test_an_input_template_fills_an_empty_input() -> None:
    async with Edge() as edge:
        one = definition.WorkflowDef(name="one", tasks=[simple("a")])
        values(one, "input_template", {"a": 1})
        await registered(edge, one)
        read = await status_of(edge, await started(edge))
        assert plain(read.input) == {"a": 1}
