"""Bytes of stored records: transitions into commits, fields into records, effects, history rows.

A value is one version byte and msgpack of array-shaped records, so new fields are appended with a
default and old bytes are read for ever (tests/store/golden). Field names: "h" header; "in", "out",
"var" payloads; "def" inline definition; "t:<key>" latest attempt, "t:<key>.<n>" former ones;
"j:<key>" join counter; "b:<key>" dynamic fork branch; "m:<n>" message of
the queue.

A large input or output stands in a field of its own ("i:" and "o:" with the task's own suffix), so
that a change of status does not write it again, and so that one trip asks for all three names. What
the store holds already is told by the records the caller decided on (`stored`): the version check
of the commit makes that exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import compress, decompress

import msgspec

from podium.engine.transition import (
    Cached,
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
NOTHING: Final = Records()


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


def _from_bytes(kind: type, value: object) -> object:
    if kind is Payload:
        assert isinstance(value, bytes)
        return EMPTY if value == b"{}" else Payload(value)
    raise NotImplementedError(kind)


ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_to_bytes)
ENCODE: Final = ENCODER.encode
HEADERS: Final = msgspec.msgpack.Decoder(ExecutionHeader, dec_hook=_from_bytes)
TASKS: Final = msgspec.msgpack.Decoder(TaskRecord, dec_hook=_from_bytes)
JOINS: Final = msgspec.msgpack.Decoder(JoinRecord, dec_hook=_from_bytes)
BRANCHES: Final = msgspec.msgpack.Decoder(BranchRecord, dec_hook=_from_bytes)
ROWS: Final = msgspec.msgpack.Decoder(HistoryRow, dec_hook=_from_bytes)
ARCHIVES: Final = msgspec.msgpack.Decoder(dict[str, bytes])
EFFECTS: Final[msgspec.msgpack.Decoder[Effect]] = msgspec.msgpack.Decoder(
    Effect, dec_hook=_from_bytes
)


def encode_commit(  # noqa: PLR0913 - the parts of a commit that are not the transition's
    transition: Transition,
    *,
    version: int,
    incarnation: str,
    idempotency: Idempotency | None = None,
    definition: bytes | None = None,
    stored: Records | None = None,
) -> Commit:
    """The one atomic write that a transition is.

    `stored` = records at `version`, as far as known: large payloads in them are not written again.
    """
    header = transition.header
    fields: dict[str, bytes | None] = {HEADER_FIELD: VERSION + ENCODE(header)}
    _put_payloads(fields, transition)
    definition = transition.definition if definition is None else definition
    if definition is not None:
        fields[DEFINITION_FIELD] = definition
    known = NOTHING if stored is None else stored
    for key, task in transition.tasks.items():
        _put_task(fields, key, task, known.tasks.get(key))
    for (key, attempt), task in transition.attempts.items():
        _put_task(fields, f"{key}.{attempt}", task, known.attempts.get((key, attempt)))
    for key, join in transition.joins.items():
        fields[f"j:{key}"] = None if join is None else VERSION + ENCODE(join)
    for key, branch in transition.branches.items():
        fields[f"b:{key}"] = VERSION + ENCODE(branch)
    fields.update({f"m:{number}": text for number, text in transition.messages.items()})
    _remove(fields, transition)
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
        outstanding=transition.outstanding,
        returned=transition.returned,
        logs=transition.logs,
        outbox=tuple([VERSION + ENCODE(effect) for effect in transition.effects]),
        incarnation=incarnation,
        history=None if row is None else VERSION + ENCODE(row),
        history_position=0 if row is None else row.position,
        idempotency=idempotency,
        running=not header.status.terminal,
    )


def _remove(fields: dict[str, bytes | None], transition: Transition) -> None:
    """A payload has a field of its own or not: what is not there may be deleted, too."""
    former = [f"{key}.{attempt}" for key, attempt in transition.removed_attempts]
    for suffix in (*transition.removed, *former):
        fields[f"t:{suffix}"] = fields[f"i:{suffix}"] = fields[f"o:{suffix}"] = None
    for key in transition.removed_branches:
        fields[f"b:{key}"] = None


def _put_payloads(fields: dict[str, bytes | None], transition: Transition) -> None:
    """An execution without a payload has the empty one, which is not stored when it is created."""
    if transition.input is not None and (transition.input or not transition.created):
        fields[INPUT_FIELD] = transition.input.json
    if transition.output is not None and (transition.output or not transition.created):
        fields[OUTPUT_FIELD] = transition.output.json
    if transition.variables is not None and (transition.variables or not transition.created):
        fields[VARIABLES_FIELD] = transition.variables.json


def _put_task(
    fields: dict[str, bytes | None], suffix: str, task: TaskRecord, before: TaskRecord | None
) -> None:
    """`before` = what is stored under this very suffix, as far as known."""
    large_input = len(task.input.json) > INLINE_BYTES_LIMIT
    large_output = len(task.output.json) > INLINE_BYTES_LIMIT
    if large_input or large_output:
        fields[f"t:{suffix}"] = VERSION + ENCODE(
            msgspec.structs.replace(
                task,
                input=ELSEWHERE if large_input else task.input,
                output=ELSEWHERE if large_output else task.output,
            )
        )
    else:
        fields[f"t:{suffix}"] = VERSION + ENCODE(task)
    _put_large(fields, "i:", suffix, task.input, before.input if before else EMPTY)
    _put_large(fields, "o:", suffix, task.output, before.output if before else EMPTY)


def _put_large(
    fields: dict[str, bytes | None], kind: str, suffix: str, payload: Payload, before: Payload
) -> None:
    """Write a payload's own field where it is not stored already, and delete an outdated one."""
    was_large = len(before.json) > INLINE_BYTES_LIMIT
    if len(payload.json) > INLINE_BYTES_LIMIT:
        if not was_large or (payload is not before and payload != before):
            fields[kind + suffix] = payload.json
    elif was_large:
        fields[kind + suffix] = None


