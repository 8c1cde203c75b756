"""A caller that repeats what failed before it happened, as servers do."""

from collections.abc import Awaitable, Callable
from typing import Any

from podium.store.port import Store, StoreUnavailable

TRIES_MAX = 100


class Repeating:
    """Stands in for a store; every verb is tried until it answers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, verb: str) -> Any:
        member = getattr(self._store, verb)
        if verb in ("capabilities", "subscribe"):
            return member
        return lambda *arguments, **named: _repeat(lambda: member(*arguments, **named))


async def _repeat(call: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(TRIES_MAX):
        try:
            return await call()
        except StoreUnavailable:
            continue
    raise AssertionError(f"expected an answer within {TRIES_MAX} tries, found none")
