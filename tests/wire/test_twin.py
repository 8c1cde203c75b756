"""A twin is its original on the wire: bytes pass through it unchanged, and its bytes are Values."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from random import Random

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct, Value

from podium import conductor
from podium.conductor import definition_pb2, execution_pb2, request_pb2, twin

VALUE = "google.protobuf.Value"
DEPTH_MAX = 3
SEEDS = 5


def twins() -> list[Descriptor]:
    """All top-level twins."""
    return [
        message
        for module in iter_modules(twin.__path__)
        if module.name.endswith("_pb2")
        for message in import_module(
            f"{twin.__name__}.{module.name}"
        ).DESCRIPTOR.message_types_by_name.values()
    ]


def original(twinned: Descriptor) -> Descriptor:
    file = Path(twinned.file.name).stem
    return import_module(f"{conductor.__name__}.{file}_pb2").DESCRIPTOR.message_types_by_name[
        twinned.name
    ]


def test_the_twin_of_conductor_x_is_podium_twin_x() -> None:
    for twinned in twins():
        name = twinned.full_name.replace("podium.twin.", "conductor.", 1)
        assert original(twinned).full_name == name


@pytest.mark.parametrize("twinned", twins(), ids=lambda twinned: twinned.full_name)
def test_bytes_pass_through_a_twin_unchanged(twinned: Descriptor) -> None:
    for seed in range(SEEDS):
        # Given a random message of the original type on the wire
        descriptor = original(twinned)
        message = GetMessageClass(descriptor)()
        fill(message, descriptor, Random(f"{twinned.full_name} {seed}"), 0)
        wire = message.SerializeToString(deterministic=True)

        # When a twin reads it and writes it
        passed = GetMessageClass(twinned).FromString(wire).SerializeToString(deterministic=True)

        # Then not one byte differs
        assert passed == wire


def test_the_twins_are_exactly_the_messages_that_can_hold_a_value() -> None:
    originals = {
        message.full_name
        for module in iter_modules(conductor.__path__)
        if module.name.endswith("_pb2")
        for message in import_module(
            f"{conductor.__name__}.{module.name}"
        ).DESCRIPTOR.message_types_by_name.values()
        if reaches_value(message, set())
    }
    assert {original(twinned).full_name for twinned in twins()} == originals
    for twinned in twins():
        assert not reaches_value(twinned, set()), twinned.full_name


def test_the_bytes_of_a_twin_are_values() -> None:
    # Given a result with every kind of value
    kinds = {"n": None, "b": True, "d": 1.5, "s": "text", "l": [1, {"x": []}], "o": {"y": "z"}}
    output = Struct()
    output.update(kinds)
    result = execution_pb2.TaskResult(task_id="t")
    for key, value in output.fields.items():
        result.output_data[key].CopyFrom(value)

    # When a twin reads it
    read = import_module(f"{twin.__name__}.execution_pb2").TaskResult.FromString(
        result.SerializeToString()
    )

    # Then what it holds is what went in
    assert read.task_id == "t"
    back = {key: Value.FromString(value) for key, value in read.output_data.items()}
    assert back == dict(output.fields)


def test_a_twin_knows_an_absent_value_from_an_empty_one() -> None:
    twinned = import_module(f"{twin.__name__}.definition_pb2").SubWorkflowParams
    absent = definition_pb2.SubWorkflowParams(name="w")
    empty = definition_pb2.SubWorkflowParams(name="w", workflow_definition=Value())
    assert not twinned.FromString(absent.SerializeToString()).HasField("workflow_definition")
    assert twinned.FromString(empty.SerializeToString()).HasField("workflow_definition")


def test_fields_that_a_twin_does_not_know_pass_through() -> None:
    # Given a newer client, whose request has a field 1000
    newer = request_pb2.StartWorkflowRequest(name="w").SerializeToString() + b"\xc2\x3e\x01x"
    read = import_module(f"{twin.__name__}.request_pb2").StartWorkflowRequest.FromString(newer)
    assert read.SerializeToString() == newer


def reaches_value(message: Descriptor, seen: set[str]) -> bool:
    if message.full_name in seen:
        return False
    seen.add(message.full_name)
    return message.full_name == VALUE or any(
        reaches_value(field.message_type, seen)
        for field in message.fields
        if field.message_type is not None
    )


def fill(message: Message, descriptor: Descriptor, chance: Random, depth: int) -> None:
    """Set a random half of the fields, down to DEPTH_MAX messages deep."""
    for field in descriptor.fields:
        if chance.random() < 0.5:
            continue
        if field.message_type is None:
            set_scalar(message, field, chance)
        elif depth < DEPTH_MAX:
            set_message(getattr(message, field.name), field, chance, depth + 1)


def set_scalar(message: Message, field: FieldDescriptor, chance: Random) -> None:
    if field.is_repeated:
        getattr(message, field.name).extend(scalar(field, chance) for _ in some(chance))
    else:
        setattr(message, field.name, scalar(field, chance))


def set_message(target, field: FieldDescriptor, chance: Random, depth: int) -> None:
    descriptor = field.message_type
    assert descriptor is not None
    if descriptor.GetOptions().map_entry:
        set_entries(target, descriptor.fields_by_name["value"], chance, depth)
    elif field.is_repeated:
        for _ in some(chance):
            fill(target.add(), descriptor, chance, depth)
    else:
        target.SetInParent()
        fill(target, descriptor, chance, depth)


def set_entries(target, value: FieldDescriptor, chance: Random, depth: int) -> None:
    for _ in some(chance):
        if value.message_type is None:
            target[text(chance)] = scalar(value, chance)
        else:
            fill(target[text(chance)], value.message_type, chance, depth)


def some(chance: Random) -> range:
    return range(chance.randint(1, 3))


def scalar(field: FieldDescriptor, chance: Random) -> object:
    match field.type:
        case FieldDescriptor.TYPE_BOOL:
            return chance.random() < 0.5
        case FieldDescriptor.TYPE_INT32 | FieldDescriptor.TYPE_INT64:
            return chance.choice([0, 1, -1, 2**31 - 1])
        case FieldDescriptor.TYPE_ENUM:
            assert field.enum_type is not None
            return chance.choice(field.enum_type.values).number
        case FieldDescriptor.TYPE_DOUBLE:
            return chance.choice([0.0, -0.0, 1e300, chance.random()])
        case FieldDescriptor.TYPE_BYTES:
            return chance.randbytes(chance.randint(0, 9))
        case _:
            return text(chance)


def text(chance: Random) -> str:
    return "".join(chance.choices("abcäß漢 \x00{}", k=chance.randint(0, 9)))
