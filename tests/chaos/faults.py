"""Faults of a fleet (distribution.md §5, reliability.md §2): each begins, lasts and is healed."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from tests.chaos.fleet import Fleet
from tests.chaos.machine import HOUR_S, RIGHT
from tests.telemetry.scrape import scrape

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from tests.chaos.fleet import NodesFleet
    from tests.chaos.machine import Machine

F_contra = TypeVar("F_contra", bound=Fleet, contravariant=True)

TAKEN_OVER_S = 30
"""3 s of silence, and 10 s more where the store was away just before."""
LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Fault(Generic[F_contra]):
    """`run` returns when it is healed. `outage` = no server reaches the store meanwhile, or not all
    of it.
    """

    name: str
    run: Callable[[F_contra, Random], Awaitable[None]]
    outage: bool = False


async def kill_server(fleet: Fleet, random: Random) -> None:
    victim = random.choice(fleet.servers)
    await victim.kill()
    await asyncio.sleep(random.uniform(0, 5))
    await victim.start()


async def end_server(fleet: Fleet, random: Random) -> None:
    """In good order, under load, as where it is replaced."""
    victim = random.choice(fleet.servers)
    code, words = await victim.stop()
    assert code == 0, words
    await asyncio.sleep(random.uniform(0, 2))
    await victim.start()


async def stop_server(fleet: Fleet, random: Random) -> None:
    """A pause, longer at times than a server may be silent."""
    victim = random.choice(fleet.servers)
    victim.signal(signal.SIGSTOP)
    await asyncio.sleep(random.uniform(0.2, 12))
    victim.signal(signal.SIGCONT)


async def two_owners(fleet: Fleet, random: Random) -> None:
    """A server lives on, stopped or cut off, until another has its partitions; then it is back and
    believes for a moment that they are its own.
    """
    victim, other = random.sample(fleet.servers, 2)
    before = await takeovers(other)
    if random.random() < 1 / 2:
        victim.signal(signal.SIGSTOP)
    else:
        victim.hold("up", "down")
    try:
        async with asyncio.timeout(TAKEN_OVER_S):
            while await takeovers(other) == before:  # noqa: ASYNC110 - it has no signal
                await asyncio.sleep(LOOK_S)
        await asyncio.sleep(random.uniform(0, 6))
    finally:
        victim.signal(signal.SIGCONT)
        victim.go()


async def takeovers(server: Machine) -> float:
    """Shares of others that it took over."""
    return (await scrape(server.web)).value("podium_server_takeovers_total")


async def set_clock(fleet: Fleet, random: Random) -> None:
    """The wall clock of a server that runs jumps by an hour, and back."""
    victim = random.choice(fleet.servers)
    victim.set_clock(random.choice([HOUR_S, -HOUR_S]))
    await asyncio.sleep(random.uniform(1, 8))
    victim.set_clock(RIGHT)


async def start_with_wrong_clock(fleet: Fleet, random: Random) -> None:
    """A server starts an hour early or late, and is set right while it runs."""
    victim = random.choice(fleet.servers)
    await victim.kill()
    victim.set_clock(random.choice([HOUR_S, -HOUR_S]))
    await victim.start()
    await asyncio.sleep(random.uniform(1, 8))
    victim.set_clock(RIGHT)


async def kill_store(fleet: NodesFleet, random: Random) -> None:
    node = random.choice(fleet.nodes())
    node.kill()
    await asyncio.sleep(random.uniform(0, 2))
    await asyncio.to_thread(node.start)


async def restart_store(fleet: NodesFleet, random: Random) -> None:
    """In good order, as an upgrade does it."""
    node = random.choice(fleet.nodes())
    await asyncio.to_thread(node.end)
    await asyncio.sleep(random.uniform(0, 2))
    await asyncio.to_thread(node.start)


async def stop_store(fleet: NodesFleet, random: Random) -> None:
    node = random.choice(fleet.nodes())
    node.signal(signal.SIGSTOP)
    await asyncio.sleep(random.uniform(0.2, 8))
    node.signal(signal.SIGCONT)


def cut_off(*directions: str) -> Callable[[Fleet, Random], Awaitable[None]]:
    """One server does not reach the store, or does not hear of it."""

    async def run(fleet: Fleet, random: Random) -> None:
        victim = random.choice(fleet.servers)
        victim.hold(*directions)
        await asyncio.sleep(random.uniform(0.2, 12))
        victim.go()

    return run


async def slow_store(fleet: Fleet, random: Random) -> None:
    victim = random.choice(fleet.servers)
    for way in victim.ways:
        way.latency_s = random.uniform(0.05, 0.2)
    await asyncio.sleep(random.uniform(1, 5))
    victim.go()


async def lost_answers(fleet: Fleet, random: Random) -> None:
    """The write happened; nobody hears of it."""
    victim = random.choice(fleet.servers)
    for _ in range(random.randint(1, 5)):
        victim.hold("down")
        await asyncio.sleep(random.uniform(0.02, 0.2))
        for way in victim.ways:
            way.cut()
        victim.go()
        await asyncio.sleep(random.uniform(0.1, 0.5))


SERVER_FAULTS: tuple[Fault[Fleet], ...] = (
    Fault("kill_server", kill_server),
    Fault("end_server", end_server),
    Fault("stop_server", stop_server),
    Fault("two_owners", two_owners),
    Fault("set_clock", set_clock),
    Fault("start_with_wrong_clock", start_with_wrong_clock),
    Fault("cut_off", cut_off("up", "down")),
    Fault("requests_held", cut_off("up")),
    Fault("answers_held", cut_off("down")),
    Fault("slow_store", slow_store),
    Fault("lost_answers", lost_answers),
)
NODE_FAULTS: tuple[Fault[NodesFleet], ...] = (
    *SERVER_FAULTS,
    Fault("kill_store", kill_store, outage=True),
    Fault("restart_store", restart_store, outage=True),
    Fault("stop_store", stop_store, outage=True),
)
DYNOMITE_FAULTS: tuple[Fault[NodesFleet], ...] = tuple(
    each for each in NODE_FAULTS if each.run not in {set_clock, start_with_wrong_clock}
)
"""Its scripts go by the servers' clocks."""
