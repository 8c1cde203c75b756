"""Whether the server is overloaded: how far its loop is behind, how much waits in its mailboxes.

The lag is measured when starts come, not by a clock that ticks for nothing: a callback is queued,
and the time until it runs is the lag. One that has not run yet counts with the time it waits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import grpc

from podium.api.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

LAG_MS_MAX: Final = 200
LAG_KEPT_MS: Final = 500
"""A lag is believed this long; then starts are let in and measure it anew."""
RETRY_MS: Final = 1_000
MAILBOX_BYTES_MAX: Final = 256 * 1024 * 1024


class Load:
    """Of one server. `mailbox_bytes` tells what waits to be decided and stored; `shed` is told of
    each refusal.
    """

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        mailbox_bytes: Callable[[], int] = lambda: 0,
        mailbox_bytes_max: int = MAILBOX_BYTES_MAX,
        shed: Callable[[], None] = lambda: None,
    ) -> None:
        self._now_ms = now_ms
        self._mailbox_bytes = mailbox_bytes
        self._mailbox_bytes_max = mailbox_bytes_max
        self._shed = shed
        self._asked_ms: int | None = None
        self._lag_ms = 0
        self._known_ms = 0

    def admit_start(self) -> None:
        """Raises Refused where starts are shed."""
        if (found := self.overload()) is not None:
            self._shed()
            text = f"{found}; nothing was started"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, text, RETRY_MS)

    def overload(self) -> str | None:
        """What is too much, as "expected ..., found ..."; None where starts may come."""
        waiting = self._mailbox_bytes()
        if waiting > self._mailbox_bytes_max:
            return (
                f"expected at most {self._mailbox_bytes_max} bytes of commands that wait"
                f" (limits.mailbox_bytes), found {waiting}"
            )
        lag_ms = self._lag()
        if lag_ms > LAG_MS_MAX:
            return f"expected a server at most {LAG_MS_MAX} ms behind, found it {lag_ms} ms behind"
        return None

    def _lag(self) -> int:
        now_ms = self._now_ms()
        if self._asked_ms is not None:
            return max(now_ms - self._asked_ms, self._believed(now_ms))
        self._asked_ms = now_ms
        asyncio.get_running_loop().call_soon(self._measured)
        return self._believed(now_ms)

    def _believed(self, now_ms: int) -> int:
        return self._lag_ms if now_ms - self._known_ms <= LAG_KEPT_MS else 0

    def _measured(self) -> None:
        assert self._asked_ms is not None
        self._known_ms = self._now_ms()
        self._lag_ms = self._known_ms - self._asked_ms
        self._asked_ms = None
