"""A server under attack, and the healthy calls that others make meanwhile."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc.aio

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2, workflow_service_pb2
from podium.conductor.metadata_service_pb2_grpc import MetadataServiceStub
from podium.conductor.workflow_service_pb2_grpc import WorkflowServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANSWER_S: Final = 15
EVERY_S: Final = 0.05
END_S: Final = 40
NAME: Final = "healthy"


@dataclass
class Siege:
    """What became of an attack. `took_ms`: of each healthy call; `failed`: their codes."""

    tally: dict[str, int] = field(default_factory=dict)
    took_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@asynccontextmanager
async def attacking(name: str, address: str) -> AsyncIterator[Siege]:
    """The attack goes on for the block; its tally is there afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.attack.attacker", name, address),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    siege = Siege()
    assert process.stdout is not None, "it was started with a pipe"
    try:
        async with asyncio.timeout(END_S):
            await process.stdout.readline()
        yield siege
        async with asyncio.timeout(END_S):
            said, _ = await process.communicate(b"")
        siege.tally = json.loads(said)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Healthy:
    """A client that starts executions and reads them."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._workflows = WorkflowServiceStub(channel)
        self._metadata = MetadataServiceStub(channel)

    async def prepare(self) -> None:
        """Register what is started."""
        task = definition.WorkflowTask(name="a", task_reference_name="a", type="WAIT")
        asked = metadata.UpdateWorkflowsRequest(
            defs=[definition.WorkflowDef(name=NAME, tasks=[task], schema_version=2)]
        )
        await self._metadata.UpdateWorkflows(asked)

    async def call(self) -> float:
        """Start one and read it; ms. Raises AioRpcError."""
        began_s = time.perf_counter()
        started = await self._workflows.StartWorkflow(
            request_pb2.StartWorkflowRequest(name=NAME), timeout=ANSWER_S
        )
        await self._workflows.GetWorkflowStatus(
            workflow_service_pb2.GetWorkflowStatusRequest(workflow_id=started.workflow_id),
            timeout=ANSWER_S,
        )
        return (time.perf_counter() - began_s) * 1_000

    async def calls(self, siege: Siege, *, until_s: float) -> None:
        """Twenty a second at most until then, what became of them noted; one at least."""
        while True:
            try:
                siege.took_ms.append(await self.call())
            except grpc.aio.AioRpcError as error:
                siege.failed.append(error.code().name)
            if time.perf_counter() >= until_s:
                return
            await asyncio.sleep(EVERY_S)
