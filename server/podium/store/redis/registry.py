"""Definitions with their generation, and logs of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from podium.store.port import UNCOUNTED, DefinitionRow
from podium.store.redis.keys import execution_of
from podium.store.redis.linked import Linked
from podium.store.redis.scripts import DEFINE, LATEST, LOG, UNDEFINE
from podium.store.task_log import LOG_LINES_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

ENCODE: Final = msgspec.msgpack.Encoder().encode
LINES: Final = msgspec.msgpack.Decoder(tuple[int, str])


class Definitions(Linked):
    """Part of the Redis store; see store/port.py."""

    async def put_definition(self, row: DefinitionRow, *, overwrite: bool) -> bool:
        call = self._link.call(
            DEFINE,
            self._keys_of(row.kind, row.name),
            row.name,
            row.version,
            row.value,
            "1" if overwrite else "0",
            _counted(row.kind),
        )
        return bool(await self._link.one(call, kept=True))

    async def get_definition(
        self, kind: str, name: str, version: int | None
    ) -> DefinitionRow | None:
        key = self._keys.rows(kind, name)
        if version is None:
            answer = await self._link.one(self._link.call(LATEST, [key]))
            found = cast("list[bytes]", answer)
            return DefinitionRow(kind, name, int(found[0]), found[1]) if found else None
        value = cast("bytes | None", await self._link.one(("HGET", key, version)))
        return None if value is None else DefinitionRow(kind, name, version, value)

    async def list_definitions(self, kind: str) -> list[DefinitionRow]:
        found = cast("set[bytes]", await self._link.one(("SMEMBERS", self._keys.names(kind))))
        names = sorted(each.decode() for each in found)
        answers = await self._link.send(
            [("HGETALL", self._keys.rows(kind, name)) for name in names]
        )
        return [
            DefinitionRow(kind, name, version, value)
            for name, rows in zip(names, answers, strict=True)
            for version, value in _versions(rows)
        ]

    async def delete_definition(self, kind: str, name: str, version: int) -> bool:
        keys = self._keys_of(kind, name)
        call = self._link.call(UNDEFINE, keys, name, version, _counted(kind))
        return bool(await self._link.one(call, kept=True))

    async def registry_generation(self) -> int:
        found = cast("bytes | None", await self._link.one(("GET", self._keys.generation)))
        return int(found or 0)

    async def add_logs(self, task_id: str, logs: Sequence[tuple[int, str]]) -> bool:
        workflow_id = execution_of(task_id)
        keys = [self._keys.execution(workflow_id, kind) for kind in ("x", "log")]
        lines = [ENCODE(each) for each in logs]
        call = self._link.call(
            LOG, [*keys, self._keys.log(task_id)], LOG_LINES_LIMIT, task_id, *lines
        )
        return bool(await self._link.one(call, kept=True))

    async def logs(self, task_id: str) -> list[tuple[int, str]]:
        command = ("LRANGE", self._keys.log(task_id), 0, -1)
        found = cast("list[bytes]", await self._link.one(command))
        return [LINES.decode(each) for each in found]

    def _keys_of(self, kind: str, name: str) -> list[str]:
        return [self._keys.rows(kind, name), self._keys.names(kind), self._keys.generation]


def _counted(kind: str) -> str:
    return "0" if kind in UNCOUNTED else "1"


def _versions(rows: object) -> list[tuple[int, bytes]]:
    found = cast("dict[bytes, bytes]", rows)
    return sorted((int(version), value) for version, value in found.items())
