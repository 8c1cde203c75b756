"""Workers and servers that die with tasks in hand: what goes on, and what goes to somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.victim import Victim
from tests.e2e.client import Client
from tests.e2e.holding import holding
from tests.e2e.staying import NAME, staying

if TYPE_CHECKING:
    from pathlib import Path

HELD = "held"


@pytest.mark.timeout(90)
async def test_the_task_of_a_killed_worker_goes_to_another(tmp_path: Path) -> None:
    async with Victim(tmp_path) as server, Client(server.target) as client:
        await client.register(HELD)
        # Given a worker in mid-task, and another that has served a task already
        async with (
            holding(server.target, HELD, "first") as first,
            holding(server.target, HELD, "second") as second,
        ):
            workflow_id = await client.start(HELD)
            other_id = await client.start(HELD)
            a_task, b_task = await first.taken(), await second.taken()
            second.finish()
            done_id = _workflow_of(b_task.task_id)
            assert await client.ended(done_id) == ("COMPLETED", {"by": "second"})
            # When the one is killed
            await first.kill()
            # Then the other gets its task: the same attempt, handed out anew
            again = await second.taken()
            assert again.task_id == a_task.task_id
            assert again.epoch > a_task.epoch
            assert again.retry_count == 0
            second.finish()
            (kept_id,) = {workflow_id, other_id} - {done_id}
            assert await client.ended(kept_id) == ("COMPLETED", {"by": "second"})
        (task,) = (await client.read(kept_id)).tasks
        assert (task.task_id, task.worker_id) == (a_task.task_id, "second")


@pytest.mark.timeout(90)
async def test_a_worker_goes_on_with_its_task_after_the_server_was_killed(tmp_path: Path) -> None:
    async with Victim(tmp_path) as server, Client(server.target) as client:
        await client.register(HELD)
        async with staying(server.target, HELD) as stays:
            # Given two workers with a task each
            workflow_id = await client.start(HELD)
            await stays.has_taken()
            async with holding(server.target, HELD, "dies") as dies:
                lost_id = await client.start(HELD)
                lost = await dies.taken()
                # When the server is killed and one of the workers with it
                await server.kill()
                await dies.kill()
            await server.start()
            # Then, once the grace is over, a third one gets the task of the dead
            async with holding(server.target, HELD, "heir") as heir:
                inherited = await heir.taken()
                assert inherited.task_id == lost.task_id
                assert inherited.epoch > lost.epoch
                # And the other one finished what it had in hand, under the same epoch
                stays.go.set()
                assert await client.ended(workflow_id) == ("COMPLETED", {"by": NAME})
                heir.finish()
                assert await client.ended(lost_id) == ("COMPLETED", {"by": "heir"})
        (task,) = (await client.read(workflow_id)).tasks
        assert [task_id for task_id, _ in stays.taken] == [task.task_id]
        assert stays.overheard.resumed == set(stays.taken)
        assert task.poll_count == 1


def _workflow_of(task_id: str) -> str:
    return task_id.split(".", 1)[0]
