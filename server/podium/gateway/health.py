"""GET /health: whether to send work here. 200 = yes, 503 = not now; the body says why, in JSON.

A lagging loop is told and not judged: whoever restarts servers for it makes it worse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """How the server is, as it knows itself: nothing is asked for this."""

    serving: bool
    """Calls are accepted."""
    stopping: bool
    store_reachable: bool
    """The last heartbeat came through."""
    loop_lag_ms: int

    @property
    def fit(self) -> bool:
        """Whether work should be sent here."""
        return self.serving and self.store_reachable and not self.stopping


def health_routes(condition: Callable[[], Condition]) -> list[web.RouteDef]:
    """For the listener."""

    async def health(request: web.Request) -> web.Response:
        del request
        found = condition()
        return web.Response(
            status=200 if found.fit else 503,
            body=msgspec.json.encode(found),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    return [web.get("/health", health)]
