"""One execution with all that a store keeps of it: read from one, written into another, compared.

Versions are a store's own and are not compared. Live watchers, tombstones and outputs kept for
equal calls are no part of it.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from podium.model.queue import Deadline, Outstanding, Queue, Ready
from podium.store.codec import HEADER_FIELD, decode_header, decode_history, decode_task
from podium.store.port import PARTITIONS, Commit, Committed, Idempotency, partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from podium.store.port import OutboxEntry, Store

ROWS_AT_ONCE: Final = 1_000
COMMITS_AT_ONCE: Final = 100
TOMBSTONE_MS: Final = 1
"""Long past: what is written anew is not kept out."""
ENCODE: Final = msgspec.msgpack.Encoder(order="deterministic").encode


class CopyFailed(Exception):
    """What was expected and found; the text is for the operator."""


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """All of an execution."""

    workflow_id: str
    fields: dict[str, bytes]
    history: tuple[bytes, ...]
    ready: tuple[Ready, ...]
    slots: tuple[tuple[str, Queue], ...]
    held: tuple[tuple[str, str], ...]
    outstanding: tuple[tuple[str, Outstanding], ...]
    due: tuple[Deadline, ...]
    effects: tuple[tuple[str, bytes], ...]
    """(incarnation, effect), in the order of their sequences."""
    logs: tuple[tuple[str, int, str], ...]
    key: tuple[str, str] | None
    """Name and idempotency key that point at this run."""

    @property
    def digest(self) -> bytes:
        """Equal where everything is."""
        return sha256(ENCODE(self)).digest()


Effects: TypeAlias = "dict[str, list[OutboxEntry]]"
"""By workflow id, in order."""


async def effects_in(store: Store, incarnations: Iterable[str]) -> Effects:
    """All that waits in a store's outboxes."""
    found: Effects = {}
    for incarnation in sorted(incarnations):
        for entry in await store.outbox(range(PARTITIONS), incarnation):
            found.setdefault(entry.workflow_id, []).append(entry)
    return found


async def read_image(store: Store, workflow_id: str, effects: Effects) -> Image | None:
    """None where it does not exist, or a copy of it was cut short. Raises CopyFailed, StoreError,
    StoredFormatUnknown.
    """
    loaded = await store.load(workflow_id, None)
    if loaded is None:
        return None
    fields = {name: value for name, value in loaded.fields.items() if value is not None}
    if HEADER_FIELD not in fields:
        return None
    entries = await store.entries(workflow_id, 0)
    waiting = effects.get(workflow_id, [])
    if entries.outbox != len(waiting):
        raise CopyFailed(
            f"workflow {workflow_id}: expected {entries.outbox} effects in the outboxes of the"
            f" members, found {len(waiting)}: start a server on this store, let it rest and stop it"
        )
    return Image(
        workflow_id=workflow_id,
        fields=fields,
        history=await _history(store, workflow_id),
        ready=tuple(sorted(entries.ready, key=lambda each: each.task_id)),
        slots=tuple(sorted(entries.slots, key=lambda each: each[0])),
        held=tuple(sorted(entries.held)),
        outstanding=tuple(sorted(entries.outstanding, key=lambda each: each[0])),
        due=tuple(sorted(entries.due, key=lambda each: (each.at_ms, each.task_id, each.kind))),
        effects=tuple((each.incarnation, each.effect) for each in waiting),
        logs=await _logs(store, fields),
        key=await _key(store, workflow_id, fields),
    )


async def write_image(store: Store, image: Image) -> None:
    """Into a store that has no such execution. What makes it run comes last, in one step: a copy
    that was cut short is without it. Raises CopyFailed, StoreError.
    """
    batch: list[Commit] = []
    for commit in _commits(image):
        batch.append(commit)
        if len(batch) == COMMITS_AT_ONCE:
            await _commit(store, batch)
            batch.clear()
    await _commit(store, batch)


