"""What operations work with: the ports that the composition root gives them, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.registry.registry import Registry
    from podium.runtime.clock import Clock, Ids
    from podium.runtime.executor import Executor
    from podium.runtime.parking import Parking
    from podium.runtime.polls import PollDesk
    from podium.runtime.service import Runtime
    from podium.runtime.watch import Watch
    from podium.store.port import Store


@dataclass(frozen=True, slots=True)
class Services:
    """One server's parts, as operations see them."""

    executor: Executor
    registry: Registry
    store: Store
    clock: Clock
    ids: Ids
    polls: PollDesk
    watch: Watch
    parking: Parking
    runtime: Runtime
    """The whole of it, for those who look at a server or mend it (AdminService)."""
