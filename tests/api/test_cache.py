"""cacheConfig over a real channel (S-043): the second execution needs no worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from tests.api.calls import METADATA, plain, refusal, simple, values, workflow_def
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.waiting import ENDED_S, ended

if TYPE_CHECKING:
    import pytest

HOUR_S = 3_600


def looked_up(
    name: str, ttl_s: int, key: str = "${user}-${workflow.input.day}"
) -> definition.WorkflowDef:
    """A workflow of one task whose output is cached."""
    step = simple("step", cache_config=definition.CacheConfig(key=key, ttl_in_second=ttl_s))
    values(step, "input_parameters", {"user": "${workflow.input.user}"})
    return workflow_def(name, step)


def told(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once an output is kept."""
    done, put = asyncio.Event(), edge.store.put_cached

    async def put_and_tell(name: str, value: bytes, *, at_ms: int, until_ms: int) -> None:
        await put(name, value, at_ms=at_ms, until_ms=until_ms)
        done.set()

    monkeypatch.setattr(edge.store, "put_cached", put_and_tell)
    return done


async def worked(edge: Edge, done: asyncio.Event, name: str, **output: object) -> str:
    """An execution whose task a worker completes, once its output is kept."""
    workflow_id = await started(edge, name, user="u", day=1)
    await completed(edge, await polled(edge), **output)
    async with asyncio.timeout(ENDED_S):
        await done.wait()
    return workflow_id


async def test_the_second_execution_has_the_output_without_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Edge() as edge:
        # Given an execution whose task a worker completed
        done = told(edge, monkeypatch)
        await registered(edge, looked_up("one", HOUR_S))
        first = await worked(edge, done, "one", answer={"deep": [1, None]}, big=2**60)
        # When another one is started with an equal key
        second = await ended(edge, await started(edge, "one", user="u", day=1, more=True))
        # Then it ends with that output, and says that no worker saw it
        assert second.status == execution.Workflow.COMPLETED
        [task] = second.tasks
        assert task.status == execution.Task.COMPLETED
        assert plain(task.output_data) == {"answer": {"deep": [1, None]}, "big": 2**60}
        assert plain(second.output) == plain((await status_of(edge, first)).output)
        assert (task.worker_id, task.reason_for_incompletion, task.poll_count) == ("cache", "", 0)
        assert plain(task.input_data) == {"user": "u"}
        # And one with another key waits for a worker
        other = await started(edge, "one", user="u", day=2)
        assert (await polled(edge)).workflow_instance_id == other


async def test_what_is_too_old_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Edge() as edge:
        # Given an output that is kept for a second
        done = told(edge, monkeypatch)
        await registered(edge, looked_up("brief", 1))
        await worked(edge, done, "brief", n=1)
        # When executions are started for longer than that
        async with asyncio.timeout(ENDED_S):
            while True:
                workflow_id = await started(edge, "brief", user="u", day=1)
                read = await status_of(edge, workflow_id)
                if read.status == execution.Workflow.RUNNING:
                    break
                assert read.tasks[0].worker_id == "cache"
                await asyncio.sleep(0.05)
        # Then one waits for a worker, whose output counts
        got = await polled(edge)
        assert got.workflow_instance_id == workflow_id
        await completed(edge, got, n=2)
        assert plain((await ended(edge, workflow_id)).output) == {"n": 2}


async def test_a_key_that_names_nothing_is_refused() -> None:
    async with Edge() as edge:
        asked = metadata.CreateWorkflowRequest(workflow=looked_up("one", 5, "${usr}"))
        code, text = await refusal(edge, f"{METADATA}CreateWorkflow", asked)
        assert code == "INVALID_ARGUMENT"
        assert "tasks[0].cacheConfig.key" in text
        assert "expected a reference of this definition, found usr" in text
        asked = metadata.CreateWorkflowRequest(workflow=looked_up("one", -5))
        code, text = await refusal(edge, f"{METADATA}CreateWorkflow", asked)
        assert code == "INVALID_ARGUMENT"
        assert "tasks[0].cacheConfig.ttlInSecond: expected 0 or more, found -5" in text
