"""Checks after each commit, at each frame that leaves a server, and at the end.

Sits right on the store, so it sees what really happened, whatever the servers were told: on the
memory store here, on every other one in tests/store/test_checked.py. It knows the port, the stored
form (codec) and the rules of architecture §1, nothing of how the runtime works.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from podium.engine.changes import outstanding_of, ready_of
from podium.engine.gate import is_shut, ready_gate, slot_of
from podium.engine.settle import is_final
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.protocol.frame import ResultVerdict
from podium.store import codec
from podium.store.memory import MemoryStore
from podium.store.port import Committed
from tests.simulation.fold import REOPENS, Fold
from tests.simulation.rest import left_over, queued
from tests.simulation.scene import expect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.protocol.frame import ResultAck, ServerFrame
    from podium.store.port import Commit, CommitResult, Store
    from tests.simulation.scene import Scene


ENDS_LEASE = frozenset({"LoseLease", "ReturnLease", "ReportResult", "Due"})
"""Commands of a commit in which one lease may end and the next begin."""


class Checker:
    """One run's checks; `finished` is set for each execution that became terminal."""

    def __init__(self, scene: Scene, store: Store) -> None:
        self._scene = scene
        self._store = store
        self._folds: dict[str, Fold] = {}
        self._versions: dict[str, int] = {}
        self._leases: dict[str, tuple[int, object]] = {}
        self._running: dict[str, set[str]] = {}
        self._handed: set[tuple[str, int]] = set()
        self._closed: dict[str, set[int]] = {}
        self._standing: dict[str, tuple[WorkflowStatus, int]] = {}
        """(status, run epoch) as of the last commit."""
        self._decided: Counter[tuple[str, str]] = Counter()
        self._gone: set[str] = set()
        self._children: dict[str, list[str]] = {}
        self.terminal: dict[str, asyncio.Event] = {}
        self.commits = 0

    def finished(self, workflow_id: str) -> asyncio.Event:
        return self.terminal.setdefault(workflow_id, asyncio.Event())

    # After each commit

    async def committed(self, commit: Commit) -> None:
        """The store carried out this commit."""
        with self._scene.judged():
            await self._committed(commit)

    async def _committed(self, commit: Commit) -> None:
        self.commits += 1
        workflow_id = commit.workflow_id
        expect(workflow_id not in self._gone, "a removed execution is gone", workflow_id)
        before = self._versions.get(workflow_id, 0)
        expect(commit.version == before, f"versions rise by 1 from {before}", workflow_id)
        self._versions[workflow_id] = before + 1
        loaded = await self._store.load(workflow_id, None)
        assert loaded is not None, workflow_id
        header, records = codec.decode_records(loaded.fields, complete=True)
        assert header is not None, workflow_id
        tasks = [task for task in records.tasks.values() if task is not None]
        if before == 0 and header.parent is not None:
            for family in [header.parent.workflow_id, *self._ancestors(header.parent.workflow_id)]:
                self._children.setdefault(family, []).append(workflow_id)
        fold = self._folds.setdefault(workflow_id, Fold())
        commands: tuple[str, ...] = ()
        if commit.history is not None:
            row = codec.decode_history(commit.history)
            commands = row.commands
            self._decided.update((workflow_id, each) for each in commands)
            expect(set(commands) != {"Repair"}, "a sound execution has nothing to repair", row)
            fold.take(row)
            self._scene.note("commit", f"{workflow_id[:8]} v{before + 1} {'+'.join(commands)}")
        former = [task for task in records.attempts.values() if task is not None]
        for task in [*tasks, *former]:
            self._check_task(fold, task)
        for task in tasks:
            self._check_lease(task, commands)
        self._check_gate(header)
        self._check_counts(header, tasks)
        await self._check_entries(header, tasks)
        self._check_status(header, commands)

    def _ancestors(self, workflow_id: str) -> list[str]:
        return [each for each, below in self._children.items() if workflow_id in below]

    def _check_status(self, header: ExecutionHeader, commands: tuple[str, ...]) -> None:
        """A run ends once: what has ended goes on by an order only, or ends TERMINATED by one."""
        before, epoch = self._standing.get(header.id, (header.status, 0))
        now, name = header.status, header.id
        self._standing[header.id] = (now, header.run_epoch)
        again = bool(REOPENS & set(commands))
        if before.terminal and now is not before:
            ends = "Terminate" in commands and before is not WorkflowStatus.COMPLETED
            expect(again or ends, f"{before} stays, but for an order", (name, now, commands))
        rises = sum(commands.count(each) for each in ("Restart", "Rerun"))
        expect(epoch <= header.run_epoch <= epoch + rises, "a run begins by an order", header)
        event = self.finished(header.id)
        (event.set if now.terminal else event.clear)()

    def _check_task(self, fold: Fold, task: TaskRecord) -> None:
        folded = fold.tasks.get((task.key, task.attempt))
        found = (task.status.value, task.lease_epoch)
        expect(folded == found, f"history says {folded}, the record {found}", task.id)
        if task.status.terminal:
            self._closed.setdefault(task.id, set()).add(task.closed_epoch)
        self._check_limit(task)

    def _check_lease(self, task: TaskRecord, commands: tuple[str, ...]) -> None:
        epoch, lease = self._leases.get(task.id, (0, None))
        if task.lease is not None and lease is not None and task.lease_epoch != epoch:
            ended = bool(ENDS_LEASE & set(commands))
            expect(ended, "a lease ends before the next begins", (task.id, commands))
        over = task.lease is None or task.lease_epoch != epoch
        if lease is not None and over and "ReportResult" in commands:
            self._closed.setdefault(task.id, set()).add(epoch)
        self._leases[task.id] = (task.lease_epoch, task.lease)
        if task.lease is not None and task.response_timeout_ms > 0:
            kinds = [deadline.kind for deadline in task.deadlines]
            expect("response" in kinds, "a lease has its response deadline", task.id)

    def _check_limit(self, task: TaskRecord) -> None:
        """No more of a limited type have a lease at once than its limit."""
        if task.queue is None or task.limits.concurrent <= 0:
            return
        running = self._running.setdefault(task.queue.task_type, set())
        (running.discard if task.lease is None else running.add)(task.id)
        most = task.limits.concurrent
        expect(len(running) <= most, f"at most {most} run at once", sorted(running))

    def _check_gate(self, header: ExecutionHeader) -> None:
        """No more executions of one key have a slot than their limit."""
        gate = header.gate
        if gate is None:
            return
        running = self._running.setdefault(gate.queue.task_type, set())
        (running.add if slot_of(header.id, gate) else running.discard)(header.id)
        most = gate.limits.concurrent
        expect(len(running) <= most, f"at most {most} executions run", sorted(running))

    def _check_counts(self, header: ExecutionHeader, tasks: Sequence[TaskRecord]) -> None:
        if header.pending or is_shut(header):
            return
        expected = 0
        if not header.status.terminal:
            open_tasks = [task for task in tasks if not is_final(task)]
            expected = sum(task.status is not TaskStatus.CANCELED for task in open_tasks)
        else:
            still = [task.id for task in tasks if not task.status.terminal]
            expect(not still, "a finished workflow has no open task", still)
        expect(header.open_count == expected, f"open_count is {expected}", header)

    async def _check_entries(self, header: ExecutionHeader, tasks: Sequence[TaskRecord]) -> None:
        """The entries beside the records say the same as the records."""
        entries = await self._store.entries(header.id, 0)
        found = [*map(ready_of, tasks), ready_gate(header.id, header.gate)]
        records = {ready.task_id: ready for ready in found if ready is not None}
        stored = {each.task_id: each for each in entries.ready}
        expect(stored == records, f"ready entries are {records}", stored)
        due = {(each.task_id, each.kind): each.at_ms for each in entries.due}
        armed = {(each.task_id, each.kind): each.at_ms for t in tasks for each in t.deadlines}
        if header.deadline_ms:
            armed["", "workflow"] = header.deadline_ms
        expect(due == armed, f"deadlines are {armed}", due)
        ways = {task.id: outstanding_of(task) for task in tasks}
        away = {task_id: each for task_id, each in ways.items() if each is not None}
        outstanding = dict(entries.outstanding)
        expect(outstanding == away, f"outstanding entries are {away}", outstanding)
        for task in tasks:
            if task.lease is not None and task.lease.kind == "stream":
                held = (task.lease.incarnation, task.id) in entries.held
                expect(held, "a stream lease has its held entry", task.id)

    # Orders

    def decided(self, workflow_id: str, command: str) -> int:
        """How many commands of that name the execution's commits tell of."""
        return self._decided[workflow_id, command]

    def removed(self, workflow_id: str) -> None:
        """The store removed it."""
        self._scene.note("removed", workflow_id[:8])
        self._gone.add(workflow_id)
        with self._scene.judged():
            status, _ = self._standing[workflow_id]
            expect(status.terminal, "what is removed has ended", (workflow_id, status))

    async def stored(self, workflow_id: str) -> ExecutionHeader | None:
        """As of now, whatever the servers say."""
        loaded = await self._store.load(workflow_id, [codec.HEADER_FIELD])
        value = None if loaded is None else loaded.fields[codec.HEADER_FIELD]
        return None if value is None else codec.decode_header(value)

    async def tasks(self, workflow_id: str) -> list[str]:
        """Ids of the latest attempts, in order."""
        loaded = await self._store.load(workflow_id, None)
        if loaded is None:
            return []
        _, records = codec.decode_records(loaded.fields, complete=True)
        return sorted(task.id for task in records.tasks.values() if task is not None)

    def children(self, workflow_id: str) -> list[str]:
        """Those that are or were its children, and theirs."""
        return self._children.get(workflow_id, [])

    async def archived(self, workflow_id: str) -> bool:
        """Whether a copy of it is kept."""
        return await self._store.archived(workflow_id) is not None

    # Frames

    def sent(self, server: str, frame: ServerFrame) -> None:
        """A server sends this to a worker."""
        with self._scene.judged():
            for task in frame.tasks:
                self.handed_out(server, task.task_id, task.lease_epoch)
            for ack in frame.acks:
                self._check_ack(server, ack)

    def handed_out(self, server: str, task_id: str, lease_epoch: int) -> None:
        """A worker gets the task, by a frame or by the answer of a poll."""
        with self._scene.judged():
            self._scene.note(server, f"hands out {task_id} epoch {lease_epoch}")
            epoch, _ = self._leases.get(task_id, (0, None))
            name = (task_id, lease_epoch)
            expect(lease_epoch <= epoch, "a hand-out follows its commit", name)
            expect(name not in self._handed, "a lease is handed out once", name)
            self._handed.add(name)

    def _check_ack(self, server: str, ack: ResultAck) -> None:
        self._scene.note(server, f"answers {ack.task_id} epoch {ack.lease_epoch} {ack.verdict}")
        if ack.verdict is not ResultVerdict.OK:
            return
        closed = self._closed.get(ack.task_id, set())
        expect(ack.lease_epoch in closed, f"ok follows the commit, reported: {closed}", ack)

    def acknowledged(self, workflow_id: str) -> None:
        """A client was told that this execution is stored."""
        with self._scene.judged():
            known = workflow_id in self._versions
            expect(known, "a start is acknowledged after its commit", workflow_id)

    # The end

    async def at_the_end(self) -> None:
        """Everything is finished and quiet: nothing may be left anywhere."""
        with self._scene.judged():
            await self._nothing_left()

    async def _nothing_left(self) -> None:
        unended = [each for each, (now, _) in self._standing.items() if not now.terminal]
        expect(not unended, "everything has ended", unended)
        for rule, left in await left_over(self._store, self._scene.incarnations):
            expect(not left, rule, left)
        queues = await queued(self._store)
        expect(not queues, "no queue holds a task", queues)


class CheckedStore(MemoryStore):
    """The memory store with the checker on its commits."""

    checker: Checker

    async def remove(
        self,
        workflow_id: str,
        version: int,
        tombstone_until_ms: int,
        *,
        archive: bytes | None = None,
    ) -> bool:
        done = await super().remove(workflow_id, version, tombstone_until_ms, archive=archive)
        if done:
            self.checker.removed(workflow_id)
        return done

    async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
        results: list[CommitResult] = []
        for commit in commits:
            result = (await super().commit([commit]))[0]
            results.append(result)
            if isinstance(result, Committed):
                await self.checker.committed(commit)
        return results
