"""Conductor's wire contract, both ways: nothing of it is missing, and nothing stands beside it.

The contract is grpc-wire.json beside this file, a copy of ../shared/contract/grpc-wire.json.
"""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from podium import conductor

COPY = Path(__file__).parent / "grpc-wire.json"
SHARED = Path(__file__).parents[3] / "shared" / "contract" / "grpc-wire.json"
CONTRACT = json.loads(COPY.read_text())

SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
}


def test_the_copy_is_the_shared_contract() -> None:
    if not SHARED.exists():
        pytest.skip("no ../shared beside this repository")
    assert json.loads(SHARED.read_text()) == CONTRACT


def test_services_are_those_of_the_contract() -> None:
    found = {service.full_name: rpcs(service) for file in files() for service in services(file)}
    assert found == CONTRACT["services"]


def test_messages_are_those_of_the_contract() -> None:
    found = {message.full_name: fields(message) for message in messages()}
    assert found == CONTRACT["messages"]
    assert len(found) == 107


def test_enums_are_those_of_the_contract() -> None:
    found = {enum.full_name: values(enum) for enum in enums()}
    assert found == CONTRACT["enums"]


def test_every_scalar_is_without_presence_and_no_field_is_in_a_oneof() -> None:
    # A client's stubs are proto3 without `optional`; presence would change what is sent for zero.
    odd = [
        field.full_name
        for message in messages()
        for field in message.fields
        if field.containing_oneof is not None or (field.has_presence and field.message_type is None)
    ]
    assert odd == []


def files() -> Iterator[FileDescriptor]:
    for module in iter_modules(conductor.__path__):
        if module.name.endswith("_pb2"):
            yield import_module(f"{conductor.__name__}.{module.name}").DESCRIPTOR


def services(file: FileDescriptor) -> Iterator[ServiceDescriptor]:
    yield from file.services_by_name.values()


def rpcs(service: ServiceDescriptor) -> dict[str, list[str]]:
    return {method.name: signature(method) for method in service.methods}


def signature(method: MethodDescriptor) -> list[str]:
    sent = ("stream " if method.client_streaming else "") + method.input_type.full_name
    received = ("stream " if method.server_streaming else "") + method.output_type.full_name
    return [sent, received]


def messages() -> Iterator[Descriptor]:
    """All messages, nested ones included, without the entries that stand behind maps."""
    waiting = [message for file in files() for message in file.message_types_by_name.values()]
    while waiting:
        message = waiting.pop()
        if not message.GetOptions().map_entry:
            yield message
            waiting.extend(message.nested_types)


def enums() -> Iterator[EnumDescriptor]:
    for file in files():
        yield from file.enum_types_by_name.values()
    for message in messages():
        yield from message.enum_types


def values(enum: EnumDescriptor) -> dict[str, str]:
    return {str(value.number): value.name for value in enum.values}


def fields(message: Descriptor) -> dict[str, list[str]]:
    return {str(field.number): [field.name, declared(field)] for field in message.fields}


def declared(field: FieldDescriptor) -> str:
    """The type as a proto file states it."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (field.message_type.fields_by_number[number] for number in (1, 2))
        return f"map<{single(key)}, {single(value)}>"
    return f"repeated {single(field)}" if field.is_repeated else single(field)


def single(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return field.message_type.full_name
    if field.enum_type is not None:
        return field.enum_type.full_name
    return SCALARS[field.type]
