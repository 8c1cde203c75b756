"""What operations work with: the ports that the composition root gives them, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.app.config_view import Shown
    from podium.registry.registry import Registry
    from podium.runtime.clock import Clock, Ids
    from podium.runtime.executor import Executor
    from podium.runtime.parking import Parking
    from podium.runtime.polls import PollDesk
    from podium.runtime.service import Runtime
    from podium.runtime.vault import Vault
    from podium.runtime.watch import Watch
    from podium.store.port import Store


@dataclass(slots=True)
class Place:
    """Where a server listens, once it does, and since when it is there (epoch ms)."""

    address: str = ""
    started_ms: int = 0


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
    config: tuple[Shown, ...] = ()
    """The configuration in force, as it may be shown."""
    place: Place = field(default_factory=Place)

    @property
    def vault(self) -> Vault:
        """What is put in where tasks are handed out."""
        return self.runtime.vault


def services_of(runtime: Runtime, registry: Registry, config: Sequence[Shown] = ()) -> Services:
    """What operations work with."""
    return Services(
        executor=runtime.executor,
        registry=registry,
        store=runtime.store,
        clock=runtime.clock,
        ids=runtime.ids,
        polls=runtime.polls,
        watch=runtime.watch,
        parking=runtime.parking,
        runtime=runtime,
        config=tuple(config),
        place=Place(started_ms=runtime.clock.now_ms()),
    )
