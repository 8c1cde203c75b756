"""Explaining an execution: reads the facts (bounded), gives them to causes.py and end_causes.py.

An execution that changes while it is read is read again; one that never rests is told as it was
found in the last look, part by part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.cause import (
    TASKS_TOLD,
    Cause,
    CauseKind,
    EndFacts,
    Explanation,
    Facts,
    LeaseFacts,
    QueueFacts,
)
from podium.app.causes import explained, is_ready, parked
from podium.app.end_causes import end_explained
from podium.app.light_reading import LightReader
from podium.app.names import no_workflow, require_workflow_id
from podium.engine.ending import FAILURE_WORKFLOW_KEY
from podium.engine.gate import is_shut
from podium.engine.graph import Graph
from podium.engine.identity import split_task_id, task_key
from podium.engine.limits import DEPTH_LIMIT
from podium.engine.open_tasks import find_open
from podium.engine.transition import FetchTasks
from podium.model.execution import ExecutionHeader, WorkflowStatus
from podium.model.payload import Payload
from podium.registry.failure import RegistryFailure
from podium.runtime.gates import is_gate
from podium.runtime.loading import Loader
from podium.store import codec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.app.services import Services
    from podium.engine.open_tasks import OpenTasks
    from podium.model.execution import HistoryRow, TaskRecord
    from podium.model.parking import ParkedRecord
    from podium.model.queue import Limits, Queue

INDEXED_MAX: Final = 200
"""Tasks of each index that are looked at."""
QUEUES_MAX: Final = 20
CHILDREN_MAX: Final = 5
CHILDREN_DEEP: Final = 8
EXECUTIONS_MAX: Final = 30
"""In one explanation."""
HISTORY_ROWS: Final = 200
LOOKS_MAX: Final = 3
NOT_STARTED: Final = "Error workflow "
"""How the text begins that stands for the id of a failure workflow that was not started."""
UNREADABLE: Final = (codec.StoredFormatUnknown, msgspec.DecodeError, RegistryFailure)


class Seen(msgspec.Struct, frozen=True):
    """One execution as it was found."""

    header: ExecutionHeader
    graph: Graph
    version: int


class Budget:
    """How many executions may still be looked at."""

    def __init__(self) -> None:
        self.left = EXECUTIONS_MAX

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


class Explainer:
    """Explains executions. All methods may raise StoreError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = services.store
        self._loader = Loader(services.store, services.registry)

    async def explain(self, workflow_id: str) -> Explanation:
        """Raises RequestUnsound, NotFound."""
        require_workflow_id("workflow_id", workflow_id)
        found = await self._explained(workflow_id, Budget(), 0)
        if found is None:
            raise no_workflow(workflow_id)
        return found

    async def _explained(self, workflow_id: str, budget: Budget, depth: int) -> Explanation | None:
        """None where there is no such execution."""
        set_aside = await self._services.parking.find(workflow_id)
        try:
            for look in range(1, LOOKS_MAX + 1):
                entry = await self._loader.load(workflow_id, ())
                if entry is None or entry.header is None:
                    return None
                seen = Seen(entry.header, entry.graph, entry.version)
                reader = LightReader(self._store, workflow_id, entry.version)
                found = await self._look(seen, reader, set_aside, budget=budget, depth=depth)
                if not reader.changed or look == LOOKS_MAX:
                    return found
        except UNREADABLE as error:
            return self._unreadable(workflow_id, set_aside, error)
        raise AssertionError(workflow_id)

    def _unreadable(
        self, workflow_id: str, set_aside: ParkedRecord | None, error: Exception
    ) -> Explanation:
        unreadable = Cause(
            kind=CauseKind.UNREADABLE,
            text=f"Its stored records cannot be read: {type(error).__name__}.",
            remedy="A newer version of Podium, where one wrote it; else PurgeWorkflow removes it.",
            reason=type(error).__name__,
        )
        causes = (unreadable,)
        if set_aside is not None:
            causes = (parked(set_aside, self._services.clock.now_ms()), unreadable)
        return Explanation(workflow_id=workflow_id, causes=causes)

    async def _look(
        self,
        seen: Seen,
        reader: LightReader,
        set_aside: ParkedRecord | None,
        *,
        budget: Budget,
        depth: int,
    ) -> Explanation:
        if seen.header.status.terminal:
            return await self._look_at_end(seen, reader, set_aside, budget=budget, depth=depth)
        header = seen.header
        entries = await self._store.entries(header.id, INDEXED_MAX)
        indexed = [
            *(each.task_id for each in entries.ready),
            *(task_id for _, task_id in entries.held),
            *(each.task_id for each in entries.due),
        ]
        opened = await self._walk(seen.graph, reader, indexed)
        children: dict[str, Explanation | None] = {}
        for task in opened.tasks:
            child_id = task.sub_workflow_id
            if (
                child_id
                and len(children) < CHILDREN_MAX
                and depth < CHILDREN_DEEP
                and budget.take()
            ):
                children[child_id] = await self._explained(child_id, budget, depth + 1)
        facts = Facts(
            header=header,
            now_ms=self._services.clock.now_ms(),
            open=opened,
            queues=await self._queues(header, opened.tasks),
            leases={task.id: self._lease(task) for task in opened.tasks if task.lease},
            history=await self._history(header),
            parked=set_aside,
            paused_parents=await self._paused_parents(header) if depth == 0 else (),
            children=children,
            effects=entries.outbox,
        )
        return explained(facts)

    async def _walk(self, graph: Graph, reader: LightReader, indexed: Iterable[str]) -> OpenTasks:
        parts = [split_task_id(each) for each in indexed if each]
        walking = find_open(graph, [each[1] for each in parts if each is not None])
        try:
            need = next(walking)
            while True:
                need = walking.send(await reader.read(need))
        except StopIteration as done:
            return done.value

    # The facts around it

    async def _queues(
        self, header: ExecutionHeader, tasks: Iterable[TaskRecord]
    ) -> dict[Queue, QueueFacts]:
        wanted: dict[Queue, None] = {}
        found: dict[Queue, QueueFacts] = {}
        gate = header.gate
        if gate is not None and is_shut(header):
            found[gate.queue] = await self._queue(gate.queue, gate.limits)
        for task in tasks:
            if task.queue is not None and is_ready(task):
                wanted[task.queue] = None
        for queue in list(wanted)[:QUEUES_MAX]:
            limits = await self._services.registry.limits(queue.task_type)
            found[queue] = await self._queue(queue, limits)
        return found

    async def _queue(self, queue: Queue, limits: Limits) -> QueueFacts:
        runtime = self._services.runtime
        state = await self._store.queue_state(queue, limits)
        if is_gate(queue):
            return QueueFacts(state=state, limits=limits)
        seen = await self._store.poll_data(queue.task_type)
        here = [
            worker.worker_id
            for known in runtime.dispatcher.known()
            if known.queue == queue
            for worker in known.workers
        ]
        return QueueFacts(
            state=state,
            limits=limits,
            active=await runtime.polls.active_domains(queue.task_type),
            workers=tuple(here[:TASKS_TOLD]),
            seen_ms=max(
                (at for (domain, _), at in seen.items() if domain == queue.domain), default=0
            ),
        )

    def _lease(self, task: TaskRecord) -> LeaseFacts:
        runtime = self._services.runtime
        assert task.lease is not None, task.id
        holder = runtime.leases.holder_of(task.id, task.lease_epoch)
        here = task.lease.incarnation == runtime.incarnation
        return LeaseFacts(session=holder.session if holder is not None else "", here=here)

    async def _history(self, header: ExecutionHeader) -> tuple[HistoryRow, ...]:
        after = max(header.history_position - HISTORY_ROWS, 0)
        rows = await self._store.history(header.id, after, HISTORY_ROWS)
        return tuple(codec.decode_history(row) for row in rows)

    async def _paused_parents(self, header: ExecutionHeader) -> tuple[str, ...]:
        """Of all that stand above it."""
        found: list[str] = []
        parent = header.parent
        for _ in range(DEPTH_LIMIT):
            if parent is None:
                break
            loaded = await self._store.load(parent.workflow_id, [codec.HEADER_FIELD])
            value = None if loaded is None else loaded.fields.get(codec.HEADER_FIELD)
            if value is None:
                break
            above = codec.decode_header(value)
            if above.status is WorkflowStatus.PAUSED:
                found.append(above.id)
            parent = above.parent
        return tuple(found)

    # The end

    async def _look_at_end(
        self,
        seen: Seen,
        reader: LightReader,
        set_aside: ParkedRecord | None,
        *,
        budget: Budget,
        depth: int,
    ) -> Explanation:
        header = seen.header
        failed = await self._failed(header, reader)
        within = depth < CHILDREN_DEEP
        child = failure = None
        if failed is not None and failed.sub_workflow_id and within and budget.take():
            child = await self._explained(failed.sub_workflow_id, budget, depth + 1)
        cleaner_id, cleaner_text = await self._failure_workflow(seen)
        if cleaner_id and within and budget.take():
            failure = await self._explained(cleaner_id, budget, depth + 1)
        return end_explained(
            EndFacts(
                header=header,
                now_ms=self._services.clock.now_ms(),
                failed=failed,
                failed_child=child,
                history=await self._history(header),
                failure_workflow_id=cleaner_id,
                failure_workflow_text=cleaner_text,
                failure_workflow=failure,
                parked=set_aside,
                paused_parents=await self._paused_parents(header) if depth == 0 else (),
            )
        )

    async def _failed(self, header: ExecutionHeader, reader: LightReader) -> TaskRecord | None:
        """The task that is to blame, as the header names it."""
        if header.failed_task_id is not None:
            parts = split_task_id(header.failed_task_id)
            if parts is None:
                return None
            _, key, attempt = parts
            records = await reader.read(FetchTasks((key,), attempts=((key, attempt),)))
            latest = records.tasks.get(key)
            same = latest is not None and latest.id == header.failed_task_id
            return latest if same else records.attempts.get((key, attempt)) or latest
        key = header.terminate_key or (
            task_key(header.failed_refs[0]) if header.failed_refs else ""
        )
        return (await reader.read(FetchTasks((key,)))).tasks.get(key) if key else None

    async def _failure_workflow(self, seen: Seen) -> tuple[str, str]:
        """Its id, or why it was not started; both empty where there is none."""
        header = seen.header
        if not seen.graph.definition.failure_workflow or header.status is WorkflowStatus.COMPLETED:
            return "", ""
        loaded = await self._store.load(header.id, [codec.OUTPUT_FIELD])
        value = None if loaded is None else loaded.fields.get(codec.OUTPUT_FIELD)
        noted = None if value is None else Payload(value).value.get(FAILURE_WORKFLOW_KEY)
        if not isinstance(noted, str):
            return "", ""
        return ("", noted) if noted.startswith(NOT_STARTED) else (noted, "")
