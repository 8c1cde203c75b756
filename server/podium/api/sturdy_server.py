"""A grpc.aio server that one bad request cannot end.

grpc.aio (1.85) decodes the path of a request in its accepting loop, and shuts the whole server down
when that is no UTF-8: six bytes of an anonymous peer would end it. Here every method is registered
with the core, which compares paths as bytes, and each has a task that accepts its calls; what is
left over is an unknown method whatever its path is, and is answered so.

Layers stand around the handlers once, where grpc's interceptors would be asked at each call: they
would be given its metadata as tuples, which a peer that does not acknowledge the server's limit can
make 80 MB of, and which stay, in a cycle of references, until Python collects its oldest. Here they
become tuples where somebody asks for them. A call costs a twelfth less as well.

This is the one place that knows grpc's inner names (`_request_call` and those imported below); they
are checked at the import, and tests/attack sends such paths.
"""

from __future__ import annotations

import asyncio
import logging
from functools import reduce
from typing import TYPE_CHECKING, Final, Protocol

import grpc.aio
from grpc._cython import cygrpc
from grpc.aio._server import Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from podium.api.interceptor import Handler

# grpc has no types for what is within:
# pyright: reportMissingTypeStubs=false, reportReturnType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportUntypedBaseClass=false, reportPrivateUsage=false


class Method(Protocol):
    """Of a descriptor."""

    @property
    def name(self) -> str: ...


class Layer(Protocol):
    """What stands around every handler."""

    def wrap(self, method: str, handler: Handler, /) -> Handler:
        """The handler that takes its place; `method`: "/service/method"."""
        ...


class Service(Protocol):
    """A descriptor; protobuf's two classes of them have nothing else in common."""

    @property
    def full_name(self) -> str: ...
    @property
    def methods(self) -> Sequence[Method]: ...


GRPC_LOGGER: Final = "grpc._cython.cygrpc"
UNKNOWN: Final = "/unknown/unknown"
SERVE: Final = {
    (False, False): cygrpc._handle_unary_unary_rpc,  # noqa: SLF001 - see the module
    (False, True): cygrpc._handle_unary_stream_rpc,  # noqa: SLF001
    (True, False): cygrpc._handle_stream_unary_rpc,  # noqa: SLF001
    (True, True): cygrpc._handle_stream_stream_rpc,  # noqa: SLF001
}
"""By (the request is a stream, the answer is a stream)."""
STOPPED: Final[type[Exception]] = cygrpc._RequestCallError  # noqa: SLF001 - see the module


async def _not_found(requests: object, context: grpc.aio.ServicerContext[object, object]) -> None:
    del requests
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


NOT_FOUND: Final = grpc.stream_stream_rpc_method_handler(_not_found)


class _Accepting(cygrpc.AioServer):
    """The base's loop waits for what `_make_request_call_future` gives; here that is only the end
    of accepting, and calls are taken up beside it.
    """

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        if self.over is None:
            self.over = loop.create_future()
            self.over.add_done_callback(lambda done: done.cancelled() or done.exception())
        accepting = loop.create_task(self._accept(method))
        self.accepting.add(accepting)
        accepting.add_done_callback(self._accepted)
        return self.over

    def prepare(self, layers: Sequence[Layer]) -> None:
        """Before anything is added; the first layer is the outermost."""
        self.layers = tuple(layers)
        self.handlers: dict[str, Handler] = {}
        self.over: asyncio.Future[None] | None = None
        self.accepting = set[asyncio.Task[None]]()
        self.calls = set[asyncio.Task[None]]()

    def add_registered_method_handlers(self, method_handlers: dict[str, Handler]) -> None:
        for method, handler in method_handlers.items():
            self.handlers[method] = reduce(
                lambda inner, layer, method=method: layer.wrap(method, inner),
                reversed(self.layers),
                handler,
            )
        super().add_registered_method_handlers(method_handlers)

    async def _accept(self, method: bytes | None) -> None:
        """Take up the calls of one method; None = of all that are not registered."""
        loop = asyncio.get_running_loop()
        name = UNKNOWN if method is None else method.decode()
        handler = NOT_FOUND if method is None else self.handlers[name]
        serve = SERVE[handler.request_streaming, handler.response_streaming]
        while True:
            try:
                state = await (
                    self._request_call()
                    if method is None
                    else self._request_registered_call(method)
                )
            except STOPPED:
                if not self.is_running():
                    raise
                continue  # one call that broke before it was taken up
            call = loop.create_task(
                cygrpc._schedule_rpc_coro(  # noqa: SLF001 - see the module
                    serve(handler, state, loop), state, loop, name
                )
            )
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)

    def _accepted(self, accepting: asyncio.Task[None]) -> None:
        """No more calls: the server stops, or its core is broken."""
        self.accepting.discard(accepting)
        problem = STOPPED() if accepting.cancelled() else accepting.exception()
        if self.over is not None and not self.over.done():
            self.over.set_exception(problem or STOPPED())


class _SturdyServer(Server):
    def __init__(
        self,
        layers: Sequence[Layer],
        options: Sequence[tuple[str, int]],
    ) -> None:
        # Not the base's, which would make a server of its own kind.
        self._loop = cygrpc.get_working_loop()
        self._server = _Accepting(self._loop, None, (), (), tuple(options), None)
        self._server.prepare(layers)


class _Asked:
    """What a generic handler wants to know of a call."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


def sturdy_server(layers: Sequence[Layer], options: Sequence[tuple[str, int]]) -> grpc.aio.Server:
    """As grpc.aio.server, with layers for interceptors; handlers are added by `register` and by
    generated code.
    """
    logging.getLogger(GRPC_LOGGER).addFilter(_passes)
    return _SturdyServer(layers, options)


def _passes(record: logging.LogRecord) -> bool:
    """False for grpc's stack trace about metadata that is no text: a client could fill the disk."""
    return not isinstance(record.msg, str) or not record.msg.startswith("Invalid encoding on")


def register(
    server: grpc.aio.Server,
    services: Iterable[Service],
    handlers: Iterable[grpc.GenericRpcHandler],
) -> None:
    """Register every method of the services that one of the handlers serves."""
    found = {
        (service.full_name, method.name): served
        for service in services
        for method in service.methods
        for handler in handlers
        if (served := handler.service(_Asked(f"/{service.full_name}/{method.name}"))) is not None
    }
    for (service_name, method_name), served in found.items():
        server.add_registered_method_handlers(service_name, {method_name: served})
