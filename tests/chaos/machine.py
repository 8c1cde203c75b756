"""One server as on a machine of its own: its wall clock, and its ways to the nodes of the store."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from tests.chaos.disturbed_server import NS_PER_S, WRONG_BY
from tests.chaos.proxy import Proxy
from tests.chaos.victim import Victim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RIGHT = 0
HOUR_S = 3_600


class Machine(Victim):
    """`ports`: of the store's nodes; each is reached through a proxy of this machine's own."""

    def __init__(
        self, folder: Path, url: str = "", *, name: str = "machine", ports: Sequence[int] = ()
    ) -> None:
        super().__init__(folder, url)
        self.ways = [Proxy(port) for port in ports]
        self._clock = folder / f"{name}.clock"
        self._stack = AsyncExitStack()

    def set_clock(self, wrong_s: int) -> None:
        """The wall clock; RIGHT sets it right. It stays so through the server's lives."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(WRONG_BY.pack(wrong_s * NS_PER_S))

    def hold(self, *directions: str) -> None:
        """Nothing passes to or from the store, until `go`."""
        for each in self.ways:
            each.stop(*directions)

    def go(self) -> None:
        """Everything passes again, at once."""
        for each in self.ways:
            each.go()

    async def __aenter__(self) -> Self:
        self.set_clock(RIGHT)
        for each in self.ways:
            await self._stack.enter_async_context(each)
        self.program = "tests.chaos.disturbed_server"
        self.environment = {
            "CLOCK": str(self._clock),
            "DETOURS": ",".join(f"{each.port_to}:{each.port}" for each in self.ways),
        }
        return await super().__aenter__()

    async def __aexit__(self, *failure: object) -> None:
        self.go()
        await super().__aexit__(*failure)
        await self._stack.aclose()
