"""What happens between two tasks of one flow, at rest: a JOIN, a child's report, a freed slot.

A worker that completes each task the moment it has it sees when the next one comes; both moments
are of one clock. So the lag holds one result's way to the server and one task's way back, and the
syncs between them.

Judged is the median, since a lag is of the server's making: a timer in it would be in each. The
p99 is printed beside it and not judged: on a shared machine it is a single sync's, or the
scheduler's (the floor's own p99 from a start to its task is above the bar there).
"""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import grpc.aio

from podium.conductor import definition_pb2 as definition
from tests.bench.figures import Bar, Figure, figure, percentile
from tests.bench.generator import beside
from tests.bench.jobs import TASK_TYPE
from tests.bench.processes import serving
from tests.bench.sizes import OWNER, Client, client_of, step, workflow
from tests.bench.stream_worker import StreamWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from podium.v1 import worker_pb2
    from tests.bench.plan import Plan
    from tests.bench.processes import Server

LAG_MS: Final = Bar(10, at_least=False)
JUDGED: Final = 50
RUNS: Final = 200
WARM_UP: Final = 10
LIMITED: Final = "bench_limited"
TASKS_MAX: Final = 100


def joining() -> definition.WorkflowDef:
    """Two branches, their join, the task after it."""
    fork = definition.WorkflowTask(name="fork", task_reference_name="fork", type="FORK_JOIN")
    for reference in ("one", "two"):
        fork.fork_tasks.add().tasks.append(step(reference))
    join = definition.WorkflowTask(name="join", task_reference_name="join", type="JOIN")
    join.join_on.extend(["one", "two"])
    return workflow("bench_join", fork, join, step("after"))


def parent() -> definition.WorkflowDef:
    """A child of one task, the task after it."""
    part = definition.WorkflowTask(name="part", task_reference_name="part", type="SUB_WORKFLOW")
    part.sub_workflow_param.name = "bench_child"
    part.sub_workflow_param.version = 1
    return workflow("bench_parent", part, step("after"))


def limited() -> definition.WorkflowDef:
    """One task of a type of which one may run."""
    task = definition.WorkflowTask(name=LIMITED, task_reference_name="only", type="SIMPLE")
    return workflow("bench_slot", task)


class Seen:
    """When each task came, by execution family (correlation id) and in order."""

    def __init__(self) -> None:
        self.arrived_ns: dict[str, list[int]] = {}

    def task(self, task: worker_pb2.Task, arrived_ns: int) -> None:
        self.arrived_ns.setdefault(task.correlation_id, []).append(arrived_ns)

    def gap_ms(self, family: str) -> float:
        """Between the last two."""
        *_, before, last = self.arrived_ns[family]
        return (last - before) / 1e6


async def measure_lags(command: tuple[str, ...], plan: Plan) -> list[Figure]:
    """Median and p99 of each kind, a fresh server per round."""
    found: dict[str, list[list[float]]] = {"JOIN": [], "child to parent": [], "limit slot": []}
    for _ in range(plan.rounds):
        async with serving(*command) as server, client_of(server) as client:
            await client.register(joining(), workflow("bench_child", step("inner")), parent())
            await client.register_task(
                definition.TaskDef(name=LIMITED, owner_email=OWNER, concurrent_exec_limit=1,
                                   response_timeout_seconds=600), limited())  # fmt: skip
            async with working(server, TASK_TYPE) as seen:
                found["JOIN"].append(await paced(client, "bench_join", seen))
                found["child to parent"].append(await paced(client, "bench_parent", seen))
            found["limit slot"].append(await queued(client, server))
    return [
        figure(
            f"podium: {kind} to the next task, p{percent}",
            "ms",
            [percentile(gaps, percent) for gaps in rounds],
            LAG_MS if percent == JUDGED else None,
        )
        for kind, rounds in found.items()
        for percent in (JUDGED, 99)
    ]


async def paced(client: Client, name: str, seen: Seen) -> list[float]:
    """One execution after the other: the gaps before their last tasks."""
    gaps: list[float] = []
    for number in range(WARM_UP + RUNS):
        family = f"{name}-{number}"
        await client.ended(await client.start(name, {}, correlation_id=family))
        gaps.append(seen.gap_ms(family))
    return gaps[WARM_UP:]


async def queued(client: Client, server: Server) -> list[float]:
    """Many wait for one slot, and then a worker comes: the gaps between them."""
    started = [
        await client.start("bench_slot", {}, correlation_id="all") for _ in range(WARM_UP + RUNS)
    ]
    async with working(server, LIMITED) as seen:
        for workflow_id in started:
            await client.ended(workflow_id)
    arrived = seen.arrived_ns["all"][WARM_UP:]
    return [(late - early) / 1e6 for early, late in itertools.pairwise(arrived)]


@asynccontextmanager
async def working(server: Server, task_type: str) -> AsyncIterator[Seen]:
    """A worker beside the block."""
    seen = Seen()
    async with grpc.aio.insecure_channel(server.target) as channel:
        stream = StreamWorker(channel, on_task=seen.task, on_ack=lambda _: None)
        await stream.connect(task_type, tasks_max=TASKS_MAX)
        async with beside(stream.run()):
            yield seen
