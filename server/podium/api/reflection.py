"""gRPC reflection, v1 and v1alpha: what services there are, and how they are described.

grpcio-reflection knows v1alpha only. v1 has the same messages, byte for byte, under another package
(grpc-behaviour.md: both are on), so its descriptor is the other's, renamed, and its handler the
same servicer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from grpc_reflection.v1alpha import reflection, reflection_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from grpc.aio import Server
    from grpc_reflection.v1alpha.reflection_pb2 import (
        ServerReflectionRequest,
        ServerReflectionResponse,
    )

ALPHA_PACKAGE: Final = "grpc.reflection.v1alpha"
PACKAGE: Final = "grpc.reflection.v1"
FILE: Final = "grpc/reflection/v1/reflection.proto"
SERVICE: Final = f"{PACKAGE}.ServerReflection"
ALPHA_SERVICE: Final = reflection.SERVICE_NAME


class Answers(Protocol):
    """What the package's servicer does, which has no types."""

    def ServerReflectionInfo(  # noqa: N802 - the rpc's name
        self, request_iterator: Iterator[ServerReflectionRequest], context: None
    ) -> Iterator[ServerReflectionResponse]: ...


def _describe() -> None:
    """Make v1 known to the pool that reflection answers from."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = FILE, PACKAGE
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = _renamed(field.type_name)
    for service in file.service:
        for method in service.method:
            method.input_type = _renamed(method.input_type)
            method.output_type = _renamed(method.output_type)
    Default().AddSerializedFile(file.SerializeToString())


def _renamed(type_name: str) -> str:
    return type_name.replace(f".{ALPHA_PACKAGE}.", f".{PACKAGE}.")


_describe()


def add_reflection(server: Server, services: Iterable[str]) -> None:
    """Serve both versions; each names itself beside `services`."""
    names = (*services, SERVICE, ALPHA_SERVICE)
    reflection.enable_server_reflection(names, server)
    answers = cast("Answers", reflection.ReflectionServicer(names))

    async def info(
        requests: AsyncIterator[ServerReflectionRequest], _: object
    ) -> AsyncIterator[ServerReflectionResponse]:
        async for request in requests:
            for answer in answers.ServerReflectionInfo(iter((request,)), None):
                yield answer

    method = grpc.stream_stream_rpc_method_handler(
        info,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_registered_method_handlers(SERVICE, {"ServerReflectionInfo": method})
