"""`podium` as two servers in one process, on one store, that decide every command in turn.

All parts of both are those of bootstrap; only their executors are behind a face that passes each
command on, so that each finds what it cached of an execution outdated by the other. The store is
in memory, and both have one registry, so that a definition is known to both at once. Neither has
an index, as servers that share a store have none. At the end one line on stderr says what was
counted.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import uvloop

from podium import bootstrap
from podium.cli.main import main
from podium.registry.registry import Registry
from podium.runtime.clock import SystemClock
from podium.runtime.executor import Executor
from podium.runtime.letter import ignore
from podium.runtime.service import Runtime
from podium.runtime.service import Settings as RuntimeSettings
from podium.store.memory import MemoryStore

if TYPE_CHECKING:
    from podium.config import Settings
    from podium.engine.command import Command, Outcome, Start
    from podium.engine.graph import Graph
    from podium.runtime.cache import Entry
    from podium.runtime.letter import Reply
    from podium.runtime.mailbox import Evaluator
    from podium.store.port import Idempotency

SERVERS: Final = 2


class Turns:
    """Whose turn it is: for each execution one after the other, reads and commands apart."""

    def __init__(self) -> None:
        self.executors: list[Executor] = []
        self.over = False
        """The servers stop, each with its own commands."""
        self._decided: dict[str, int] = {}
        self._read: dict[str, int] = {}

    def decider(self, workflow_id: str, own: Executor) -> Executor:
        return self._next(self._decided, workflow_id, own)

    def reader(self, workflow_id: str, own: Executor) -> Executor:
        return self._next(self._read, workflow_id, own)

    def _next(self, taken: dict[str, int], workflow_id: str, own: Executor) -> Executor:
        """Every second execution begins at the second server: a worker's next task is granted in
        turn with its results, so else one would decide all grants and the other all results.
        """
        if self.over:
            return own
        turn = taken.get(workflow_id, len(taken))
        taken[workflow_id] = turn + 1
        return self.executors[turn % len(self.executors)]


class Face(Executor):
    """A runtime's executor as its parts and its edge see it."""

    def __init__(self, own: Executor, turns: Turns) -> None:
        self._own = own
        self._turns = turns
        turns.executors.append(own)

    def submit(self, workflow_id: str, command: Command, actor: str, reply: Reply = ignore) -> None:
        self._decider(workflow_id).submit(workflow_id, command, actor, reply)

    async def call(self, workflow_id: str, command: Command, actor: str) -> Outcome:
        return await self._decider(workflow_id).call(workflow_id, command, actor)

    async def start(  # noqa: PLR0913 - as the executor's
        self,
        workflow_id: str,
        command: Start,
        *,
        graph: Graph,
        definition: bytes | None = None,
        idempotency: Idempotency | None = None,
        patient: bool = False,
    ) -> Outcome:
        return await self._decider(workflow_id).start(
            workflow_id,
            command,
            graph=graph,
            definition=definition,
            idempotency=idempotency,
            patient=patient,
        )

    async def read(self, workflow_id: str, *, everything: bool) -> Entry:
        return await self._reader(workflow_id).read(workflow_id, everything=everything)

    async def read_task(self, workflow_id: str, task_id: str) -> Entry:
        return await self._reader(workflow_id).read_task(workflow_id, task_id)

    async def drain(self) -> None:
        await self._own.drain()

    def stop(self) -> None:
        self._own.stop()

    @property
    def mailbox_count(self) -> int:
        return self._own.mailbox_count

    @property
    def bytes_waiting(self) -> int:
        return self._own.bytes_waiting

    def forget(self, workflow_id: str) -> None:
        self._own.forget(workflow_id)

    def _decider(self, workflow_id: str) -> Executor:
        return self._turns.decider(workflow_id, self._own)

    def _reader(self, workflow_id: str) -> Executor:
        return self._turns.reader(workflow_id, self._own)


class KeptStore(MemoryStore):
    """Stays when the first of its servers leaves."""

    async def close(self) -> None:
        pass


class Pair:
    """Two servers and what they share."""

    def __init__(self, settings: Settings) -> None:
        self.turns = turns = Turns()
        self.runtimes: list[Runtime] = []
        runtimes = self.runtimes
        clock = SystemClock()
        store = KeptStore(clock.now_ms)
        registries: list[Registry] = []

        class TurningRuntime(Runtime):
            """Its executor is known by its face only."""

            def _make_executor(self, settings: RuntimeSettings, evaluator: Evaluator) -> None:
                super()._make_executor(settings, evaluator)
                self.executor = Face(self.executor, turns)
                runtimes.append(self)

        def one_registry(*parts: Any) -> Registry:
            registries.append(registries[0] if registries else Registry(*parts))
            return registries[-1]

        with (
            patch.object(bootstrap, "open_store", lambda *_: store),
            patch.object(bootstrap, "open_index", lambda *_: None),
            patch.object(bootstrap, "Registry", one_registry),
            patch.object(bootstrap, "Runtime", TurningRuntime),
        ):
            self._servers = [bootstrap.Server(settings, supervised=False) for _ in range(SERVERS)]

    async def start(self) -> list[str]:
        """Answers the places of gRPC."""
        return [(await server.start())["grpc"] for server in self._servers]

    def listening(self) -> None:
        for server in self._servers:
            server.listening()

    async def stop(self) -> None:
        self.turns.over = True
        for server in self._servers:
            await server.stop()


async def serve(settings: Settings) -> None:
    """As bootstrap: until SIGTERM."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    pair = Pair(settings)
    try:
        addresses = ",".join(await pair.start())
        print(json.dumps({"event": "serving", "grpc": f"ipv4:{addresses}"}), flush=True)
        pair.listening()
        await over.wait()
    finally:
        await pair.stop()
    deciding = [runtime.deciding for runtime in pair.runtimes]
    counted = {
        "decisions": [each.decisions for each in deciding],
        "conflicts": [each.conflicts for each in deciding],
    }
    print(json.dumps(counted), file=sys.stderr)


def run(settings: Settings, origins: object = None, *, supervised: bool = False) -> None:
    """In place of bootstrap.run."""
    del origins, supervised
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))


if __name__ == "__main__":
    with patch.object(bootstrap, "run", run):
        sys.exit(main())
