"""A run over a fleet: load, rounds of faults for some minutes, quiet, verdict."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import grpc.aio

from podium.v1.admin_pb2_grpc import AdminServiceStub
from podium.v1.admin_view_pb2 import ListMembersRequest
from tests.chaos.faults import DYNOMITE_FAULTS, NODE_FAULTS, Fault
from tests.chaos.fleet import ClusterFleet, DynomiteFleet, Fleet, NodeFleet, SentinelFleet
from tests.chaos.load import Ledgers, Starter, register, worker
from tests.chaos.node_faults import CLUSTER_FAULTS, SENTINEL_FAULTS
from tests.chaos.run import TASKS_PER_S_MIN, all_finished
from tests.chaos.verdict import Verdict, judge_store, left_at_rest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

F = TypeVar("F", bound=Fleet)

REST_S_MIN, REST_S_MAX = 1.0, 4.0
RECOVERED_S, RECOVERED_AFTER_OUTAGE_S = 10.0, 20.0
LOOK_S = 0.05


@dataclass(slots=True)
class Storm:
    """What a run did and found."""

    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    slowest_s: dict[str, float] = field(default_factory=dict)
    """By fault: the longest time from its end to the next result that was acknowledged."""
    late: list[str] = field(default_factory=list)
    tasks_per_s: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    errors: dict[str, int] = field(default_factory=dict)
    doubled: int = 0
    late_results: int = 0

    @property
    def violations(self) -> list[str]:
        found = [*self.verdict.faults, *self.late]
        if self.tasks_per_s < TASKS_PER_S_MIN:
            found.append(
                f"expected {TASKS_PER_S_MIN} tasks/s to count, found {self.tasks_per_s:.0f}"
            )
        return found

    def lines(self) -> list[str]:
        """For people."""
        counts = [
            f"chaos: {name}: {count} times, on again after {self.slowest_s[name]:.1f} s at most"
            for name, count in sorted(self.faults.items())
        ]
        found = self.verdict
        counts.append(
            f"chaos: results: {self.doubled} came twice, {self.late_results} after later ones"
        )
        last = (
            f"chaos: {found.acknowledged} starts acknowledged, {found.completed} completed,"
            f" {found.runs} task runs, {self.tasks_per_s:.0f} tasks/s, errors at the starters"
            f" {self.errors}, {len(self.violations)} violations"
        )
        return [*self.order, *counts, last] if found.faults else [*counts, last]


async def storm(
    store: str, *, minutes: float, seed: int, only: frozenset[str] = frozenset()
) -> Storm:
    """A run over one of STORES: each of its faults (or of `only`) in turn, in random order, for as
    long or until the end of the round, so 0 minutes are one round.
    """
    return await STORES[store](Course(minutes, seed, only))


@dataclass(frozen=True, slots=True)
class Course:
    """How long, and which faults; none named = all."""

    minutes: float
    seed: int
    only: frozenset[str]


async def over(make: Callable[[Path], F], faults: tuple[Fault[F], ...], course: Course) -> Storm:
    """Faults for some minutes; then let everything finish and judge."""
    random = Random(course.seed)
    struck = tuple(each for each in faults if not course.only or each.name in course.only)
    found = Storm()
    ledgers = Ledgers()
    with TemporaryDirectory(prefix="podium-storm-") as folder:
        async with make(Path(folder)) as fleet:
            await register(fleet.targets[0])
            await _weather(
                fleet, ledgers, found, random=random, minutes=course.minutes, faults=struck
            )
            found.verdict = await judge_store(fleet.store(), ledgers)
            members = await incarnations(fleet.targets[0])
            found.verdict.faults += await left_at_rest(fleet.store(), members)
    found.errors = ledgers.errors
    found.doubled, found.late_results = ledgers.unruly.doubled, ledgers.unruly.late
    return found


async def _weather(  # noqa: PLR0913 - the parts of a run
    fleet: F,
    ledgers: Ledgers,
    found: Storm,
    *,
    random: Random,
    minutes: float,
    faults: tuple[Fault[F], ...],
) -> None:
    starters = [Starter(each, ledgers, name=f"s{n}") for n, each in enumerate(fleet.targets)]
    workers = [worker(each, ledgers, each) for each in fleet.targets]
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for serving in workers:
            group.create_task(serving.run())
        starting = [group.create_task(each.run()) for each in starters]
        deck = random.sample(faults, len(faults))
        while time.monotonic() - began_s < minutes * 60 or deck:
            deck = deck or random.sample(faults, len(faults))
            await asyncio.sleep(random.uniform(REST_S_MIN, REST_S_MAX))
            await _strike(deck.pop(), fleet, ledgers, found, random)
        found.seconds = time.monotonic() - began_s
        found.tasks_per_s = ledgers.worker.accepted_count / found.seconds
        for each in starters:
            each.stopping.set()
        await asyncio.gather(*starting)
        await all_finished(fleet.targets[0], ledgers)
        for serving in workers:
            await serving.stop()


async def incarnations(target: str) -> list[str]:
    """Of all servers that this one knows."""
    async with grpc.aio.insecure_channel(target) as channel:
        found = await AdminServiceStub(channel).ListMembers(ListMembersRequest())
    return [each.incarnation for each in found.members]


async def _strike(
    fault: Fault[F], fleet: F, ledgers: Ledgers, found: Storm, random: Random
) -> None:
    try:
        await fault.run(fleet, random)
    except Exception as error:
        error.add_note(f"in {fault.name}, after {found.order}")
        raise
    found.order.append(f"{fault.name} until {time.time_ns() // 1_000_000} ms")
    ended_s, before = time.monotonic(), ledgers.worker.accepted_count
    while ledgers.worker.accepted_count == before:  # noqa: ASYNC110 - it has no signal
        await asyncio.sleep(LOOK_S)
    took_s = time.monotonic() - ended_s
    found.faults[fault.name] += 1
    found.slowest_s[fault.name] = max(took_s, found.slowest_s.get(fault.name, 0.0))
    if took_s > (RECOVERED_AFTER_OUTAGE_S if fault.outage else RECOVERED_S):
        found.late.append(f"{fault.name}: work went on {took_s:.1f} s after its end")


STORES: dict[str, Callable[[Course], Awaitable[Storm]]] = {
    "redis": lambda course: over(NodeFleet, NODE_FAULTS, course),
    "dynomite": lambda course: over(DynomiteFleet, DYNOMITE_FAULTS, course),
    "sentinel": lambda course: over(SentinelFleet, SENTINEL_FAULTS, course),
    "cluster": lambda course: over(ClusterFleet, CLUSTER_FAULTS, course),
}
