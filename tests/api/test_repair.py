"""RepairWorkflow and VerifyPartitions over a real channel: planted damage is found and mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from podium.app.failure import Busy
from podium.app.repair import Repairs
from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import workflow_service_pb2 as workflow
from podium.engine.transition import ContinueSelf
from podium.model.queue import Deadline, Queue
from podium.store import codec
from podium.store.port import Commit, partition_of
from podium.v1 import admin_mend_pb2 as pb
from tests.api.calls import refusal, simple
from tests.api.edge import Edge
from tests.api.explaining import typed
from tests.api.test_flow import completed, polled, registered, started
from tests.api.test_operators import flow, scripted
from tests.api.test_parking import child_of, poison, refused
from tests.api.waiting import ended
from tests.runtime.rig import Hand

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.store.embedded import Part

PATH = "/podium.v1.AdminService/"


def name_of(finding: pb.Finding) -> str:
    return pb.FindingKind.Name(finding.kind).removeprefix("FINDING_KIND_")


async def repaired(edge: Edge, workflow_id: str) -> pb.RepairWorkflowResponse:
    return await edge.admin.RepairWorkflow(pb.RepairWorkflowRequest(workflow_id=workflow_id))


async def verified(
    edge: Edge, *partitions: int, repair: bool = False
) -> list[pb.VerifyPartitionsResponse]:
    asked = pb.VerifyPartitionsRequest(partitions=partitions, repair=repair)
    return [each async for each in edge.admin.VerifyPartitions(asked)]


def part_of(edge: Edge, workflow_id: str) -> Part:
    return edge.store.parts[partition_of(workflow_id)]


async def damage(edge: Edge, workflow_id: str, **change: Any) -> None:
    """Change what stands beside the records, as a fault of a store would."""
    version = edge.store.executions[workflow_id].version
    commit = Commit(workflow_id=workflow_id, version=version, **change)
    await edge.store.commit([commit])
    edge.runtime.executor.forget(workflow_id)


async def waiting(edge: Edge, **fields: object) -> tuple[str, str]:
    """An execution whose task `a` is ready; its id and the task's."""
    await typed(edge, "a", poll_timeout_seconds=3600, **fields)
    await registered(edge, flow(simple("a"), simple("b")))
    workflow_id = await started(edge, "scripts")
    [ready] = (await edge.store.entries(workflow_id, 0)).ready
    return workflow_id, ready.task_id


async def test_a_sound_execution_is_not_changed() -> None:
    async with Edge() as edge:
        workflow_id, _ = await waiting(edge)
        version = edge.store.executions[workflow_id].version
        assert await repaired(edge, workflow_id) == pb.RepairWorkflowResponse()
        assert edge.store.executions[workflow_id].version == version
        [end] = await verified(edge, partition_of(workflow_id))
        assert (end.executions, end.findings, end.HasField("finding")) == (1, 0, False)


async def test_missing_entries_are_made_again() -> None:
    async with Edge() as edge:
        workflow_id, task_id = await waiting(edge)
        await damage(edge, workflow_id, unready=(task_id,), disarmed=((task_id, "poll"),))
        found = await verified(edge, partition_of(workflow_id))
        assert {name_of(each.finding) for each in found[:-1]} == {
            "READY_MISSING", "DEADLINE_MISSING",
        }  # fmt: skip
        assert {each.finding.task_id for each in found[:-1]} == {task_id}
        assert not any(each.repaired for each in found)
        answer = await repaired(edge, workflow_id)
        assert sorted(name_of(each) for each in answer.mended) == [
            "DEADLINE_MISSING", "READY_MISSING",
        ]  # fmt: skip
        assert answer.mended[0].found == "none"
        assert await repaired(edge, workflow_id) == pb.RepairWorkflowResponse()
        await completed(edge, await polled(edge, "a"))
        await completed(edge, await polled(edge, "b"))
        assert (await ended(edge, workflow_id)).status == execution.Workflow.COMPLETED


async def test_entries_that_nothing_stands_behind_go() -> None:
    async with Edge() as edge:
        workflow_id, task_id = await waiting(edge)
        got = await polled(edge, "a")
        assert got.task_id == task_id
        [stored] = [each for each in edge.store.commits if any(each.ready)]
        await damage(
            edge, workflow_id, ready=stored.ready, held=(("gone", task_id),),
            slots=((task_id, Queue("a")),), armed=(Deadline(task_id, "wait", 10**13),),
        )  # fmt: skip
        found = await verified(edge, partition_of(workflow_id), repair=True)
        assert {name_of(each.finding) for each in found[:-1]} == {
            "READY_EXTRA", "SLOT_EXTRA", "HELD_EXTRA", "DEADLINE_EXTRA",
        }  # fmt: skip
        assert all(each.repaired for each in found[:-1])
        assert found[-1].findings == 4
        [end] = await verified(edge, partition_of(workflow_id))
        assert end.findings == 0
        await completed(edge, got)


