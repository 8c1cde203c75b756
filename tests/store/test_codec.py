"""Stored bytes: what is written is read back, old bytes for ever, large payloads once."""

import msgspec
import pytest

from podium.engine.transition import FetchPayloads, FetchTasks, Records, Transition
from podium.model.execution import RaisedEvent, TaskRecord, TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.store import codec
from tests.store.samples import (
    BRANCH,
    EFFECTS,
    GOLDEN,
    HEADER,
    HISTORY,
    JOIN,
    KEY,
    RECORD,
    TRANSITION,
    written,
)

replace = msgspec.structs.replace
LARGE = Payload(b'{"large":"%s"}' % (b"x" * codec.INLINE_BYTES_LIMIT))


def golden(title: str) -> bytes:
    return (GOLDEN / f"{title}.v1").read_bytes()


def encoded(
    task: TaskRecord, stored: Records | None = None, **parts: object
) -> dict[str, bytes | None]:
    """The task fields of a commit that changes one task."""
    transition = replace(Transition(header=HEADER, tasks={task.key: task}), **parts)
    commit = codec.encode_commit(transition, version=1, incarnation="inc", stored=stored)
    return {name: value for name, value in commit.fields.items() if name != "h"}


def test_every_written_kind_has_a_golden_file() -> None:
    assert {path.name for path in GOLDEN.iterdir()} >= set(written())


def test_old_records_are_read_as_they_were_meant() -> None:
    fields: dict[str, bytes | None] = {
        "h": golden("header"),
        f"t:{KEY}": golden("task"),
        "j:join": golden("join"),
        "b:branch": golden("branch"),
    }
    header, records = codec.decode_records(fields, complete=False)
    assert header == HEADER
    assert records.tasks == {KEY: RECORD}
    assert records.joins == {"join": JOIN}
    assert records.branches == {"branch": BRANCH}


@pytest.mark.parametrize("title", EFFECTS)
def test_old_effects_are_read_as_they_were_meant(title: str) -> None:
    assert codec.decode_effect(golden(f"effect_{title}")) == EFFECTS[title]


def test_old_history_is_read_as_it_was_meant() -> None:
    assert codec.decode_history(golden("history")) == HISTORY


def test_the_events_of_a_commit_are_read_as_they_were_written() -> None:
    event = RaisedEvent(RECORD.id, RECORD.ref, "onFailed", "alarm", Payload(b'{"n":1}'), "e")
    row = replace(HISTORY, events=(event, replace(event, payload=EMPTY)))
    commit = codec.encode_commit(replace(TRANSITION, history=row), version=0, incarnation="inc")
    assert codec.decode_history(commit.history or b"") == row


def test_a_record_without_the_newest_fields_is_read() -> None:
    # Given a task as it was written before `closed_epoch` and `unsettled` were appended
    values = msgspec.msgpack.decode(golden("task")[1:])
    old = golden("task")[:1] + msgspec.msgpack.encode(values[:-2])
    # When it is read
    _, records = codec.decode_records({f"t:{KEY}": old}, complete=False)
    # Then they have their defaults
    assert records.tasks[KEY] == replace(RECORD, closed_epoch=0, unsettled=False)


def test_a_record_with_fields_of_a_newer_podium_is_read() -> None:
    values = msgspec.msgpack.decode(codec.ENCODE(RECORD))
    newer = codec.VERSION + msgspec.msgpack.encode([*values, "new"])
    _, records = codec.decode_records({f"t:{KEY}": newer}, complete=False)
    assert records.tasks[KEY] == RECORD


def test_what_is_removed_leaves_no_field() -> None:
    transition = replace(
        TRANSITION, tasks={}, attempts={}, branches={},
        removed=(KEY,), removed_attempts=((KEY, 1),), removed_branches=("branch",),
    )  # fmt: skip
    fields = codec.encode_commit(transition, version=3, incarnation="inc").fields
    names = [f"{kind}:{name}" for kind in "tio" for name in (KEY, f"{KEY}.1")]
    assert {name: fields[name] for name in [*names, "b:branch"]} == dict.fromkeys(
        [*names, "b:branch"]
    )


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(codec.StoredFormatUnknown, match="expected stored format 01 in field 'h'"):
        codec.decode_records({"h": b"\x02" + golden("header")[1:]}, complete=False)


