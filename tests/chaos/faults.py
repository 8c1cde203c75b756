"""Faults of a fleet (distribution.md §5, reliability.md §2): each begins, lasts and is healed."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from tests.chaos.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from tests.chaos.fleet import NodeFleet

F_contra = TypeVar("F_contra", bound=Fleet, contravariant=True)


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


async def stop_server(fleet: Fleet, random: Random) -> None:
    """A pause, longer at times than a server may be silent."""
    victim = random.choice(fleet.servers)
    victim.signal(signal.SIGSTOP)
    await asyncio.sleep(random.uniform(0.2, 12))
    victim.signal(signal.SIGCONT)


async def kill_store(fleet: NodeFleet, random: Random) -> None:
    fleet.node.kill()
    await asyncio.sleep(random.uniform(0, 2))
    await fleet.start_node()


async def stop_store(fleet: NodeFleet, random: Random) -> None:
    fleet.node.signal(signal.SIGSTOP)
    await asyncio.sleep(random.uniform(0.2, 8))
    fleet.node.signal(signal.SIGCONT)


async def cut_off(fleet: NodeFleet, random: Random) -> None:
    """One server does not reach the store, in both directions or one."""
    proxy = random.choice(fleet.proxies)
    proxy.stop(*random.choice([("up", "down"), ("up",), ("down",)]))
    await asyncio.sleep(random.uniform(0.2, 12))
    proxy.go()


async def slow_store(fleet: NodeFleet, random: Random) -> None:
    proxy = random.choice(fleet.proxies)
    proxy.latency_s = random.uniform(0.05, 0.2)
    await asyncio.sleep(random.uniform(1, 5))
    proxy.go()


async def lost_answers(fleet: NodeFleet, random: Random) -> None:
    """The write happened; nobody hears of it."""
    proxy = random.choice(fleet.proxies)
    for _ in range(random.randint(1, 5)):
        proxy.stop("down")
        await asyncio.sleep(random.uniform(0.02, 0.2))
        proxy.cut()
        proxy.go()
        await asyncio.sleep(random.uniform(0.1, 0.5))


SERVER_FAULTS: tuple[Fault[Fleet], ...] = (
    Fault("kill_server", kill_server),
    Fault("stop_server", stop_server),
)
NODE_FAULTS: tuple[Fault[NodeFleet], ...] = (
    *SERVER_FAULTS,
    Fault("kill_store", kill_store, outage=True),
    Fault("stop_store", stop_store, outage=True),
    Fault("cut_off", cut_off),
    Fault("slow_store", slow_store),
    Fault("lost_answers", lost_answers),
)
