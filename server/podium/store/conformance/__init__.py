"""The conformance suite of the store port, shipped: a backend of yours passes it or is none.

`CHECKS` are plain coroutines over a `Subject` (your fresh, opened, empty store and its clock). Each
states one rule of the port by assertions; run each with a subject of its own. The suite asks for
what the port promises, nothing that only one backend does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.store.conformance import (
    admission,
    cached,
    changes,
    commits,
    entries,
    inspection,
    queues,
    registry,
    starts,
    view,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podium.store.conformance.subject import Subject

CHECKS: Final[tuple[Callable[[Subject], Awaitable[None]], ...]] = (
    *commits.CHECKS,
    *starts.CHECKS,
    *entries.CHECKS,
    *queues.CHECKS,
    *registry.CHECKS,
    *cached.CHECKS,
    *inspection.CHECKS,
    *admission.CHECKS,
    *view.CHECKS,
    *changes.CHECKS,
)