async def remove_image(store: Store, workflow_id: str, effects: Effects) -> None:
    """What a copy that was cut short, or an earlier one, left. Raises CopyFailed, StoreError."""
    for entry in effects.get(workflow_id, ()):
        await store.outbox_done(entry.partition, entry.incarnation, (entry.sequence,))
    loaded = await store.load(workflow_id, (HEADER_FIELD,))
    if loaded is None:
        return
    if not await store.remove(workflow_id, loaded.version, TOMBSTONE_MS):
        raise CopyFailed(f"workflow {workflow_id}: expected to replace it, found it being changed")


async def _history(store: Store, workflow_id: str) -> tuple[bytes, ...]:
    rows: list[bytes] = []
    after = 0
    while page := await store.history(workflow_id, after, ROWS_AT_ONCE):
        rows += page
        after = decode_history(page[-1]).position
    return tuple(rows)


async def _logs(store: Store, fields: Mapping[str, bytes]) -> tuple[tuple[str, int, str], ...]:
    found: list[tuple[str, int, str]] = []
    for task_id in _task_ids(fields):
        found += ((task_id, at_ms, text) for at_ms, text in await store.logs(task_id))
    return tuple(found)


async def _key(
    store: Store, workflow_id: str, fields: Mapping[str, bytes]
) -> tuple[str, str] | None:
    header = decode_header(fields[HEADER_FIELD])
    if not header.idempotency_key:
        return None
    asked = Idempotency(header.name, header.idempotency_key, "RETURN_EXISTING")
    recorded = await store.recorded(workflow_id, asked)
    return (asked.name, asked.key) if recorded == workflow_id else None


def _commits(image: Image) -> Iterator[Commit]:
    """History row by row, lines task by task, the execution, its effects by incarnation."""
    version = 0
    for row in image.history:
        yield Commit(
            workflow_id=image.workflow_id,
            version=version,
            history=row,
            history_position=decode_history(row).position,
            running=False,
        )
        version += 1
    for _, lines in groupby(image.logs, key=itemgetter(0)):
        yield Commit(
            workflow_id=image.workflow_id, version=version, logs=tuple(lines), running=False
        )
        version += 1
    terminal = decode_header(image.fields[HEADER_FIELD]).status.terminal
    runs = _runs(image.effects)
    first, *others = runs or [("", ())]
    key = image.key
    yield Commit(
        workflow_id=image.workflow_id,
        version=version,
        fields=dict(image.fields),
        armed=image.due,
        ready=image.ready,
        slots=image.slots,
        held=image.held,
        outstanding=image.outstanding,
        incarnation=first[0],
        outbox=first[1],
        idempotency=None if key is None else Idempotency(*key, "FAIL_ON_RUNNING"),
        running=not terminal,
    )
    for incarnation, effects in others:
        version += 1
        yield Commit(
            workflow_id=image.workflow_id,
            version=version,
            incarnation=incarnation,
            outbox=effects,
            running=not terminal,
        )


def _runs(effects: tuple[tuple[str, bytes], ...]) -> list[tuple[str, tuple[bytes, ...]]]:
    by_incarnation: dict[str, list[bytes]] = {}
    for incarnation, effect in effects:
        by_incarnation.setdefault(incarnation, []).append(effect)
    return [(each, tuple(found)) for each, found in by_incarnation.items()]


async def _commit(store: Store, batch: list[Commit]) -> None:
    if not batch:
        return
    for commit, result in zip(batch, await store.commit(batch), strict=True):
        if not isinstance(result, Committed):
            raise CopyFailed(
                f"workflow {commit.workflow_id}: expected version {commit.version} in the target"
                f" (partition {partition_of(commit.workflow_id)}), found {result}"
            )


def _task_ids(fields: Mapping[str, bytes]) -> list[str]:
    return sorted({decode_task(fields[name]).id for name in fields if name.startswith("t:")})
