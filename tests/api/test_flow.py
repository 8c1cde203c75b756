"""From registration to the finished execution, over a real channel."""

from __future__ import annotations

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as podium
from tests.api.calls import plain, values
from tests.api.edge import Edge


def one_task(name: str = "one") -> definition.WorkflowDef:
    step = definition.WorkflowTask(name="step", task_reference_name="step_ref")
    values(step, "input_parameters", {"n": "${workflow.input.n}", "text": "n=${workflow.input.n}"})
    return definition.WorkflowDef(name=name, tasks=[step])


async def registered(edge: Edge, *definitions: definition.WorkflowDef) -> None:
    for each in definitions:
        await edge.metadata.CreateWorkflow(metadata.CreateWorkflowRequest(workflow=each))


async def started(edge: Edge, name: str = "one", **content) -> str:
    asked = request.StartWorkflowRequest(name=name)
    values(asked, "input", content)
    return (await edge.workflows.StartWorkflow(asked)).workflow_id


async def polled(edge: Edge, task_type: str = "step") -> execution.Task:
    calls = edge.tasks.BatchPoll(
        task.BatchPollRequest(task_type=task_type, worker_id="w", count=1, timeout=5000)
    )
    [got] = [each async for each in calls]
    return got


async def completed(edge: Edge, got: execution.Task, **output) -> None:
    result = execution.TaskResult(
        workflow_instance_id=got.workflow_instance_id,
        task_id=got.task_id,
        worker_id="w",
        status=execution.TaskResult.COMPLETED,
    )
    values(result, "output_data", output)
    answer = await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))
    assert answer.task_id == got.task_id


async def status_of(edge: Edge, workflow_id: str) -> execution.Workflow:
    return await edge.workflows.GetWorkflowStatus(
        workflow.GetWorkflowStatusRequest(workflow_id=workflow_id, include_tasks=True)
    )


async def test_a_workflow_is_registered_started_polled_completed_and_read() -> None:
    async with Edge() as edge:
        await edge.metadata.CreateTasks(
            metadata.CreateTasksRequest(
                defs=[definition.TaskDef(name="step", retry_count=2, timeout_seconds=60)]
            )
        )
        await registered(edge, one_task())
        workflow_id = await started(edge, n=7)

        got = await polled(edge)
        assert plain(got.input_data) == {"n": 7, "text": "n=7"}
        assert got.status == execution.Task.IN_PROGRESS
        assert got.task_type == got.task_def_name == "step"
        assert got.reference_task_name == "step_ref"
        assert got.workflow_instance_id == workflow_id
        assert got.workflow_type == "one"
        assert got.poll_count == 1
        assert got.response_timeout_seconds == 60
        assert got.workflow_task.task_definition.retry_count == 2
        assert got.workflow_task.retry_count == -1

        await completed(edge, got, answer=[1, {"deep": None}], big=2**60)
        read = await status_of(edge, workflow_id)
        assert read.status == execution.Workflow.COMPLETED
        assert plain(read.input) == {"n": 7}
        assert plain(read.output) == {"answer": [1, {"deep": None}], "big": 2**60}
        assert [each.status for each in read.tasks] == [execution.Task.COMPLETED]
        assert read.workflow_definition.name == "one"
        assert read.end_time > 0


async def test_an_empty_poll_answers_without_a_task() -> None:
    async with Edge() as edge:
        answer = await edge.tasks.Poll(task.PollRequest(task_type="nothing", worker_id="w"))
        assert not answer.HasField("task")
        calls = edge.tasks.BatchPoll(task.BatchPollRequest(task_type="nothing", timeout=10))
        assert [each async for each in calls] == []


async def test_a_repeated_start_with_a_key_answers_the_first_execution() -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        asked = request.StartWorkflowRequest(name="one")
        key = (("podium-idempotency-key", "order-1"),)
        first = await edge.workflows.StartWorkflow(asked, metadata=key)
        again = await edge.workflows.StartWorkflow(asked, metadata=key)
        other = await edge.workflows.StartWorkflow(asked)
        assert first.workflow_id == again.workflow_id != other.workflow_id


async def test_batches_answer_each_item_for_itself() -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        keyed = podium.StartItem(
            name="one",
            idempotency_key="k",
            idempotency_strategy=podium.IDEMPOTENCY_STRATEGY_FAIL,
        )
        answer = await edge.podium.StartWorkflows(
            podium.StartWorkflowsRequest(
                items=[
                    podium.StartItem(name="one", input=worker_pb2.Payload(json=b'{"n": 1}')),
                    podium.StartItem(name="absent"),
                    podium.StartItem(name="one", input=worker_pb2.Payload(json=b"[1]")),
                    podium.StartItem(name="one", priority=100),
                    keyed,
                ]
            )
        )
        assert [each.error.code for each in answer.results] == [0, 5, 3, 3, 0]
        assert answer.results[0].workflow_id
        assert answer.results[1].error.message == (
            "expected a registered workflow, found none with name absent and any version"
        )
        assert answer.results[2].error.message == (
            "items[2].input.json: expected a JSON object, found an array"
        )
        again = await edge.podium.StartWorkflows(podium.StartWorkflowsRequest(items=[keyed]))
        assert again.results[0].error.code == 6
        keyed.idempotency_strategy = podium.IDEMPOTENCY_STRATEGY_RETURN_EXISTING
        existing = await edge.podium.StartWorkflows(podium.StartWorkflowsRequest(items=[keyed]))
        assert existing.results[0].existing
        assert existing.results[0].workflow_id == answer.results[4].workflow_id


