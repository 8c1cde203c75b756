"""Polls and results without a stream."""

from __future__ import annotations

from podium.app.start import StartRequest, StartWorkflow
from podium.app.tasks import PollRequest, TaskResult, WorkerTasks
from podium.model.definition import TaskDef, WorkflowDef, WorkflowTask
from podium.model.execution import TaskStatus
from tests.api.edge import Edge

ONE = WorkflowDef(name="one", tasks=[WorkflowTask(name="a", task_reference_name="a")])
ASKED = PollRequest("a", worker_id="w", timeout_ms=5000)


async def test_a_poll_is_answered_empty_at_once_while_too_many_are_parked() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(ONE)
        await StartWorkflow(edge.services).start(StartRequest(name="one"))
        assert await WorkerTasks(edge.services, polls_parked_max=0).poll(ASKED) == []
        assert len(await WorkerTasks(edge.services, polls_parked_max=1).poll(ASKED)) == 1


async def test_what_is_given_back_is_handed_out_again_with_nothing_charged() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(ONE)
        await StartWorkflow(edge.services).start(StartRequest(name="one"))
        tasks = WorkerTasks(edge.services)
        first = await tasks.poll(ASKED)
        tasks.give_back(first)
        again = await tasks.poll(ASKED)
        assert [view.record.id for view in again] == [view.record.id for view in first]
        assert again[0].record.poll_count == first[0].record.poll_count
        assert again[0].record.retry_count == 0


async def test_extending_a_lease_changes_nothing_but_its_deadline() -> None:
    async with Edge() as edge:
        await edge.registry.register_tasks([TaskDef(name="a", response_timeout_seconds=60)])
        await edge.registry.register_workflow(ONE)
        started = await StartWorkflow(edge.services).start(StartRequest(name="one"))
        tasks = WorkerTasks(edge.services)
        [view] = await tasks.poll(ASKED)
        await tasks.update(
            TaskResult(
                workflow_id=started.workflow_id,
                task_id=view.record.id,
                status=TaskStatus.FAILED,
                reason="is ignored",
                extend_lease=True,
            )
        )
        after = (await tasks.get(view.record.id)).record
        assert after.status is TaskStatus.IN_PROGRESS
        assert after.reason is None
        assert after.lease_epoch == view.record.lease_epoch