async def test_one_that_changes_all_the_time_keeps_nobody_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Edge() as edge:
        workflow_id, task_id = await waiting(edge)
        asked: list[str] = []

        async def busy(_: Repairs, asked_id: str) -> None:
            asked.append(asked_id)
            raise Busy("expected that it rests")

        monkeypatch.setattr(Repairs, "repair", busy)
        wrong = (Deadline(task_id, "wait", 10**13), Deadline(task_id, "total", 10**13))
        await damage(edge, workflow_id, armed=wrong)
        found = await verified(edge, partition_of(workflow_id), repair=True)
        assert [each.repaired for each in found[:-1]] == [False, False]
        assert (found[-1].findings, asked) == (2, [workflow_id])


async def test_a_slot_that_leaked_lets_the_next_task_through() -> None:
    async with Edge() as edge:
        await typed(edge, "a", concurrent_exec_limit=1)
        await registered(edge, flow(simple("a")))
        first = await started(edge, "scripts")
        got = await polled(edge, "a")
        second = await started(edge, "scripts")
        await completed(edge, got)
        await ended(edge, first)
        leaked = f"{second}.{'x' * 16}.0"
        await damage(edge, second, slots=((leaked, Queue("a")),))
        answer = await repaired(edge, second)
        assert [name_of(each) for each in answer.mended] == ["SLOT_EXTRA"]
        assert (await polled(edge, "a")).workflow_instance_id == second


async def test_a_task_that_fell_out_of_its_queue_is_in_it_again() -> None:
    async with Edge() as edge:
        workflow_id, task_id = await waiting(edge)
        edge.store.queues.drop(task_id, Queue("a"))
        answer = await repaired(edge, workflow_id)
        assert [name_of(each) for each in answer.mended] == ["NOT_QUEUED"]
        assert (await polled(edge, "a")).task_id == task_id


async def test_a_lease_that_nobody_has_is_lost() -> None:
    async with Edge() as edge:
        workflow_id, task_id = await waiting(edge)
        hand = Hand(edge.runtime, "w", [Queue("a")], 1)
        task = await hand.take()
        edge.runtime.dispatcher.remove(hand, [Queue("a")])
        edge.runtime.leases._drop(next(iter(edge.runtime.leases.known())))
        answer = await repaired(edge, workflow_id)
        assert [(name_of(each), each.task_id) for each in answer.mended] == [
            ("LEASE_UNKNOWN", task_id)
        ]
        assert task.id == task_id
        assert (await polled(edge, "a")).task_id == task_id


@pytest.mark.parametrize("field", ["header", "join"])
async def test_counters_are_made_anew_and_what_follows_is_decided(field: str) -> None:
    async with Edge() as edge:
        fork = definition.WorkflowTask(name="f", task_reference_name="f", type="FORK_JOIN")
        for each in ("a", "b"):
            fork.fork_tasks.add().tasks.append(simple(each))
        await registered(edge, flow(fork, simple("j", type="JOIN", join_on=["a", "b"])))
        workflow_id = await started(edge, "scripts")
        await completed(edge, await polled(edge, "a"))
        fields = edge.store.executions[workflow_id].fields
        name = "h" if field == "header" else next(each for each in fields if each[:2] == "j:")
        header, records = codec.decode_records(fields, complete=True)
        assert header is not None
        wrong = replace(header, open_count=header.open_count + 1)
        if field == "join":
            join = records.joins[name[2:]]
            assert join is not None
            fields[name] = codec.VERSION + codec.ENCODE(replace(join, open_count=2))
        else:
            fields[name] = codec.encode_header(wrong)
        edge.runtime.executor.forget(workflow_id)
        answer = await repaired(edge, workflow_id)
        assert list(answer.decided) == ["counters"]
        assert await repaired(edge, workflow_id) == pb.RepairWorkflowResponse()
        await completed(edge, await polled(edge, "b"))
        assert (await ended(edge, workflow_id)).status == execution.Workflow.COMPLETED


async def test_a_successor_that_was_lost_is_scheduled() -> None:
    async with Edge() as edge:
        workflow_id, _ = await waiting(edge)
        await completed(edge, await polled(edge, "a"))
        [ready] = (await edge.store.entries(workflow_id, 0)).ready
        stored = edge.store.executions[workflow_id].fields
        del stored[f"t:{ready.task_id.split('.')[1]}"]
        edge.runtime.executor.forget(workflow_id)
        found = await verified(edge, partition_of(workflow_id))
        assert {name_of(each.finding) for each in found[:-1]} == {"READY_EXTRA", "COUNTER_WRONG"}
        answer = await repaired(edge, workflow_id)
        assert list(answer.decided) == ["b: not scheduled → SCHEDULED"]
        await completed(edge, await polled(edge, "b"))
        assert (await ended(edge, workflow_id)).status == execution.Workflow.COMPLETED


