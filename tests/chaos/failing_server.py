"""`podium` that is killed at a named point: FAULT=verb:hit:mode, as of reliability.md F1.

Points are the verbs of the store: whatever a server does between two of them is in its memory, so
a kill before or after each verb is a kill at every step that can be told apart from outside. Modes:
`before` kills the process in place of the call, `after` when it was carried out. Calls that fail
and answers that are lost are the simulation's.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

from podium import bootstrap
from podium.cli.main import main
from podium.store.faulty import NO_FAULTS, FaultyStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podium.config import Store as StoreSettings
    from podium.store.port import Store

T = TypeVar("T")


async def no_delay(delay_ms: int) -> None:
    """None is drawn."""
    del delay_ms


class FailingStore(FaultyStore):
    """Fails once, at one point."""

    def __init__(self, store: Store, point: str) -> None:
        super().__init__(store, NO_FAULTS, chance=random.Random(0), sleep_ms=no_delay)
        self._verb, hit, self._mode = point.split(":")
        self._left = int(hit)

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        if verb == self._verb:
            self._left -= 1
        hit = verb == self._verb and self._left == 0
        if hit and self._mode == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await call()
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def plant(point: str) -> None:
    """In all that this process opens."""
    real = bootstrap.open_store

    def open_failing(settings: StoreSettings, now_ms: Callable[[], int]) -> Store:
        return FailingStore(real(settings, now_ms), point)

    bootstrap.open_store = open_failing


if __name__ == "__main__":
    if point := os.environ.get("FAULT"):
        plant(point)
    sys.exit(main())
