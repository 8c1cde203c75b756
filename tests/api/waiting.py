"""Waiting for the end of an execution, over a real channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.v1 import workflow_pb2 as podium
from tests.api.test_flow import status_of

if TYPE_CHECKING:
    from podium.conductor import execution_pb2 as execution
    from tests.api.edge import Edge

ENDED_S = 30


async def ended(edge: Edge, workflow_id: str) -> execution.Workflow:
    """The execution with its tasks, once it has ended."""
    async with asyncio.timeout(ENDED_S):
        await edge.podium.Wait(
            podium.WaitRequest(workflow_id=workflow_id, timeout_ms=ENDED_S * 1000)
        )
    return await status_of(edge, workflow_id)
