"""A gRPC service made of a table: the methods that are served, and a clear answer for the rest.

Handlers are registered under the names of the service's descriptor, but with messages of their own
choice: Conductor's services read and write twins, which are the same on the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import grpc
import msgspec
from google.protobuf.message import Message

from podium.api.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

MAKERS: Final = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By (the request is a stream, the answer is a stream)."""

Context: TypeAlias = "grpc.aio.ServicerContext[Message, Message]"


class Behaviour(Protocol):
    """A method's coroutine, or its generator of answers; what it takes and gives, its type says."""

    @property
    def __name__(self) -> str: ...


class Served(msgspec.Struct, frozen=True):
    """A method that is built: its behaviour and the class of its requests."""

    behaviour: Behaviour
    request: type[Message]


def service_handler(
    service: ServiceDescriptor, served: Mapping[str, Served]
) -> grpc.GenericRpcHandler:
    """The service's handler; methods without an entry answer UNIMPLEMENTED."""
    methods = {method.name: method for method in service.methods}
    assert served.keys() <= methods.keys(), served.keys() - methods.keys()
    return grpc.method_handlers_generic_handler(
        service.full_name,
        {
            name: _handler(method, served.get(name) or Served(_absent(method), Message))
            for name, method in methods.items()
        },
    )


def _handler(method: MethodDescriptor, served: Served) -> grpc.RpcMethodHandler[Message, Message]:
    make = MAKERS[method.client_streaming, method.server_streaming]
    read = None if served.request is Message else served.request.FromString
    # A Behaviour is called by grpc alone, with what `read` gives.
    return make(served.behaviour, read, _write)  # pyright: ignore[reportArgumentType]


def _write(message: Message) -> bytes:
    return message.SerializeToString()


def _absent(method: MethodDescriptor) -> Callable[[bytes, Context], Awaitable[Message]]:
    name = f"{method.containing_service.full_name}/{method.name}"

    async def absent(request: bytes, context: Context) -> Message:
        del request, context
        raise Refused(
            grpc.StatusCode.UNIMPLEMENTED,
            f"expected a method that this version of Podium serves, found {name}",
        )

    return absent
