"""The sandbox: a few script children, started when the first program comes.

A request takes a place (one child each, the one used last first), waits at most behind
WAITING_LIMIT others, and gives the place back; a place whose child was killed is given back once
its successor runs, so a bomb costs its own time and no other's start. Failures are values: words
for the client, and whether the same program may do better another time.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import orjson

from podium.engine.problem import DEPTH_LIMIT, deeper_than
from podium.engine.transition import Evaluate, Evaluated
from podium.runtime.clock import spawn
from podium.runtime.measure import Tally
from podium.sandbox import wire
from podium.sandbox.process import WALL_MS, Answer, Child, Stopped

if TYPE_CHECKING:
    from podium.engine.transition import Language
    from podium.model.payload import JsonValue

LOG = logging.getLogger("podium.sandbox")
WAITING_LIMIT: Final = 1_000
CHILD_FAILED: Final = {"event": "script_child_failed"}
BUSY: Final = Evaluated(
    error=f"expected fewer than {WAITING_LIMIT} scripts that wait to run, found so many",
    retriable=True,
)
NO_PROCESS: Final = Evaluated(
    error="expected a process that runs scripts, found that none could be started", retriable=True
)
LATE: Final = Evaluated(
    error=f"expected a program that ends within {WALL_MS} ms, found one that goes on",
    retriable=True,
)
DIED: Final = Evaluated(
    error="expected a program within its memory, found one that ended its process"
)
UNSOUND: Final = Evaluated(error="expected a value of sound JSON in Unicode text, found another")
DEEP: Final = Evaluated(error=f"expected at most {DEPTH_LIMIT} levels of JSON, found more")


class Sandbox:
    """Evaluates programs; `children` at once. Nothing is started before the first one."""

    def __init__(self, children: int) -> None:
        self._children: Final = [Child() for _ in range(children)]
        self._free: Final[asyncio.LifoQueue[Child]] = asyncio.LifoQueue()
        for child in self._children:
            self._free.put_nowait(child)
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.calls = Tally()
        """Programs, by language."""
        self.kills = 0
        self.refused = 0
        """Programs that found no place."""

    @property
    def waiting_count(self) -> int:
        """Programs that wait for a place."""
        return self._waiting

    @property
    def pids(self) -> list[int]:
        """Of the children that run."""
        return [child.pid for child in self._children if child.pid]

    async def evaluate(self, need: Evaluate) -> Evaluated:
        """What the program makes of its input; never raises."""
        head: wire.Head = {
            "language": need.language,
            "program": need.program,
            "parse": False,
            "now_ms": need.now_ms,
            "seed": need.seed,
        }
        answer = await self._ask(head, need.input)
        return answer if isinstance(answer, Evaluated) else evaluated(answer)

    async def fault(self, language: Language, program: str) -> str:
        """Why the program cannot be understood; "" = it can, or nobody can tell now (S-035)."""
        head: wire.Head = {
            "language": language, "program": program, "parse": True, "now_ms": 0, "seed": "",
        }  # fmt: skip
        answer = await self._ask(head, b"null")
        if isinstance(answer, Evaluated):
            return "" if answer.retriable else answer.error
        return answer.text.decode(errors="replace") if answer.kind == wire.ERROR else ""

    def stop(self) -> None:
        """End all children."""
        for task in list(self._tasks):
            task.cancel()
        for child in self._children:
            child.kill()

    async def _ask(self, head: wire.Head, given: bytes) -> Answer | Evaluated:
        self.calls.add(head["language"])
        if self._waiting >= WAITING_LIMIT:
            self.refused += 1
            return BUSY
        self._waiting += 1
        try:
            child = await self._free.get()
        finally:
            self._waiting -= 1
        try:
            if not child.alive:
                await child.start()
            return await child.ask(head, given)
        except Stopped as stopped:
            self.kills += 1
            return LATE if stopped.late else DIED
        except OSError:
            LOG.exception("no script child could be started", extra=CHILD_FAILED)
            return NO_PROCESS
        finally:
            self._give_back(child)

    def _give_back(self, child: Child) -> None:
        if child.pid:
            self._free.put_nowait(child)
        else:
            spawn(self._tasks, self._renew(child))

    async def _renew(self, child: Child) -> None:
        """Start the successor of a dead child; where that fails, the next request tries again."""
        try:
            await child.start()
        except (OSError, Stopped):
            LOG.exception("no script child could be started", extra=CHILD_FAILED)
        self._free.put_nowait(child)


def evaluated(answer: Answer) -> Evaluated:
    """The answer of a child as the engine reads it. What it sends is not trusted to be sound."""
    if answer.kind != wire.VALUE:
        return Evaluated(
            error=answer.text.decode(errors="replace"), retriable=answer.kind == wire.LATE
        )
    try:
        value: JsonValue = orjson.loads(answer.text)
    except orjson.JSONDecodeError:
        return UNSOUND
    return DEEP if deeper_than(value, DEPTH_LIMIT) else Evaluated(value)
