"""A run of many lives on one store: each ends at the next failpoint, the last one lives on.

Whatever the ledgers of the clients hold is judged at the end, as of chaos (verdict.py).
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.processes import ROOT, end
from tests.chaos.load import Ledgers, Starter, register, worker
from tests.chaos.run import all_finished
from tests.chaos.verdict import Verdict, judge
from tests.chaos.victim import Victim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KILLED = -9
LIFE_S_MAX = 20
"""A point that a server under load does not come to in this time is not reached."""


SITES = (
    "commit", "push_assign", "want", "settle", "ready", "held", "outbox", "heartbeat", "due",
    "load", "indexed", "changed", "list_definitions", "registry_generation",
)  # fmt: skip
"""Verbs that a server calls by itself, or for this load."""
MODES = ("before", "after")


def points_of(sites: Sequence[str], hits: Sequence[int]) -> list[str]:
    """Each site at each hit, in both modes."""
    return [f"{site}:{hit}:{mode}" for site in sites for hit in hits for mode in MODES]


@dataclass(slots=True)
class Survived:
    """What became of it."""

    reached: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Points that no server came to."""
    verdict: Verdict = field(default_factory=Verdict)


async def survive(folder: Path, points: Sequence[str]) -> Survived:
    """One server on sqlite, killed at each point in turn under load; then everything finishes."""
    victim = Victim(folder)
    ledgers = Ledgers()
    survived = Survived()
    async with victim:
        await register(victim.target)
        starter = Starter(victim.target, ledgers)
        serving = worker(victim.target, ledgers)
        async with asyncio.TaskGroup() as group:
            group.create_task(serving.run())
            starting = group.create_task(starter.run())
            await victim.kill()
            for point in points:
                reached = await life(victim, point)
                (survived.reached if reached else survived.missed).append(point)
            await victim.start()
            starter.stopping.set()
            await starting
            await all_finished(victim.target, ledgers)
            await serving.stop()
    survived.verdict = await judge(victim.store, ledgers)
    return survived


async def life(victim: Victim, point: str) -> bool:
    """Whether the server was killed by its own point."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.failing_server", "serve"),
        *("--grpc", victim.target, "--http", "127.0.0.1:0", "--store", victim.url),
        cwd=ROOT,
        env={**os.environ, "FAULT": point},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(LIFE_S_MAX):
            return await process.wait() == KILLED
    except TimeoutError:
        return False
    finally:
        await end(process)
