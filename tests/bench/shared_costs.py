"""What work costs the store: scripts per task, commands and CPU at rest, a store that is full."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import grpc.aio

from podium.conductor import definition_pb2 as definition
from podium.v1 import admin_pb2_grpc
from podium.v1 import admin_view_pb2 as view
from tests.bench.figures import Bar, Figure, figure, ratio
from tests.bench.generator import beside
from tests.bench.jobs import TASK_TYPE, Rate
from tests.bench.processes import Failed, run_job, serving
from tests.bench.shared import command, commands_per_s, shared
from tests.bench.shared_rates import saturate
from tests.bench.sizes import LARGE, OWNER, SMALL, Client, branches, client_of, wide, workflow
from tests.bench.stream_worker import StreamWorker
from tests.bench.streams import idle_streams
from tests.bench.waits import WAITING, core_percent, start_many, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.plan import Plan
    from tests.bench.processes import Server
    from tests.bench.shared import Shared

WITH_CREDIT: Final = Bar(1.2, at_least=False)
WITHOUT: Final = Bar(3.3, at_least=False)
SAME: Final = Bar(1.1, at_least=False)
IDLE_CORE: Final = Bar(2, at_least=False)
IDLE_COMMANDS: Final = Bar(50, at_least=False)
FULL_RATE: Final = Bar(0.9, at_least=True)
EXECUTION_BYTES: Final = Bar(2_000, at_least=False)
JOIN_S: Final = Bar(5, at_least=False)

LEFT, RIGHT = TASK_TYPE, "bench_right"
STEPS: Final = 10
RUNS: Final = 30
ROOM: Final = 1_000
STREAMS: Final = 1_000
PER_CONNECTION: Final = 100
REST_S: Final = 35
"""Looks that follow work are over by then (runtime/members.py)."""
FEW: Final = 1_000
RUNNING_SHARE: Final = 0.1
SHARE_MIN: Final = 60
"""Of 256 partitions; a third is 85, and a hash is not even."""


def alternating(name: str, second: str) -> definition.WorkflowDef:
    """STEPS tasks one after the other, of two types in turn."""
    tasks = [
        definition.WorkflowTask(
            name=second if number % 2 else LEFT,
            task_reference_name=f"step_{number}",
            type="SIMPLE",
        )
        for number in range(STEPS)
    ]
    return workflow(name, *tasks)


async def measure_scripts(plan: Plan) -> list[Figure]:
    """Per task, with credit at the deciding server and without."""
    del plan
    async with shared(2) as redis, client_of(redis.servers[0]) as client:
        right = definition.TaskDef(name=RIGHT, owner_email=OWNER, response_timeout_seconds=600)
        here, there = alternating("bench_here", LEFT), alternating("bench_there", RIGHT)
        await client.register_task(right, here, there)
        left, other = redis.servers
        async with worker(left, LEFT), worker(other, RIGHT):
            near = await scripts_of(redis, client, here.name, {}, tasks=STEPS)
            far = await scripts_of(redis, client, there.name, {}, tasks=STEPS)
    return [
        figure("scripts per task, credit where it is decided", "scripts", [near], WITH_CREDIT),
        figure("scripts per task, credit elsewhere", "scripts", [far], WITHOUT),
    ]


async def measure_forks(small: int = SMALL, large: int = LARGE) -> list[Figure]:
    """Per branch of a small and a large dynamic fork."""
    async with shared(1) as redis, client_of(redis.servers[0]) as client:
        await client.register(wide())
        async with worker(redis.servers[0], LEFT):
            few, many = [
                await scripts_of(redis, client, "bench_wide", branches(count), tasks=count, runs=3)
                for count in (small, large)
            ]
    return [
        figure(f"scripts per branch of {small}", "scripts", [few]),
        ratio(f"scripts per branch, of {large} / {small}", [many], [few], SAME, "x small"),
    ]


async def scripts_of(  # noqa: PLR0913 - what runs, and how often
    redis: Shared,
    client: Client,
    name: str,
    value: dict[str, object],
    *,
    tasks: int,
    runs: int = RUNS,
) -> float:
    """Per task, without heartbeats; the first run, which reads definitions, is not counted."""
    await client.run_s(name, value)
    before, began_s = redis.scripts(), time.monotonic()
    for _ in range(runs):
        await client.run_s(name, value)
    beats = (time.monotonic() - began_s) * len(redis.servers)
    return (redis.scripts() - before - beats) / (runs * tasks)


@asynccontextmanager
async def worker(server: Server, task_type: str) -> AsyncIterator[None]:
    """Does every task of the type at once, connected to this server."""
    async with grpc.aio.insecure_channel(
        server.target, options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        stream = StreamWorker(channel, on_task=lambda *_: None, on_ack=lambda _: None)
        await stream.connect(task_type, tasks_max=ROOM)
        async with beside(stream.run()):
            yield


async def measure_idle(plan: Plan) -> list[Figure]:
    """Two servers with STREAMS workers and WAITING executions that wait: CPU, commands."""
    async with shared(2) as redis, AsyncExitStack() as stack:
        client = await stack.enter_async_context(client_of(redis.servers[0]))
        await client.register(waiting())
        await start_many(client, ["1 hours"] * WAITING)
        for server in redis.servers:
            half = STREAMS // len(redis.servers)
            await stack.enter_async_context(
                idle_streams(server, per_connection=PER_CONNECTION, count=half)
            )
        await asyncio.sleep(REST_S)
        cores = await asyncio.gather(*(core_percent(each, plan.waits_ms) for each in redis.servers))
        commands = await commands_per_s(redis.node, max(plan.waits_ms, 15_000))
    return [
        figure(f"idle, {STREAMS} workers, {WAITING} waits: a server", "% of a core", [max(cores)],
               IDLE_CORE),
        figure("idle: commands of both servers", "per second", [commands], IDLE_COMMANDS),
    ]  # fmt: skip


async def measure_stored(plan: Plan) -> list[Figure]:
    """One-task workflows over FEW stored executions and over plan.stored; a server that joins."""
    few: list[float] = []
    many: list[float] = []
    async with shared(2) as redis, client_of(redis.servers[0]) as client:
        await client.register(waiting())
        closed = 0
        while closed < FEW:
            closed += (await run_job(saturate(redis.servers, plan), Rate)).workflows
        few.extend([await rate_of(redis, plan) for _ in range(plan.rounds)])
        before, closed = redis.memory(), 0
        while closed < plan.stored * (1 - RUNNING_SHARE):
            closed += (await run_job(saturate(redis.servers, plan), Rate)).workflows
        each_bytes = (redis.memory() - before) / closed
        await start_many(client, ["24 hours"] * int(plan.stored * RUNNING_SHARE))
        many.extend([await rate_of(redis, plan) for _ in range(plan.rounds)])
        joined_s = await joining_s(redis)
    name = f"{plan.stored} stored executions"
    return [
        figure("stored: a closed one-task execution", "bytes", [each_bytes], EXECUTION_BYTES),
        ratio(f"{name} / {FEW}: workflows/s", many, few, FULL_RATE, "x few"),
        figure(f"{name}: a third server has its share", "s", [joined_s], JOIN_S),
    ]


async def rate_of(redis: Shared, plan: Plan) -> float:
    return (await run_job(saturate(redis.servers, plan), Rate)).workflows_per_s


async def joining_s(redis: Shared) -> float:
    """From its serving line until it and a server before it agree that it has a share."""
    async with serving(*command(redis.node.url)) as third:
        began_s = time.monotonic()
        while time.monotonic() - began_s < JOIN_S.limit * 4:
            own = [each for each in await members(third) if each.self]
            seen = {each.incarnation: each.partitions for each in await members(redis.servers[0])}
            if own and min(own[0].partitions, seen.get(own[0].incarnation, 0)) >= SHARE_MIN:
                return time.monotonic() - began_s
            await asyncio.sleep(0.05)
        raise Failed("server: expected a share of the partitions, found none")


async def members(server: Server) -> list[view.Member]:
    async with grpc.aio.insecure_channel(server.target) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        return list((await stub.ListMembers(view.ListMembersRequest())).members)
