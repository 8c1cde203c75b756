"""`python -m tests.fuzz.seeds`: the first inputs of each target, written into its corpus.

A request or frame has each field filled once, by its descriptor; definitions are those of the
demo.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor

from podium.v1 import worker_pb2
from tests.fuzz.targets import LENGTH_BYTES, Requests

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

FOLDER: Final = Path(__file__).resolve().parent / "corpus"
KITCHEN_SINK: Final = (
    Path(__file__).resolve().parents[2] / "server" / "podium" / "cli" / "kitchensink"
)
DEPTH: Final = 3
VALUES: Final[dict[int, Any]] = {
    FieldDescriptor.CPPTYPE_STRING: "name",
    FieldDescriptor.CPPTYPE_BOOL: True,
    FieldDescriptor.CPPTYPE_DOUBLE: 1.5,
    FieldDescriptor.CPPTYPE_FLOAT: 1.5,
}


def filled(kind: Descriptor, depth: int = DEPTH) -> Message:
    """A message with every field set once."""
    message = message_factory.GetMessageClass(kind)()
    for field in kind.fields:
        if field.message_type is not None:
            if depth:
                fill_message(message, field, depth)
            continue
        value = b"{}" if field.type == FieldDescriptor.TYPE_BYTES else VALUES.get(field.cpp_type, 1)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


def fill_message(message: Message, field: FieldDescriptor, depth: int) -> None:
    """A field that holds messages."""
    inner = field.message_type
    assert inner is not None, field.name
    if inner.GetOptions().map_entry:
        entry = inner.fields_by_name["value"]
        held = getattr(message, field.name)
        if entry.message_type is not None:
            held["name"].CopyFrom(filled(entry.message_type, depth - 1))
        else:
            held["name"] = VALUES.get(entry.cpp_type, 1)
    elif field.is_repeated:
        getattr(message, field.name).append(filled(inner, depth - 1))
    else:
        getattr(message, field.name).CopyFrom(filled(inner, depth - 1))


def requests() -> dict[str, bytes]:
    """One for each method."""
    target = Requests()
    target.run(b"\0")
    found: dict[str, bytes] = {}
    for number, path in enumerate(target.methods):
        _, service, method = path.split("/")
        described = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
        message = filled(described.input_type)
        found[f"{service}-{method}"] = bytes((number,)) + message.SerializeToString()
    target.close()
    return found


def frames() -> dict[str, bytes]:
    """A whole stream, and each item of a frame."""
    hello = worker_pb2.WorkerFrame(
        hello=worker_pb2.Hello(
            worker_id="w",
            sdk="s",
            task_types=[worker_pb2.TaskType(name="t", tasks_max=2)],
        ),
        credits=[worker_pb2.Credit(task_type="t", delta=2)],
    )
    whole = filled(worker_pb2.WorkerFrame.DESCRIPTOR)
    found = {"whole": _stream(hello, whole), "hello": _stream(hello)}
    for field in worker_pb2.WorkerFrame.DESCRIPTOR.fields:
        single: Message = worker_pb2.WorkerFrame()
        one = filled(worker_pb2.WorkerFrame.DESCRIPTOR)
        if field.is_repeated:
            getattr(single, field.name).extend(getattr(one, field.name))
        else:
            getattr(single, field.name).CopyFrom(getattr(one, field.name))
        found[field.name] = _stream(hello, single)
    return found


def definitions() -> dict[str, bytes]:
    """Conductor's own, and a task."""
    paths = sorted(path for path in KITCHEN_SINK.glob("*.json") if path.stem != "tasks")
    found = {path.stem: b"r" + path.read_bytes() for path in paths}
    found |= {f"{path.stem}-checked": b"c" + path.read_bytes() for path in paths}
    task = {"name": "t", "retryCount": 3, "retryLogic": "FIXED", "timeoutSeconds": 9}
    return {**found, "task": b"t" + json.dumps(task).encode()}


def _stream(*messages: Message) -> bytes:
    parts = [message.SerializeToString() for message in messages]
    return b"".join(len(part).to_bytes(LENGTH_BYTES, "big") + part for part in parts)


def main() -> None:
    """Write what is not there."""
    for target, seeds in (
        ("requests", requests()),
        ("definitions", definitions()),
        ("frames", frames()),
    ):
        folder = FOLDER / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / name).write_bytes(data)
        print(f"{target}: {len(seeds)} seeds")


if __name__ == "__main__":
    main()
