"""Reading single records of an execution without what they carry, for those who only look.

Payloads of tasks are left out where they stand in fields of their own, but for those that say what
a join waits for and where a loop is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.graph import LOOP
from podium.engine.settle import JOINS
from podium.engine.transition import Records
from podium.model.payload import EMPTY, Payload
from podium.store import codec

if TYPE_CHECKING:
    from podium.engine.transition import FetchTasks
    from podium.model.execution import TaskRecord
    from podium.store.port import Store

CHUNK: Final = 500
"""Records read in one trip."""
NEEDED: Final = frozenset({*JOINS, LOOP})


class LightReader:
    """Reads one execution; `changed` tells whether it changed while it was read."""

    def __init__(self, store: Store, workflow_id: str, version: int) -> None:
        self._store = store
        self._id = workflow_id
        self._version = version
        self.changed = False

    async def read(self, need: FetchTasks) -> Records:
        """The records of a need; raises as codec does."""
        found = Records()
        keys = [*need.keys, *(f"{key}.{attempt}" for key, attempt in need.attempts)]
        for first in range(0, len(keys), CHUNK):
            tasks = await self._tasks(keys[first : first + CHUNK])
            for name, task in tasks.items():
                key, dot, attempt = name.partition(".")
                if dot:
                    found.attempts[key, int(attempt)] = task
                else:
                    found.tasks[key] = task
        rest = [*(f"j:{key}" for key in need.joins), *(f"b:{key}" for key in need.branches)]
        if rest:
            _, others = codec.decode_records(await self._load(rest), complete=False)
            found.joins.update(others.joins)
            found.branches.update(others.branches)
        return found

    async def _tasks(self, names: list[str]) -> dict[str, TaskRecord | None]:
        fields = await self._load([f"t:{name}" for name in names])
        values = {name: fields.get(f"t:{name}") for name in names}
        tasks = {
            name: None if raw is None else codec.decode_task(raw) for name, raw in values.items()
        }
        heavy = [name for name, task in tasks.items() if task and task.task_type in NEEDED]
        payloads = await self._payloads(heavy)
        return {
            name: task
            and replace(
                task,
                input=task.input if task.input.json else payloads.get(f"i:{name}", EMPTY),
                output=task.output if task.output.json else payloads.get(f"o:{name}", EMPTY),
            )
            for name, task in tasks.items()
        }

    async def _payloads(self, names: list[str]) -> dict[str, Payload]:
        if not names:
            return {}
        fields = await self._load([f"{kind}:{name}" for name in names for kind in "io"])
        return {name: Payload(value) for name, value in fields.items() if value is not None}

    async def _load(self, names: list[str]) -> dict[str, bytes | None]:
        loaded = await self._store.load(self._id, names)
        if loaded is None or loaded.version != self._version:
            self.changed = True
        return {} if loaded is None else loaded.fields
