"""A runtime with a definition or two and workers made of plain objects.

The store counts commits; a Hand is a worker whose results the test decides.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from podium.engine.bind import bind
from podium.engine.command import Start
from podium.engine.graph import compile_workflow
from podium.model.definition import TaskDef, WorkflowDef, WorkflowTask
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.model.queue import UNLIMITED, Limits, Queue
from podium.protocol.frame import LeaseName, Result, ResultVerdict
from podium.runtime.clock import SystemClock, SystemIds
from podium.runtime.service import Runtime, Settings
from podium.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from podium.engine.graph import Graph
    from podium.engine.transition import Answer, Need, StartChild, TaskDefs
    from podium.index.port import Index
    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.queue import LeaseKind
    from podium.runtime.mailbox import Work
    from podium.store.port import Commit, CommitResult, Store

EVENT_S = 10
"""Generous: tests wait for events, not durations."""


class CountingStore(MemoryStore):
    """Counts commits and can be told to fail."""

    def __init__(self, now_ms: SystemClock) -> None:
        super().__init__(now_ms.now_ms)
        self.commits: list[Commit] = []
        self.before: list[Exception] = []
        """Raised instead of the next commits."""
        self.after: list[Exception] = []
        """Raised although the next commits were done."""

    async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
        if self.before:
            raise self.before.pop(0)
        self.commits.extend(commits)
        results = await super().commit(commits)
        if self.after:
            raise self.after.pop(0)
        return results

    def commits_of(self, workflow_id: str) -> list[Commit]:
        return [each for each in self.commits if each.workflow_id == workflow_id]


class FixedRegistry:
    """Definitions given by the test; the digest is the name."""

    def __init__(self, definitions: Sequence[WorkflowDef], task_defs: Sequence[TaskDef]) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._task_defs = {each.name: each for each in task_defs}
        self.graphs = {
            each.name: compile_workflow(bind(each, self._task_defs)) for each in definitions
        }

    async def graph(self, digest: str, inline: bytes | None) -> Graph:
        del inline
        return self.graphs[digest]

    async def task_defs(self, names: Sequence[str]) -> TaskDefs:
        return {name: self._task_defs.get(name) for name in names}

    async def limits(self, task_type: str) -> Limits:
        found = self._task_defs.get(task_type)
        if found is None:
            return UNLIMITED
        return Limits(
            concurrent=found.concurrent_exec_limit or 0,
            rate=found.rate_limit_per_frequency or 0,
            rate_window_ms=(found.rate_limit_frequency_in_seconds or 1) * 1000,
        )

    async def refresh(self) -> None:
        pass


class Hand:
    """A worker; `tasks` fills as it is handed tasks."""

    def __init__(self, runtime: Runtime, name: str, queues: Sequence[Queue], count: int) -> None:
        self.kind: LeaseKind = "stream"
        self.session = f"session-{name}"
        self.worker_id = name
        self.runtime = runtime
        self.queues = list(queues)
        self.free = dict.fromkeys(queues, count)
        self.tasks: asyncio.Queue[tuple[TaskRecord, ExecutionHeader]] = asyncio.Queue()
        self.gone: asyncio.Queue[tuple[LeaseName, str]] = asyncio.Queue()
        runtime.dispatcher.add(self, self.queues)

    def credit(self, queue: Queue) -> int:
        return self.free.get(queue, 0)

    def reserve(self, queue: Queue) -> None:
        self.free[queue] -= 1
        assert self.free[queue] >= 0, queue

    def unreserve(self, queue: Queue) -> None:
        self.free[queue] += 1

    def give(self, task: TaskRecord, header: ExecutionHeader) -> None:
        self.runtime.leases.add(task.id, task.lease_epoch, self)
        self.tasks.put_nowait((task, header))

    def lost(self, lease: LeaseName) -> None:
        self.gone.put_nowait((lease, "lost"))

    def cancel(self, lease: LeaseName, reason: str) -> None:
        self.gone.put_nowait((lease, reason))

    async def take(self) -> TaskRecord:
        """The next task handed out."""
        async with asyncio.timeout(EVENT_S):
            task, _ = await self.tasks.get()
        return task

    async def answer(
        self,
        task: TaskRecord,
        status: TaskStatus = TaskStatus.COMPLETED,
        output: Payload = EMPTY,
        *,
        epoch: int | None = None,
    ) -> ResultVerdict:
        """Report a result, wait for its acknowledgement, get the credit back."""
        verdict: asyncio.Future[ResultVerdict] = asyncio.get_running_loop().create_future()
        result = Result(
            task_id=task.id,
            lease_epoch=task.lease_epoch if epoch is None else epoch,
            status=status,
            output=output,
            reason="planned" if status is TaskStatus.FAILED else None,
        )
        self.runtime.leases.report(self, result, lambda each, _: verdict.set_result(each))
        async with asyncio.timeout(EVENT_S):
            answered = await verdict
        if task.queue is not None:
            self.free[task.queue] += 1
            self.runtime.dispatcher.credit_changed(task.queue)
        return answered

    def leave(self) -> None:
        """The stream breaks."""
        self.runtime.dispatcher.remove(self, self.queues)
        self.runtime.leases.orphan(self)


class Rig:
    """A store and the runtimes over it."""

    def __init__(
        self,
        definitions: Sequence[WorkflowDef],
        task_defs: Sequence[TaskDef] = (),
        *,
        grace_ms: int = 50,
    ) -> None:
        self.clock = SystemClock()
        self.ids = SystemIds()
        self.store = CountingStore(self.clock)
        self.registry = FixedRegistry(definitions, task_defs)
        self.grace_ms = grace_ms
        self.runtimes: list[Runtime] = []

    async def server(self, store: Store | None = None, index: Index | None = None) -> Runtime:
        """One more server over the store."""
        runtime = Runtime(
            store=store or self.store,
            registry=self.registry,
            clock=self.clock,
            ids=self.ids,
            settings=Settings(lease_grace_ms=self.grace_ms),
            index=index,
        )
        self.runtimes.append(runtime)

        async def starter(effect: StartChild, origin: str) -> None:
            await self.start_child(runtime, effect, origin)

        await self.store.open()
        await runtime.start(starter)
        runtime.listening()
        return runtime

    async def start_child(self, runtime: Runtime, effect: StartChild, origin: str) -> None:
        command = Start(
            name=effect.name,
            version=1,
            digest=effect.name,
            input=effect.input,
            parent=effect.parent,
            created_by=origin,
        )
        graph = self.registry.graphs[effect.name]
        await runtime.executor.start(effect.workflow_id, command, graph=graph, patient=True)

    async def start(
        self, runtime: Runtime, name: str, value: Payload = EMPTY, *, priority: int = 0
    ) -> str:
        """Start a workflow; answers its id when durable."""
        workflow_id = self.ids.workflow_id()
        command = Start(name=name, version=1, digest=name, input=value, priority=priority)
        await runtime.executor.start(workflow_id, command, graph=self.registry.graphs[name])
        return workflow_id

    async def finished(self, runtime: Runtime, workflow_id: str) -> ExecutionHeader:
        """Wait until the execution is terminal."""
        assert await runtime.watch.wait(workflow_id, EVENT_S * 1000), workflow_id
        entry = await runtime.executor.read(workflow_id, everything=True)
        assert entry.header is not None
        return entry.header

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        for runtime in self.runtimes:
            runtime.kill()


def chain(name: str, *types: str) -> WorkflowDef:
    """A sequence of SIMPLE tasks whose references are their types."""
    tasks = [WorkflowTask(name=each, task_reference_name=each) for each in types]
    return WorkflowDef(name=name, tasks=tasks)


def quick(name: str, **settings: Any) -> TaskDef:
    """A task definition without retry delay."""
    return TaskDef(name=name, retry_delay_seconds=0, **settings)


def poison(monkeypatch: pytest.MonkeyPatch, server: Runtime, workflow_id: str) -> None:
    """Each decision of this execution raises."""
    real = server.deciding._advance

    def advance(work: Work, answer: Answer | None) -> Need | None:
        if work.draft.workflow_id == workflow_id:
            raise ZeroDivisionError("secret")
        return real(work, answer)

    monkeypatch.setattr(server.deciding, "_advance", advance)