async def test_wait_and_watch_follow_an_execution_to_its_end() -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        workflow_id = await started(edge, n=1)
        looked = await edge.podium.Wait(podium.WaitRequest(workflow_id=workflow_id))
        assert (looked.status, looked.finished) == ("RUNNING", False)

        watching = edge.podium.Watch(podium.WatchRequest(workflow_id=workflow_id))
        waiting = edge.podium.Wait(podium.WaitRequest(workflow_id=workflow_id, timeout_ms=10_000))
        await completed(edge, await polled(edge), done=True)
        ended = await waiting
        assert (ended.status, ended.finished) == ("COMPLETED", True)
        assert ended.output.json == b'{"done":true}'

        changes = [change async for answer in watching for change in answer.changes]
        assert [change.task_status for change in changes if change.reference_name] == [
            "SCHEDULED",
            "IN_PROGRESS",
            "COMPLETED",
        ]
        own = [change.workflow_status for change in changes if not change.reference_name]
        assert own == ["RUNNING", "COMPLETED"]
        positions = [change.position for change in changes]
        assert positions == sorted(positions)
        rest = edge.podium.Watch(
            podium.WatchRequest(workflow_id=workflow_id, from_position=positions[-1])
        )
        later = [change async for answer in rest for change in answer.changes]
        assert later == [change for change in changes if change.position == positions[-1]]


async def test_terminate_is_idempotent_and_ends_tasks() -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        workflow_id = await started(edge)
        for _ in range(2):
            await edge.workflows.TerminateWorkflow(
                workflow.TerminateWorkflowRequest(workflow_id=workflow_id, reason="enough")
            )
        read = await status_of(edge, workflow_id)
        assert read.status == execution.Workflow.TERMINATED
        assert read.reason_for_incompletion == "enough"
        assert [each.status for each in read.tasks] == [execution.Task.CANCELED]


async def test_a_result_in_progress_offers_the_task_again_and_logs_are_kept() -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        await started(edge)
        got = await polled(edge)
        result = execution.TaskResult(
            workflow_instance_id=got.workflow_instance_id, task_id=got.task_id, worker_id="w"
        )
        result.logs.add(log="half way", created_time=5)
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))
        again = await polled(edge)
        assert (again.task_id, again.poll_count) == (got.task_id, 2)
        assert await edge.store.logs(got.task_id) == [(5, "half way")]


async def test_an_inline_definition_runs_without_being_registered() -> None:
    async with Edge() as edge:
        asked = request.StartWorkflowRequest(workflow_def=one_task("inline"))
        workflow_id = (await edge.workflows.StartWorkflow(asked)).workflow_id
        await completed(edge, await polled(edge))
        read = await status_of(edge, workflow_id)
        assert read.status == execution.Workflow.COMPLETED
        assert read.workflow_definition.name == "inline"


async def test_former_attempts_and_join_outputs_are_shown() -> None:
    async with Edge() as edge:
        branch = definition.WorkflowTask.WorkflowTaskList
        fork = definition.WorkflowTask(
            name="fork",
            task_reference_name="fork",
            type="FORK_JOIN",
            fork_tasks=[
                branch(tasks=[definition.WorkflowTask(name=each, task_reference_name=each)])
                for each in ("left", "right")
            ],
        )
        join = definition.WorkflowTask(
            name="join", task_reference_name="join", type="JOIN", join_on=["left", "right"]
        )
        await edge.metadata.CreateTasks(
            metadata.CreateTasksRequest(defs=[definition.TaskDef(name="left", retry_count=1)])
        )
        await registered(edge, definition.WorkflowDef(name="forked", tasks=[fork, join]))
        workflow_id = await started(edge, "forked")
        left = await polled(edge, "left")
        failed = execution.TaskResult(
            workflow_instance_id=workflow_id,
            task_id=left.task_id,
            status=execution.TaskResult.FAILED,
            reason_for_incompletion="planned",
        )
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=failed))
        await completed(edge, await polled(edge, "left"), side="l")
        await completed(edge, await polled(edge, "right"), side="r")
        read = await status_of(edge, workflow_id)
        assert [(each.reference_task_name, each.retry_count) for each in read.tasks] == [
            ("fork", 0),
            ("left", 0),
            ("right", 0),
            ("join", 0),
            ("left", 1),
        ]
        assert [each.seq for each in read.tasks] == sorted(each.seq for each in read.tasks)
        joined = next(each for each in read.tasks if each.reference_task_name == "join")
        assert plain(joined.output_data) == {"left": {"side": "l"}, "right": {"side": "r"}}
        single = await edge.tasks.GetTask(task.GetTaskRequest(task_id=joined.task_id))
        assert plain(single.task.output_data) == plain(joined.output_data)
        former = await edge.tasks.GetTask(task.GetTaskRequest(task_id=left.task_id))
        assert former.task.status == execution.Task.FAILED
        assert former.task.retried
