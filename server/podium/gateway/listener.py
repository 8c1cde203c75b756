"""The HTTP listener: routes that others bring, and nothing of a fault for a client.

What is served stands with those who serve it (health.py, metrics.py): they give routes, the
composition root puts them together. A fault of a handler is logged and answered with 500 and a
fixed text.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOG = logging.getLogger("podium.gateway")
REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024
STOP_S: Final = 3
"""Requests in flight are answered within this."""
FAULT: Final = "expected an answer, found a fault of the server: see its log\n"


class Listener:
    """One per server. `routes` are aiohttp's (web.get(path, handler))."""

    def __init__(self, routes: Iterable[web.AbstractRouteDef]) -> None:
        application = web.Application(middlewares=[_guarded], client_max_size=REQUEST_BYTES_MAX)
        application.add_routes(routes)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_S)

    async def start(self, host: str, port: int) -> int:
        """Accept requests; answers the port, of a free one where it is 0. Raises OSError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host.strip("[]"), port)
        await site.start()
        address: tuple[str, int] = self._runner.addresses[0]
        return address[1]

    async def stop(self) -> None:
        """No new requests; those in flight are answered, or ended after STOP_S."""
        await self._runner.cleanup()


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception:
        noted = {"event": "http_failed", "method": request.method, "path": request.path}
        LOG.exception("an HTTP request failed", extra=noted)
        return web.Response(status=500, text=FAULT)