async def test_an_effect_that_nobody_carries_out_is() -> None:
    async with Edge() as edge:
        workflow_id, _ = await waiting(edge)
        effect = codec.VERSION + codec.ENCODE(ContinueSelf(cursor="{}"))
        await damage(edge, workflow_id, outbox=(effect,), incarnation=edge.runtime.incarnation)
        found = await verified(edge, partition_of(workflow_id))
        assert [name_of(each.finding) for each in found[:-1]] == ["EFFECT_WAITING"]
        assert found[0].finding.found.startswith("ContinueSelf of ")
        answer = await repaired(edge, workflow_id)
        assert answer.effects == 1
        await edge.runtime.executor.drain()
        await edge.runtime.committer.drain()
        [end] = await verified(edge, partition_of(workflow_id))
        assert end.findings == 0


async def test_what_cannot_be_read_or_decided_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Edge() as edge:
        workflow_id, _ = await waiting(edge)
        with monkeypatch.context() as patch:
            poison(patch, edge.runtime, workflow_id)
            await refused(edge, workflow_id)
        answer = await repaired(edge, workflow_id)
        assert (answer.parked, list(answer.mended), list(answer.left)) == (True, [], [])
        edge.store.executions[workflow_id].fields["h"] = b"\x09\x90"
        answer = await repaired(edge, workflow_id)
        assert [name_of(each) for each in answer.left] == ["UNREADABLE"]
        found = await verified(edge, partition_of(workflow_id), repair=True)
        assert [(name_of(each.finding), each.repaired) for each in found[:-1]] == [
            ("UNREADABLE", False)
        ]


async def test_executions_under_way_are_sound_wherever_they_are() -> None:
    """Loops, choices, forks within, children, waits, retries: nothing to mend at any step."""
    async with Edge() as edge:
        await typed(edge, "a", retry_count=2, retry_delay_seconds=0, concurrent_exec_limit=5)
        condition = "if ($.l['iteration'] < 2) {true;} else {false;}"
        loop = simple("l", type="DO_WHILE", loop_condition=condition)
        inner = definition.WorkflowTask(name="f", task_reference_name="f", type="FORK_JOIN")
        inner.fork_tasks.add().tasks.append(simple("a"))
        inner.fork_tasks.add().tasks.append(scripted("WAIT", "w", duration="0 seconds"))
        loop.loop_over.extend([inner, simple("j", type="JOIN", join_on=["a", "w"])])
        choice = simple("s", type="SWITCH", evaluator_type="javascript", expression="1")
        choice.decision_cases["1"].tasks.append(simple("b"))
        await registered(edge, flow(loop, choice, scripted("HUMAN", "h")))
        workflow_id = await started(edge, "scripts")
        for task_type in ("a", "a", "b"):
            assert await repaired(edge, workflow_id) == pb.RepairWorkflowResponse()
            got = await polled(edge, task_type)
            assert await repaired(edge, workflow_id) == pb.RepairWorkflowResponse()
            await completed(edge, got)
        assert await repaired(edge, workflow_id) == pb.RepairWorkflowResponse()
        await edge.workflows.PauseWorkflow(workflow.PauseWorkflowRequest(workflow_id=workflow_id))
        assert await repaired(edge, workflow_id) == pb.RepairWorkflowResponse()
        ends = await verified(edge)
        assert len(ends) == 256
        assert sum(each.executions for each in ends) == 1
        assert sum(each.findings for each in ends) == 0


async def test_a_parent_and_its_child_are_sound() -> None:
    async with Edge() as edge:
        parent_id, got = await child_of(edge)
        for each in (parent_id, got.workflow_instance_id):
            assert await repaired(edge, each) == pb.RepairWorkflowResponse()
        await completed(edge, got)
        assert (await ended(edge, parent_id)).status == execution.Workflow.COMPLETED
        assert await repaired(edge, parent_id) == pb.RepairWorkflowResponse()


@pytest.mark.parametrize("rpc", ["RepairWorkflow", "PurgeWorkflow"])
async def test_an_id_that_names_nothing_is_refused(rpc: str) -> None:
    make: Callable[..., pb.RepairWorkflowRequest] = getattr(pb, f"{rpc}Request")
    async with Edge() as edge:
        assert await refusal(edge, f"{PATH}{rpc}", b"") == (
            "INVALID_ARGUMENT", "workflow_id: expected a workflow id, found none",
        )  # fmt: skip
        assert await refusal(edge, f"{PATH}{rpc}", make(workflow_id="nobody")) == (
            "NOT_FOUND", "expected the id of a workflow, found no workflow nobody",
        )  # fmt: skip
        assert (await refusal(edge, f"{PATH}{rpc}", b"\xff\xff"))[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("partition", [-1, 256])
async def test_a_partition_that_is_none_is_refused(partition: int) -> None:
    async with Edge() as edge:
        asked = pb.VerifyPartitionsRequest(partitions=[3, partition])
        assert await refusal(edge, f"{PATH}VerifyPartitions", asked) == (
            "INVALID_ARGUMENT", f"partitions: expected 0 to 255, found {partition}",
        )  # fmt: skip
