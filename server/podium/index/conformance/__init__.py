"""The conformance suite of the index port, shipped: a backend of yours passes it or is none.

`CHECKS` are plain coroutines over a fresh, opened, empty index. Each states one rule of the port by
assertions; run each with an index of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.index.conformance import conditions, pages, writing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podium.index.port import Index

CHECKS: Final[tuple[Callable[[Index], Awaitable[None]], ...]] = (
    *writing.CHECKS,
    *conditions.CHECKS,
    *pages.CHECKS,
)