def test_a_transition_comes_back_whole() -> None:
    # Given everything a transition may hold, stored
    commit = codec.encode_commit(TRANSITION, version=0, incarnation="inc", definition=b"{}")
    # When it is read
    header, records = codec.decode_records(commit.fields, complete=True)
    # Then nothing is missing
    assert header == HEADER
    assert records == Records(
        tasks={KEY: RECORD},
        attempts={(KEY, 1): RECORD},
        joins={"join": JOIN},
        branches={"branch": BRANCH},
        input=TRANSITION.input,
        output=TRANSITION.output,
        variables=TRANSITION.variables,
        complete=True,
    )
    assert commit.fields["def"] == b"{}"
    assert codec.effects_of(commit) == list(EFFECTS.values())
    assert commit.history_position == HISTORY.position
    assert commit.running


def test_a_closed_join_is_deleted() -> None:
    fields = encoded(RECORD, joins={"join": None})
    assert fields["j:join"] is None


def test_what_was_not_asked_for_is_unknown_and_what_is_absent_is_empty() -> None:
    _, records = codec.decode_records({"h": None, "t:a": None, "in": None}, complete=False)
    assert records.tasks == {"a": None}
    assert (records.input, records.output) == (EMPTY, None)
    _, complete = codec.decode_records({}, complete=True)
    assert (complete.input, complete.output, complete.variables) == (EMPTY, EMPTY, EMPTY)


def test_a_small_payload_stands_in_its_record() -> None:
    assert set(encoded(RECORD)) == {f"t:{KEY}"}


def test_a_large_payload_is_written_once() -> None:
    # Given a task with a large input, stored
    task = replace(RECORD, status=TaskStatus.SCHEDULED, input=LARGE)
    first = encoded(task)
    assert first[f"i:{KEY}"] == LARGE.json
    # When its status changes
    stored = Records(tasks={KEY: task})
    later = encoded(replace(task, status=TaskStatus.IN_PROGRESS), stored)
    # Then the input is not written again, and the record is small
    assert set(later) == {f"t:{KEY}"}
    assert len(later[f"t:{KEY}"] or b"") < codec.INLINE_BYTES_LIMIT
    # And reading what is stored then gives the whole task
    _, records = codec.decode_records({**first, **later}, complete=False)
    assert records.tasks[KEY] == replace(task, status=TaskStatus.IN_PROGRESS)


def test_a_large_payload_that_changed_is_written() -> None:
    other = Payload(LARGE.json.replace(b"x", b"y"))
    stored = Records(tasks={KEY: replace(RECORD, output=LARGE)})
    assert encoded(replace(RECORD, output=other), stored)[f"o:{KEY}"] == other.json


def test_a_large_payload_that_is_unknown_here_is_written() -> None:
    assert encoded(replace(RECORD, output=LARGE), Records())[f"o:{KEY}"] == LARGE.json


def test_a_payload_that_became_small_leaves_no_field() -> None:
    stored = Records(tasks={KEY: replace(RECORD, output=LARGE)})
    assert encoded(RECORD, stored)[f"o:{KEY}"] is None


def test_a_former_attempt_keeps_its_own_large_payloads() -> None:
    # Given an attempt with large payloads that gives way to the next one
    former = replace(RECORD, attempt=1, input=LARGE, output=LARGE)
    latest = replace(RECORD, attempt=2, input=LARGE, output=EMPTY)
    before = {f"t:{KEY}": b"", f"i:{KEY}": LARGE.json, f"o:{KEY}": LARGE.json}
    stored = Records(tasks={KEY: former})
    # When both are written
    after = {**before, **encoded(latest, stored, attempts={(KEY, 1): former})}
    # Then both are read whole
    _, records = codec.decode_records(after, complete=False)
    assert records.tasks == {KEY: latest}
    assert records.attempts == {(KEY, 1): former}


def test_one_trip_asks_for_tasks_with_their_payloads() -> None:
    need = FetchTasks(keys=("a",), attempts=(("a", 1),), joins=("j",), branches=("b",))
    names = codec.field_names(need)
    assert names == ["h", "t:a", "i:a", "o:a", "t:a.1", "i:a.1", "o:a.1", "j:j", "b:b"]
    assert codec.field_names(FetchPayloads()) == ["h", "in", "out", "var"]


def test_former_attempts_are_removed_also_where_the_task_itself_is_made_anew() -> None:
    anew = replace(RECORD, attempt=1_000_000)
    fields = encoded(anew, removed_attempts=((KEY, 0),), removed_branches=("branch",))
    assert fields[f"t:{KEY}"] is not None
    gone = {name for name, value in fields.items() if value is None}
    assert gone == {f"t:{KEY}.0", f"i:{KEY}.0", f"o:{KEY}.0", "b:branch"}
