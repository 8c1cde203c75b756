"""The executor: a mailbox per execution; each commit decides everything that waits in it.

One decision or commit per execution is under way; what comes meanwhile is decided together next.
All mailboxes that a loop turn filled are decided in one go, so that their commits share a group.
Deciding itself is runtime/deciding.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.engine.identity import split_task_id
from podium.runtime.letter import Letter, UnknownExecution, ignore, payload_bytes_of
from podium.runtime.mailbox import Mailbox, into

if TYPE_CHECKING:
    from podium.engine.command import Command, Outcome, Start
    from podium.engine.graph import Graph
    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.runtime.cache import Cache, Entry
    from podium.runtime.deciding import Deciding
    from podium.runtime.letter import Reply
    from podium.runtime.loading import Loader
    from podium.store.port import Idempotency


class Executor:
    """Takes commands, answers each once."""

    def __init__(self, *, deciding: Deciding, loader: Loader, cache: Cache, shared: bool) -> None:
        self._deciding = deciding
        deciding.released = self._release
        self._loader = loader
        self._cache = cache
        self._shared = shared
        self._mailboxes: dict[str, Mailbox] = {}
        self._dirty: list[Mailbox] = []
        self._pumping = False
        self._bytes_waiting = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, workflow_id: str, command: Command, actor: str, reply: Reply = ignore) -> None:
        """Queue a command of the server itself; it is retried until the store takes it."""
        letter = Letter(command, actor, reply)
        letter.patient = True
        self._post(workflow_id, letter)

    async def call(self, workflow_id: str, command: Command, actor: str) -> Outcome:
        """Send a client's command. Raises Rejected, StoreFull, UnknownExecution, DecisionFailed."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._post(workflow_id, Letter(command, actor, into(future)))
        return await future

    async def start(  # noqa: PLR0913 - a start is exactly these parts, all but two by name
        self,
        workflow_id: str,
        command: Start,
        *,
        graph: Graph,
        definition: bytes | None = None,
        idempotency: Idempotency | None = None,
        patient: bool = False,
    ) -> Outcome:
        """Create an execution. Raises AlreadyRecorded, Tombstoned and as `call`."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        letter = Letter(command, command.created_by, into(future))
        letter.graph = graph
        letter.definition = definition
        letter.idempotency = idempotency
        letter.patient = patient
        self._post(workflow_id, letter)
        return await future

    async def read(self, workflow_id: str, *, everything: bool) -> Entry:
        """The execution as stored, on wish with all its records. Raises UnknownExecution."""
        entry = self._cache.get(workflow_id)
        if entry is not None and not self._shared and (entry.records.complete or not everything):
            return entry
        entry = await self._loader.load(workflow_id, None if everything else ())
        if entry is None:
            raise UnknownExecution(workflow_id)
        return entry

    async def read_task(self, workflow_id: str, task_id: str) -> Entry:
        """The execution with at least this task's record. Raises UnknownExecution."""
        parts = split_task_id(task_id)
        entry = self._cache.get(workflow_id)
        known = entry is not None and parts is not None and parts[1] in entry.records.tasks
        if entry is None or not known or self._shared:
            entry = await self._loader.load_task(workflow_id, task_id)
        if entry is None:
            raise UnknownExecution(workflow_id)
        return entry

    async def read_attempt(self, task_id: str) -> tuple[TaskRecord, ExecutionHeader] | None:
        """This very attempt, with its execution's header; None where it is not the latest of its
        task any more, or its execution is gone.
        """
        parts = split_task_id(task_id)
        assert parts is not None, task_id
        try:
            entry = await self.read_task(parts[0], task_id)
        except UnknownExecution:
            return None
        task = entry.records.tasks.get(parts[1])
        if task is None or task.id != task_id or entry.header is None:
            return None
        return task, entry.header

    def forget(self, workflow_id: str) -> None:
        """It was changed in the store by somebody else: read it anew."""
        self._cache.drop(workflow_id)

    async def drain(self) -> None:
        """Wait until no mailbox holds anything."""
        await self._idle.wait()

    def stop(self) -> None:
        """Drop what is under way (after drain, or when the process dies in a simulation)."""
        self._deciding.stop()

    @property
    def mailbox_count(self) -> int:
        """Mailboxes with something in them."""
        return len(self._mailboxes)

    @property
    def bytes_waiting(self) -> int:
        """Payloads of commands that are not answered yet."""
        return self._bytes_waiting

    def _post(self, workflow_id: str, letter: Letter) -> None:
        self._weigh(letter)
        mailbox = self._mailboxes.get(workflow_id)
        if mailbox is None:
            mailbox = self._mailboxes[workflow_id] = Mailbox(workflow_id)
            self._idle.clear()
        mailbox.waiting.append(letter)
        if not mailbox.busy:
            self._mark(mailbox)

    def _weigh(self, letter: Letter) -> None:
        """Count the letter's payloads until it is answered."""
        size, reply = payload_bytes_of(letter), letter.reply
        if not size:
            return

        def told(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
            self._bytes_waiting -= size
            reply(outcome, header)

        self._bytes_waiting += size
        letter.reply = told

    def _mark(self, mailbox: Mailbox) -> None:
        mailbox.busy = True
        self._dirty.append(mailbox)
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Decide for every mailbox that has something, in one go, so that they share a group."""
        self._pumping = False
        dirty, self._dirty = self._dirty, []
        for mailbox in dirty:
            self._deciding.begin(mailbox)

    def _release(self, mailbox: Mailbox) -> None:
        mailbox.busy = False
        if mailbox.waiting:
            self._mark(mailbox)
            return
        del self._mailboxes[mailbox.workflow_id]
        if not self._mailboxes:
            self._idle.set()
