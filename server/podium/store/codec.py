"""Bytes of stored records: transitions into commits, fields into records, effects, history rows.

A value is one version byte and msgpack of array-shaped records, so new fields are appended with a
default and old bytes are read for ever (tests/store/golden). Field names: "h" header; "in", "out",
"var" payloads; "def" inline definition; "t:<key>" latest attempt, "t:<key>.<n>" former ones;
"i:<key>.<n>" and "o:<key>.<n>" its input and output when they are large, so that a change of status
does not write them again; "j:<key>" join counter; "b:<key>" dynamic fork branch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from podium.engine.transition import (
    Effect,
    FetchPayloads,
    FetchTasks,
    Records,
)
from podium.model.execution import (
    BranchRecord,
    ExecutionHeader,
    HistoryRow,
    JoinRecord,
    TaskRecord,
)
from podium.model.payload import EMPTY, Payload
from podium.store.port import Commit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podium.engine.transition import Transition
    from podium.store.port import Idempotency

VERSION: Final = b"\x01"
INLINE_BYTES_LIMIT: Final = 4096
"""A larger task payload has a field of its own."""
HEADER_FIELD: Final = "h"
INPUT_FIELD: Final = "in"
OUTPUT_FIELD: Final = "out"
VARIABLES_FIELD: Final = "var"
DEFINITION_FIELD: Final = "def"
ELSEWHERE: Final = Payload(b"")
"""In a stored task: the payload stands in its own field."""


class StoredFormatUnknown(Exception):
    """Bytes of a newer Podium (or damaged ones)."""

    def __init__(self, field: str, version: bytes) -> None:
        super().__init__(
            f"expected stored format {VERSION.hex()} in field {field!r}, found {version.hex()}"
        )


def _to_bytes(value: object) -> object:
    if isinstance(value, Payload):
        return value.json
    raise NotImplementedError(type(value))


def _from_bytes(kind: type, value: Any) -> object:  # noqa: ANN401  # pyright: ignore[reportExplicitAny, reportAny] - msgspec's hook signature
    if kind is Payload:
        return EMPTY if value == b"{}" else Payload(value)
    raise NotImplementedError(kind)


ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_to_bytes)
ENCODE: Final = ENCODER.encode
HEADERS: Final = msgspec.msgpack.Decoder(ExecutionHeader, dec_hook=_from_bytes)
TASKS: Final = msgspec.msgpack.Decoder(TaskRecord, dec_hook=_from_bytes)
JOINS: Final = msgspec.msgpack.Decoder(JoinRecord, dec_hook=_from_bytes)
BRANCHES: Final = msgspec.msgpack.Decoder(BranchRecord, dec_hook=_from_bytes)
ROWS: Final = msgspec.msgpack.Decoder(HistoryRow)
EFFECTS: Final[msgspec.msgpack.Decoder[Effect]] = msgspec.msgpack.Decoder(
    Effect, dec_hook=_from_bytes
)


def encode_commit(
    transition: Transition,
    *,
    version: int,
    incarnation: str,
    idempotency: Idempotency | None = None,
    definition: bytes | None = None,
) -> Commit:
    """The one atomic write that a transition is."""
    header = transition.header
    fields: dict[str, bytes | None] = {HEADER_FIELD: VERSION + ENCODE(header)}
    _put_payloads(fields, transition)
    if definition is not None:
        fields[DEFINITION_FIELD] = definition
    for key, task in transition.tasks.items():
        _put_task(fields, f"t:{key}", task)
    for (key, attempt), task in transition.attempts.items():
        _put_task(fields, f"t:{key}.{attempt}", task)
    for key, join in transition.joins.items():
        fields[f"j:{key}"] = None if join is None else VERSION + ENCODE(join)
    for key, branch in transition.branches.items():
        fields[f"b:{key}"] = VERSION + ENCODE(branch)
    row = transition.history
    return Commit(
        workflow_id=header.id,
        version=version,
        fields=fields,
        armed=transition.armed,
        disarmed=transition.disarmed,
        ready=transition.ready,
        unready=transition.unready,
        slots=transition.slots,
        unslotted=transition.unslotted,
        held=transition.held,
        unheld=transition.unheld,
        outbox=tuple(VERSION + ENCODE(effect) for effect in transition.effects),
        incarnation=incarnation,
        history=None if row is None else VERSION + ENCODE(row),
        history_position=0 if row is None else row.position,
        idempotency=idempotency,
        running=not header.status.terminal,
    )


def _put_payloads(fields: dict[str, bytes | None], transition: Transition) -> None:
    if transition.input is not None:
        fields[INPUT_FIELD] = transition.input.json
    if transition.output is not None:
        fields[OUTPUT_FIELD] = transition.output.json
    if transition.variables is not None:
        fields[VARIABLES_FIELD] = transition.variables.json


def _put_task(fields: dict[str, bytes | None], name: str, task: TaskRecord) -> None:
    if len(task.input.json) <= INLINE_BYTES_LIMIT and len(task.output.json) <= INLINE_BYTES_LIMIT:
        fields[name] = VERSION + ENCODE(task)
        return
    suffix = f"{task.key}.{task.attempt}"
    stored_input, stored_output = task.input, task.output
    if len(task.input.json) > INLINE_BYTES_LIMIT:
        fields[f"i:{suffix}"] = task.input.json
        stored_input = ELSEWHERE
    if len(task.output.json) > INLINE_BYTES_LIMIT:
        fields[f"o:{suffix}"] = task.output.json
        stored_output = ELSEWHERE
    slim = msgspec.structs.replace(task, input=stored_input, output=stored_output)
    fields[name] = VERSION + ENCODE(slim)


def field_names(need: FetchTasks | FetchPayloads) -> list[str]:
    """Fields that answer a need; the header always comes along."""
    names = [HEADER_FIELD]
    if isinstance(need, FetchPayloads):
        return [*names, INPUT_FIELD, OUTPUT_FIELD, VARIABLES_FIELD]
    names.extend(f"t:{key}" for key in need.keys)
    names.extend(f"t:{key}.{attempt}" for key, attempt in need.attempts)
    names.extend(f"j:{key}" for key in need.joins)
    names.extend(f"b:{key}" for key in need.branches)
    return names


def payload_names(fields: Mapping[str, bytes | None]) -> list[str]:
    """Payload fields that loaded tasks point at and that were not loaded with them."""
    missing: list[str] = []
    for name, value in fields.items():
        if name.startswith("t:") and value is not None:
            task = _task(name, value)
            suffix = f"{task.key}.{task.attempt}"
            if not task.input.json and f"i:{suffix}" not in fields:
                missing.append(f"i:{suffix}")
            if not task.output.json and f"o:{suffix}" not in fields:
                missing.append(f"o:{suffix}")
    return missing


def decode_records(
    fields: Mapping[str, bytes | None], *, complete: bool
) -> tuple[ExecutionHeader | None, Records]:
    """Header and records of loaded fields. Raises StoredFormatUnknown."""
    header: ExecutionHeader | None = None
    tasks: dict[str, TaskRecord | None] = {}
    attempts: dict[tuple[str, int], TaskRecord | None] = {}
    joins: dict[str, JoinRecord | None] = {}
    branches: dict[str, BranchRecord | None] = {}
    for name, value in fields.items():
        kind, _, key = name.partition(":")
        if name == HEADER_FIELD and value is not None:
            header = HEADERS.decode(_body(name, value))
        elif kind == "t":
            latest, dot, attempt = key.partition(".")
            record = None if value is None else _whole(_task(name, value), fields)
            if dot:
                attempts[latest, int(attempt)] = record
            else:
                tasks[latest] = record
        elif kind == "j":
            joins[key] = None if value is None else JOINS.decode(_body(name, value))
        elif kind == "b":
            branches[key] = None if value is None else BRANCHES.decode(_body(name, value))
    records = Records(
        tasks=tasks,
        attempts=attempts,
        joins=joins,
        branches=branches,
        input=_payload(fields, INPUT_FIELD, complete=complete),
        output=_payload(fields, OUTPUT_FIELD, complete=complete),
        variables=_payload(fields, VARIABLES_FIELD, complete=complete),
        complete=complete,
    )
    return header, records


def decode_effect(value: bytes) -> Effect:
    """One outbox entry."""
    return EFFECTS.decode(_body("outbox", value))


def decode_history(value: bytes) -> HistoryRow:
    """One history row."""
    return ROWS.decode(_body("history", value))


def effects_of(commit: Commit) -> Sequence[Effect]:
    """The effects that a commit leaves in the outbox, decoded (for checkers)."""
    return [decode_effect(each) for each in commit.outbox]


def _body(field: str, value: bytes) -> memoryview:
    if value[:1] != VERSION:
        raise StoredFormatUnknown(field, value[:1])
    return memoryview(value)[1:]


def _task(name: str, value: bytes) -> TaskRecord:
    return TASKS.decode(_body(name, value))


def _whole(task: TaskRecord, fields: Mapping[str, bytes | None]) -> TaskRecord:
    """The task with the payloads that stand in fields of their own."""
    if task.input.json and task.output.json:
        return task
    suffix = f"{task.key}.{task.attempt}"
    return msgspec.structs.replace(
        task,
        input=task.input if task.input.json else Payload(fields[f"i:{suffix}"] or b"{}"),
        output=task.output if task.output.json else Payload(fields[f"o:{suffix}"] or b"{}"),
    )


def _payload(fields: Mapping[str, bytes | None], name: str, *, complete: bool) -> Payload | None:
    """None = not asked for; an execution without that payload has the empty one."""
    if name not in fields and not complete:
        return None
    value = fields.get(name)
    return EMPTY if value is None or value == b"{}" else Payload(value)
