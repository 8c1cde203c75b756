"""Domains chosen by the workers that are there, over real polls."""

from __future__ import annotations

import asyncio
from typing import Any

from podium.conductor import definition_pb2 as definition
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.model.queue import Queue
from tests.api.calls import simple
from tests.api.edge import Edge
from tests.api.test_flow import registered, status_of


async def domain_of(edge: Edge) -> str:
    asked = request.StartWorkflowRequest(name="one", task_to_domain={"a": "eu,us,NO_DOMAIN"})
    started = await edge.workflows.StartWorkflow(asked)
    return (await status_of(edge, started.workflow_id)).tasks[0].domain


async def test_a_task_goes_to_the_first_domain_in_which_somebody_polls() -> None:
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        assert await domain_of(edge) == ""
        poll = task.PollRequest(task_type="a", worker_id="w", domain="us")
        await edge.tasks.Poll(poll)
        assert await domain_of(edge) == "us"
        edge.parked.clear()
        # A poll that is parked is there for as long as it waits.
        parked = edge.tasks.BatchPoll(
            task.BatchPollRequest(task_type="a", worker_id="v", domain="eu", timeout=5_000)
        )
        reading = asyncio.ensure_future(parked.read())
        await asyncio.wait_for(edge.parked.wait(), 20)
        assert await domain_of(edge) == "eu"
        got: Any = await reading
        assert got.domain == "eu"
        await edge.runtime.polls.note_workers()
        assert ("eu", "v") in await edge.store.poll_data("a")
        assert Queue("a", "eu") in [state.queue for state in edge.runtime.dispatcher.known()]