def field_names(need: FetchTasks | FetchPayloads) -> list[str]:
    """Fields that answer a need; the header always comes along."""
    names = [HEADER_FIELD]
    if isinstance(need, FetchPayloads):
        return [*names, INPUT_FIELD, OUTPUT_FIELD, VARIABLES_FIELD]
    for key in need.keys:
        names += (f"t:{key}", f"i:{key}", f"o:{key}")
    for key, attempt in need.attempts:
        names += (f"t:{key}.{attempt}", f"i:{key}.{attempt}", f"o:{key}.{attempt}")
    names.extend(f"j:{key}" for key in need.joins)
    names.extend(f"b:{key}" for key in need.branches)
    names.extend(f"m:{number}" for number in need.messages)
    return names


def decode_records(
    fields: Mapping[str, bytes | None], *, complete: bool
) -> tuple[ExecutionHeader | None, Records]:
    """Header and records of loaded fields. Raises StoredFormatUnknown."""
    header: ExecutionHeader | None = None
    records = Records(
        input=_payload(fields, INPUT_FIELD, complete=complete),
        output=_payload(fields, OUTPUT_FIELD, complete=complete),
        variables=_payload(fields, VARIABLES_FIELD, complete=complete),
        complete=complete,
    )
    for name, value in fields.items():
        if name == HEADER_FIELD:
            header = None if value is None else HEADERS.decode(_body(name, value))
        elif name.startswith("t:"):
            _take_task(records, name, value, fields)
        elif name.startswith("j:"):
            records.joins[name[2:]] = None if value is None else JOINS.decode(_body(name, value))
        elif name.startswith("b:"):
            branch = None if value is None else BRANCHES.decode(_body(name, value))
            records.branches[name[2:]] = branch
        elif name.startswith("m:") and value is not None:
            records.messages[int(name[2:])] = value
    return header, records


def decode_task(value: bytes) -> TaskRecord:
    """A task's record alone: payloads that stand elsewhere are ELSEWHERE. As `decode_records`."""
    return TASKS.decode(_body("task", value))


def encode_task(task: TaskRecord) -> bytes:
    """Whole, whatever the size of its payloads; inverse of `decode_task`."""
    return VERSION + ENCODE(task)


def decode_header(value: bytes) -> ExecutionHeader:
    """A header alone. Raises as `decode_records`."""
    return HEADERS.decode(_body(HEADER_FIELD, value))


def encode_header(header: ExecutionHeader) -> bytes:
    """Inverse of `decode_header`."""
    return VERSION + ENCODE(header)


def encode_history(row: HistoryRow) -> bytes:
    """Inverse of `decode_history`."""
    return VERSION + ENCODE(row)


def decode_effect(value: bytes) -> Effect:
    """One outbox entry."""
    return EFFECTS.decode(_body("outbox", value))


def decode_history(value: bytes) -> HistoryRow:
    """One history row."""
    return ROWS.decode(_body("history", value))


def decode_cached(value: bytes | None) -> Cached:
    """An output that was kept: its JSON, as it stands in the execution that it is of."""
    return Cached(None if value is None else EMPTY if value == b"{}" else Payload(value))


def encode_archive(fields: Mapping[str, bytes | None]) -> bytes:
    """All fields of an execution in one value. It may take long: not for the loop."""
    return VERSION + compress(ENCODE(dict(fields)))


def decode_archive(value: bytes) -> dict[str, bytes]:
    """Inverse of `encode_archive`. Raises StoredFormatUnknown."""
    return ARCHIVES.decode(decompress(_body("archive", value)))


def effects_of(commit: Commit) -> Sequence[Effect]:
    """The effects that a commit leaves in the outbox, decoded (for checkers)."""
    return [decode_effect(each) for each in commit.outbox]


def _body(field: str, value: bytes) -> memoryview:
    if value[:1] != VERSION:
        raise StoredFormatUnknown(field, value[:1])
    return memoryview(value)[1:]


def _take_task(
    records: Records, name: str, value: bytes | None, fields: Mapping[str, bytes | None]
) -> None:
    suffix = name[2:]
    task = None if value is None else TASKS.decode(_body(name, value))
    if task is not None and not (task.input.json and task.output.json):
        task = msgspec.structs.replace(
            task,
            input=task.input if task.input.json else _large(fields, f"i:{suffix}"),
            output=task.output if task.output.json else _large(fields, f"o:{suffix}"),
        )
    key, dot, attempt = suffix.partition(".")
    if dot:
        records.attempts[key, int(attempt)] = task
    else:
        records.tasks[key] = task


def _large(fields: Mapping[str, bytes | None], name: str) -> Payload:
    """A payload in a field of its own; `field_names` asks for it together with its task."""
    value = fields.get(name)
    assert value is not None, name
    return Payload(value)


def _payload(fields: Mapping[str, bytes | None], name: str, *, complete: bool) -> Payload | None:
    """None = not asked for; an execution without that payload has the empty one."""
    if name not in fields and not complete:
        return None
    value = fields.get(name)
    return EMPTY if value is None or value == b"{}" else Payload(value)
