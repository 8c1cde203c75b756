"""Executions: load, commit, remove, archive, history; outputs kept for equal calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from podium.store.port import (
    HISTORY_ROWS_LIMIT,
    Committed,
    Conflict,
    Exists,
    Loaded,
    partition_of,
)
from podium.store.redis.scripts import COMMIT, KEEP, REMOVE, ROWS, TOMBSTONE, UNARCHIVE
from podium.store.redis.types import TypeNotes
from podium.store.task_log import LOG_LINES_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from podium.store.port import Commit, CommitResult, Idempotency
    from podium.store.redis.clients import Argument, Command
    from podium.store.redis.keys import Keys
    from podium.store.redis.link import Link

ENCODE: Final = msgspec.msgpack.Encoder().encode
BETWEEN: Final = "\0"
"""Neither a workflow id nor a task id nor a kind holds it."""
VERSION: Final = b".v"
PART_NAMES: Final = ("due", "ready", "slot", "held", "ob", "open", "ids")
COUNT_NAMES: Final = ("out", "outn")


class Executions(TypeNotes):
    """Part of the Redis store; see store/port.py."""

    def __init__(self, link: Link, keys: Keys) -> None:
        super().__init__(link, keys)
        self._sequence = 0

    async def load(self, workflow_id: str, names: Sequence[str] | None) -> Loaded | None:
        key = self._keys.execution(workflow_id, "x")
        if names is None:
            fields = cast("dict[bytes, bytes]", await self._link.one(("HGETALL", key)))
            stored = fields.get(VERSION)
            if stored is None:
                return None
            return Loaded(
                int(stored),
                {name.decode(): each for name, each in fields.items() if name[:1] != b"."},
            )
        found = cast("list[bytes | None]", await self._link.one(("HMGET", key, VERSION, *names)))
        if found[0] is None:
            return None
        return Loaded(int(found[0]), dict(zip(names, found[1:], strict=True)))

    async def kept(self, workflow_id: str, version: int) -> bool:
        key = self._keys.execution(workflow_id, "x")
        stored = await self._link.one(("HGET", key, VERSION), kept=True)
        return isinstance(stored, bytes) and int(stored) >= version

    async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
        """One pipeline per node; a node carries out its share in the order of the batch."""
        await self.note_types(each.queue for commit in commits for each in commit.ready)
        prepared = [self._prepare(commit) for commit in commits]
        answers = await self._link.send([command for command, _ in prepared], kept=True)
        return [
            _result(commit, answer, sequences)
            for commit, answer, (_, sequences) in zip(commits, answers, prepared, strict=True)
        ]

    async def recorded(self, workflow_id: str, key: Idempotency) -> str | None:
        found = await self._link.one(
            ("GET", self._keys.idempotency(workflow_id, key.name, key.key)), kept=True
        )
        if not isinstance(found, bytes):
            return None
        if key.strategy == "FAIL_ON_RUNNING":
            runs = self._keys.part_of(workflow_id, "open")
            if not await self._link.one(("SISMEMBER", runs, found)):
                return None
        return found.decode()

    def _prepare(self, commit: Commit) -> tuple[Command, tuple[int, ...]]:
        sequences = tuple(range(self._sequence + 1, self._sequence + 1 + len(commit.outbox)))
        self._sequence += len(sequences)
        keyed = commit.idempotency
        row: bytes | str = ""
        if commit.history is not None:
            row = b"%d\0%b" % (commit.history_position, commit.history)
        arguments: list[Argument] = [
            commit.workflow_id,
            commit.version,
            "1" if commit.running else "0",
            "" if keyed is None else keyed.strategy,
            "" if keyed is None else ENCODE((keyed.name, keyed.key)),
            HISTORY_ROWS_LIMIT,
            "" if commit.history is None else commit.history_position,
            row,
            LOG_LINES_LIMIT,
            self._marks,
        ]
        _put(arguments, 1, commit.read_on_conflict)
        _put(arguments, 2, _pairs((n, v) for n, v in commit.fields.items() if v is not None))
        _put(arguments, 1, [n for n, v in commit.fields.items() if v is None])
        _put_entries(arguments, commit, sequences)
        logged = list(dict.fromkeys(task_id for task_id, _, _ in commit.logs))
        _put(arguments, 3, _lines(commit, logged))
        keys = self._of(commit.workflow_id)
        if keyed is not None:
            keys.append(self._keys.idempotency(commit.workflow_id, keyed.name, keyed.key))
        keys.extend(self._keys.log(task_id) for task_id in logged)
        return self._link.call(COMMIT, keys, *arguments), sequences

    def _of(self, workflow_id: str) -> list[str]:
        """x y due ready slot held ob open ids tomb watch out outn log chg."""
        partition = partition_of(workflow_id)
        return [
            self._keys.execution(workflow_id, "x"),
            self._keys.execution(workflow_id, "y"),
            *(self._keys.partition(partition, name) for name in PART_NAMES),
            self._keys.execution(workflow_id, "tomb"),
            self._keys.execution(workflow_id, "watch"),
            *(self._keys.partition(partition, name) for name in COUNT_NAMES),
            self._keys.execution(workflow_id, "log"),
            self._keys.partition(partition, "chg"),
        ]

    async def remove(
        self,
        workflow_id: str,
        version: int,
        tombstone_until_ms: int,
        *,
        archive: bytes | None = None,
    ) -> bool:
        logged = self._keys.execution(workflow_id, "log")
        execution = self._keys.execution(workflow_id, "x")
        keyed = await self._link.one(("HGET", execution, ".i"))
        keys = [*self._of(workflow_id), *self._archive_of(workflow_id)]
        if isinstance(keyed, bytes):
            name, key = msgspec.msgpack.decode(keyed, type=tuple[str, str])
            keys.append(self._keys.idempotency(workflow_id, name, key))
        removed = await self._link.one(
            self._link.call(
                REMOVE,
                keys,
                workflow_id,
                version,
                max(tombstone_until_ms, 1),
                "0" if archive is None else "1",
                archive or b"",
                self._marks,
            ),
            kept=True,
        )
        if removed:  # nothing is logged any more
            tasks = cast("set[bytes]", await self._link.one(("SMEMBERS", logged)))
            gone = [self._keys.log(each.decode()) for each in tasks]
            await self._link.one(("DEL", logged, *gone))
        return bool(removed)

    async def archived(self, workflow_id: str) -> bytes | None:
        found = await self._link.one(("GET", self._keys.execution(workflow_id, "arc")))
        return cast("bytes | None", found)

    async def remove_archived(self, workflow_id: str) -> bool:
        keys = [*self._archive_of(workflow_id), self._keys.part_of(workflow_id, "chg")]
        call = self._link.call(UNARCHIVE, keys, workflow_id, self._marks)
        return bool(await self._link.one(call, kept=True))

    def _archive_of(self, workflow_id: str) -> list[str]:
        """The copy, and the ids of all copies of the partition."""
        return [self._keys.execution(workflow_id, "arc"), self._keys.part_of(workflow_id, "arcs")]

    async def tombstone(self, workflow_id: str, until_ms: int) -> bool:
        keys = [self._keys.execution(workflow_id, kind) for kind in ("x", "tomb")]
        return bool(await self._link.one(self._link.call(TOMBSTONE, keys, until_ms), kept=True))

    async def history(self, workflow_id: str, after: int, limit: int) -> list[bytes]:
        key = self._keys.execution(workflow_id, "y")
        rows = cast("list[bytes]", await self._link.one(self._link.call(ROWS, [key], after, limit)))
        return [row.partition(b"\0")[2] for row in rows]

    async def scan(self, partition: int, after: str, limit: int) -> list[str]:
        first = f"({after}" if after else "-"
        key = self._keys.partition(partition, "ids")
        command = ("ZRANGEBYLEX", key, first, "+", "LIMIT", 0, limit)
        found = cast("list[bytes]", await self._link.one(command))
        return [each.decode() for each in found]

    async def put_cached(self, name: str, value: bytes, *, at_ms: int, until_ms: int) -> None:
        key = self._keys.cached(name)
        await self._link.one(self._link.call(KEEP, [key], at_ms, until_ms, value))

    async def cached(self, name: str, after_ms: int) -> bytes | None:
        key = self._keys.cached(name)
        found = await self._link.one(("HMGET", key, "at", "value"))
        at_ms, value = cast("list[bytes | None]", found)
        return value if at_ms is not None and int(at_ms) > after_ms else None


def _put(arguments: list[Argument], width: int, items: Sequence[Argument]) -> None:
    """A section: how many, and they."""
    arguments.append(len(items) // width)
    arguments.extend(items)


def _pairs(pairs: Iterable[tuple[Argument, Argument]]) -> list[Argument]:
    return [each for pair in pairs for each in pair]


def _put_entries(arguments: list[Argument], commit: Commit, sequences: Sequence[int]) -> None:
    """The partition's entries, in the order of commit.lua."""
    owner = commit.workflow_id
    _put(arguments, 1, [f"{owner}\0{task_id}\0{kind}" for task_id, kind in commit.disarmed])
    armed = _pairs((e.at_ms, f"{owner}\0{e.task_id}\0{e.kind}") for e in commit.armed)
    _put(arguments, 2, armed)
    _put(arguments, 1, commit.unready)
    _put(arguments, 2, _pairs((each.task_id, ENCODE(each)) for each in commit.ready))
    _put(arguments, 1, commit.unslotted)
    _put(arguments, 2, _pairs((task_id, ENCODE(queue)) for task_id, queue in commit.slots))
    _put(arguments, 2, _pairs((task_id, server) for server, task_id in commit.unheld))
    _put(arguments, 2, _pairs((task_id, server) for server, task_id in commit.held))
    effects = zip(sequences, commit.outbox, strict=True)
    begin = owner.encode("utf-8", "surrogatepass") + b"\0"
    _put(
        arguments,
        2,
        _pairs((f"{commit.incarnation}\0{number}", begin + effect) for number, effect in effects),
    )
    _put(arguments, 1, [f"{server}\0{number}" for server, number in commit.outbox_done])
    _put(arguments, 1, commit.returned)
    _put(arguments, 2, _pairs((task_id, ENCODE(each)) for task_id, each in commit.outstanding))


def _lines(commit: Commit, logged: Sequence[str]) -> list[Argument]:
    """Which of the logs, whose, what."""
    return [
        part
        for task_id, at_ms, text in commit.logs
        for part in (logged.index(task_id) + 1, task_id, ENCODE((at_ms, text)))
    ]


def _result(commit: Commit, answer: object, sequences: tuple[int, ...]) -> CommitResult:
    """Of commit.lua."""
    what, told, *rest = cast("list[bytes]", answer)
    if what == b"stored":
        return Committed(int(told), sequences, tuple(each.decode() for each in rest))
    if what == b"conflict":
        tombstoned, *values = rest
        if tombstoned:
            return Conflict(0, tombstoned=True)
        return Conflict(int(told), dict(zip(commit.read_on_conflict, values, strict=True)))
    return Exists(told.decode())
