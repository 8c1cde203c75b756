"""Reading executions and tasks as clients see them, as of their last commit.

A view is a snapshot of frozen records, so it may be worked on outside the loop. The output of a
join or a loop is not stored: it is put together here, only where somebody reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.app.masking import masked_task
from podium.app.names import no_task, no_workflow, require_workflow_id
from podium.app.view import ExecutionView, TaskView
from podium.engine.gathering import GATHERING, OutputTooLarge, gather, parts_in
from podium.engine.graph import Graph, branch_graph
from podium.engine.identity import split_task_id
from podium.engine.transition import FetchPayloads
from podium.model.payload import EMPTY, Payload
from podium.runtime.letter import UnknownExecution
from podium.runtime.loading import Loader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from podium.app.services import Services
    from podium.engine.gathering import Parts
    from podium.model.definition import WorkflowTask
    from podium.model.execution import BranchRecord, ExecutionHeader, TaskRecord
    from podium.runtime.cache import Entry


class Reader:
    """Reads views. All methods may raise StoreError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._loader = Loader(services.store, services.registry)

    async def read(self, workflow_id: str, *, tasks: bool) -> ExecutionView:
        """Raises RequestUnsound, NotFound."""
        require_workflow_id("workflow_id", workflow_id)
        try:
            entry = await self._entry(workflow_id, tasks=tasks)
        except UnknownExecution:
            archived = await self._loader.load_archived(workflow_id)
            if archived is None:
                raise no_workflow(workflow_id) from None
            entry = archived
        return view_of(entry, tasks=tasks)

    async def read_task(self, task_id: str) -> TaskView:
        """As it may be shown. Raises NotFound."""
        parts = split_task_id(task_id)
        if parts is None:
            raise no_task(task_id)
        workflow_id, key, attempt = parts
        try:
            require_workflow_id("workflow_id", workflow_id)
            entry = await self._services.executor.read_task(workflow_id, task_id)
            record = _attempt(entry, key, attempt)
            if record is None:  # a former attempt, while the latest one is in the cache
                entry = await self._loader.load_task(workflow_id, task_id) or entry
                record = _attempt(entry, key, attempt)
            if record is not None and record.task_type in GATHERING:
                entry = await self._services.executor.read(workflow_id, everything=True)
                record = _attempt(entry, key, attempt)
        except UnknownExecution:
            archived = await self._loader.load_archived(workflow_id)
            if archived is None:
                raise no_task(task_id) from None
            entry, record = archived, _attempt(archived, key, attempt)
        if record is None or record.id != task_id or entry.header is None:
            raise no_task(task_id)
        parts = _parts(entry) if record.task_type in GATHERING else {}
        view = _view(entry, entry.header, record, parts)
        return masked_task(view, entry.graph.definition.masked_fields)

    def hand_out(self, record: TaskRecord, header: ExecutionHeader) -> TaskView:
        """The view of a task that is handed out; nothing is read for it."""
        graph = self._services.registry.known_graph(header.digest)
        task = None if graph is None else _definition_of(graph, {}, record)
        return TaskView(record, header, record.output, task)

    async def _entry(self, workflow_id: str, *, tasks: bool) -> Entry:
        """The entry with the execution's payloads, on wish with all its records."""
        while True:
            entry = await self._services.executor.read(workflow_id, everything=tasks)
            known = entry.records
            if known.complete or (
                known.input is not None and known.output is not None and known.variables is not None
            ):
                return entry
            if await self._loader.fetch(workflow_id, entry, FetchPayloads()) is not None:
                return entry


def view_of(entry: Entry, *, tasks: bool) -> ExecutionView:
    """An entry that holds the execution's payloads, with `tasks` all its records."""
    header = entry.header
    assert header is not None, entry
    return ExecutionView(
        header=header,
        graph=entry.graph,
        input=entry.records.input or EMPTY,
        output=entry.records.output or EMPTY,
        variables=entry.records.variables or EMPTY,
        tasks=_views(entry, header) if tasks else (),
    )


def _views(entry: Entry, header: ExecutionHeader) -> tuple[TaskView, ...]:
    if header.rerun is not None and not header.rerun.key:  # they are of the run before
        return ()
    latest = [task for task in entry.records.tasks.values() if task is not None]
    former = [task for task in entry.records.attempts.values() if task is not None]
    parts = _parts(entry)
    return tuple(
        _view(entry, header, record, parts)
        for record in sorted([*former, *latest], key=lambda task: (task.seq, task.attempt))
    )


def _parts(entry: Entry) -> Parts:
    return parts_in(task for task in entry.records.tasks.values() if task is not None)


def _view(entry: Entry, header: ExecutionHeader, record: TaskRecord, parts: Parts) -> TaskView:
    output = record.output
    if record.task_type in GATHERING:
        output = _gathered(record, parts, entry.records.tasks.get)
    task = _definition_of(entry.graph, entry.records.branches, record)
    return TaskView(record, header, output, task)


def _gathered(task: TaskRecord, parts: Parts, look: Callable[[str], TaskRecord | None]) -> Payload:
    """Its own entries where it is over the payload limit: its members can still be read."""
    try:
        return Payload.of(gather(task, parts, look))
    except OutputTooLarge:
        return task.output


def _definition_of(
    graph: Graph, branches: Mapping[str, BranchRecord | None], record: TaskRecord
) -> WorkflowTask | None:
    if record.branch:
        branch = branches.get(record.branch)
        if branch is None:
            return None
        graph = branch_graph(branch.definition)
    return graph.nodes[record.node].task if 0 <= record.node < len(graph.nodes) else None


def _attempt(entry: Entry, key: str, attempt: int) -> TaskRecord | None:
    """The record of one attempt, whether it is the latest or a former one."""
    latest = entry.records.tasks.get(key)
    if latest is not None and latest.attempt == attempt:
        return latest
    return entry.records.attempts.get((key, attempt))
