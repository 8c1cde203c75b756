"""What clients do with executions that exist: read, wait, watch, terminate."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.failure import NotFound, RequestUnsound, shown
from podium.app.masking import masked_row
from podium.app.names import bounded_text, no_workflow, require_workflow_id
from podium.app.reading import Reader
from podium.app.tree import children_of
from podium.engine.command import PushMessage, Rejected, Rerun, Restart, Signal, Terminate
from podium.engine.identity import split_task_id
from podium.engine.limits import DEPTH_LIMIT, PAYLOAD_BYTES_LIMIT, WORKFLOW_REASON_CHARS_LIMIT
from podium.model.execution import HistoryRow
from podium.model.payload import Payload
from podium.runtime.letter import Tombstoned, UnknownExecution
from podium.store import codec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from podium.app.services import Services
    from podium.app.view import ExecutionView
    from podium.engine.command import Command
    from podium.model.execution import ExecutionHeader

WAIT_MS_MAX: Final = 600_000
ROWS_PER_READ: Final = 200
LOOK_AGAIN_MS: Final = 60_000


class Seen(msgspec.Struct, frozen=True):
    """One commit; `moved` = the execution's own status is news."""

    row: HistoryRow
    moved: bool


class RerunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for. `task_id` "" = whole; an input that is None stays as it was."""

    workflow_id: str
    task_id: str = ""
    task_input: Payload | None = None
    input: Payload | None = None
    correlation_id: str = ""


class Executions:
    """Reads and ends executions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reader = Reader(services)

    async def get(self, workflow_id: str, *, tasks: bool) -> ExecutionView:
        """As of the last commit. Raises RequestUnsound, NotFound, StoreError."""
        return await self._reader.read(workflow_id, tasks=tasks)

    async def terminate(self, workflow_id: str, reason: str) -> None:
        """End it (S-131 ff.); fine where it is TERMINATED already.

        Raises RequestUnsound, NotFound, Rejected, StoreError, DecisionFailed.
        """
        reason = reason[:WORKFLOW_REASON_CHARS_LIMIT]
        await self.command(workflow_id, Terminate(reason=reason or None))

    async def command(self, workflow_id: str, command: Command) -> None:
        """Send an operator's command. Raises RequestUnsound, NotFound, Rejected, StoreError,
        DecisionFailed.
        """
        require_workflow_id("workflow_id", workflow_id)
        try:
            await self._services.executor.call(workflow_id, command, "")
        except (UnknownExecution, Tombstoned):
            raise no_workflow(workflow_id) from None

    async def restart(self, workflow_id: str, *, latest_definition: bool) -> None:
        """Run it from the start, on wish by the latest version of its definition (S-081 ff.).

        Raises as `command`, and RegistryFailure.
        """
        command = Restart()
        if latest_definition:
            header = await self._header(workflow_id)
            bound = await self._services.registry.bound_by_name(header.name, None)
            command = Restart(
                graph=bound.graph, name=bound.name, version=bound.version, digest=bound.digest
            )
        await self.command(workflow_id, command)

    async def rerun(self, request: RerunRequest) -> None:
        """Run it again, whole or from a task of it or of its children on (S-106 ff.).

        Raises as `command`.
        """
        _check_rerun(request)
        task_ids: tuple[str, ...] = ()
        if request.task_id:
            task_ids = await self._path_to(request.workflow_id, request.task_id)
        command = Rerun(
            task_ids=task_ids,
            task_input=request.task_input,
            input=request.input,
            correlation_id=request.correlation_id,
        )
        await self.command(request.workflow_id, command)

    async def _path_to(self, workflow_id: str, task_id: str) -> tuple[str, ...]:
        """The tasks that lead from the execution down to a task, which ends them (S-111)."""
        found = [task_id]
        for _ in range(DEPTH_LIMIT + 1):
            parts = split_task_id(found[0])
            if parts is None:
                break
            if parts[0] == workflow_id:
                return tuple(found)
            try:
                header = await self._header(parts[0])
            except (NotFound, RequestUnsound):
                break
            if not header.status.terminal:
                raise Rejected(
                    "FAILED_PRECONDITION",
                    f"Workflow: {header.id} is not in terminal state, unable to rerun."
                    f" Found {header.status}.",
                )
            if header.parent is None:
                break
            found.insert(0, header.parent.task_id)
        raise RequestUnsound(f"Task {shown(task_id)} not found")

    async def _header(self, workflow_id: str) -> ExecutionHeader:
        return (await self._reader.read(workflow_id, tasks=False)).header

    async def push(self, workflow_id: str, payload: Payload) -> str:
        """Put a message into its queue (S-187); answers the message's id. Raises as `command`."""
        message_id = self._services.ids.workflow_id()
        await self.command(workflow_id, PushMessage(message_id=message_id, payload=payload))
        return message_id

    async def signal(self, workflow_id: str, command: Signal) -> tuple[str, str] | None:
        """End the first WAIT that is open, in it or in its children (S-174): (execution, task).

        None = nothing waits. Raises as `command`.
        """
        require_workflow_id("workflow_id", workflow_id)
        waiting = [workflow_id]
        while waiting:
            asked = waiting.pop()
            try:
                outcome = await self._services.executor.call(asked, command, "")
            except (UnknownExecution, Tombstoned):
                if asked == workflow_id:
                    raise no_workflow(workflow_id) from None
                continue
            except Rejected:
                if asked == workflow_id:
                    raise
                continue  # a child that has ended meanwhile
            if outcome.task is not None:
                return asked, outcome.task.id
            waiting += reversed(await self._children_of(asked))
        return None

    async def _children_of(self, workflow_id: str) -> list[str]:
        """Those that its tasks wait for, in the order of the tasks."""
        view = await self._reader.read(workflow_id, tasks=True)
        return list(children_of(view))

    async def wait(self, workflow_id: str, timeout_ms: int) -> ExecutionView:
        """Wait until it has ended or the time is over. Raises as `get`."""
        require_workflow_id("workflow_id", workflow_id)
        if not 0 <= timeout_ms <= WAIT_MS_MAX:
            raise RequestUnsound(f"timeout_ms: expected 0 to {WAIT_MS_MAX}, found {timeout_ms}")
        with contextlib.suppress(UnknownExecution):  # perhaps it was archived
            await self._services.watch.wait(workflow_id, timeout_ms)
        return await self._reader.read(workflow_id, tasks=False)

    async def watch(self, workflow_id: str, from_position: int) -> AsyncIterator[list[Seen]]:
        """Its commits from a position on, in order, until it has ended.

        Raises RequestUnsound, NotFound, StoreError.
        """
        require_workflow_id("workflow_id", workflow_id)
        if from_position < 0:
            raise RequestUnsound(f"from_position: expected 0 or more, found {from_position}")
        watch = self._services.watch
        event = await watch.subscribe(workflow_id)
        try:
            # One row more than asked for tells whether the first one changed the status.
            after, status = max(from_position - 2, 0), ""
            while True:
                ended, hidden = await self._standing(workflow_id)
                rows = await self._rows(workflow_id, after)
                seen: list[Seen] = []
                for row in rows:
                    moved = row.workflow_status != status
                    after, status = row.position, row.workflow_status
                    if row.position >= from_position:
                        seen.append(Seen(masked_row(row, hidden), moved))
                if seen:
                    yield seen
                elif not rows and ended:
                    return
                elif not rows:
                    await watch.next_change(event, LOOK_AGAIN_MS)
        finally:
            watch.unsubscribe(workflow_id, event)

    async def _standing(self, workflow_id: str) -> tuple[bool, list[str]]:
        """Whether it has ended, and its maskedFields."""
        try:
            entry = await self._services.executor.read(workflow_id, everything=False)
        except UnknownExecution:
            raise no_workflow(workflow_id) from None
        ended = entry.header is not None and entry.header.status.terminal
        return ended, entry.graph.definition.masked_fields

    async def _rows(self, workflow_id: str, after: int) -> list[HistoryRow]:
        stored = await self._services.store.history(workflow_id, after, ROWS_PER_READ)
        return [codec.decode_history(row) for row in stored]


def _check_rerun(request: RerunRequest) -> None:
    bounded_text("correlation_id", request.correlation_id)
    if request.task_input is not None and not request.task_id:
        raise RequestUnsound("task_input: expected a task to give it to, found none")
    for place, value in (("workflow_input", request.input), ("task_input", request.task_input)):
        if value is not None and len(value) > PAYLOAD_BYTES_LIMIT:
            raise RequestUnsound(
                f"{place}: expected at most {PAYLOAD_BYTES_LIMIT} bytes as JSON, found {len(value)}"
            )
