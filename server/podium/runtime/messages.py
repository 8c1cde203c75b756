"""Messages between servers, over the store's bus, which may lose anything (distribution.md §4).

Assigned carries the hand-out when it is small; else the receiver reads the task from the store.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from podium.model.queue import LeaseKind, Queue
from podium.runtime.clock import spawn
from podium.store import codec
from podium.store.port import StoreError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from podium.engine.transition import CancelNotice
    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.runtime.dispatcher import Dispatcher
    from podium.runtime.executor import Executor
    from podium.runtime.leases import Leases
    from podium.store.port import Store

LOG = logging.getLogger("podium.bus")
TAKEN_MAX: Final = 10_000
CARRIED_BYTES_MAX: Final = 64 * 1024


class AssignedMessage(msgspec.Struct, frozen=True, tag="assigned", array_like=True):
    """A lease was stored for a worker of the receiver."""

    task_id: str
    lease_epoch: int
    queue: Queue
    kind: LeaseKind
    task: bytes = b""
    """As stored, with the header; empty where they are large: the receiver reads them."""
    header: bytes = b""


class CancelMessage(msgspec.Struct, frozen=True, tag="cancel", array_like=True):
    """A lease of the receiver ended: its worker should stop."""

    task_id: str
    lease_epoch: int
    reason: str


class BacklogMessage(msgspec.Struct, frozen=True, tag="backlog", array_like=True):
    """Work may wait in this queue although the receiver waits there: ask again."""

    queue: Queue


class ChangedMessage(msgspec.Struct, frozen=True, tag="changed", array_like=True):
    """An execution that the receiver watches changed."""

    workflow_id: str


class RegistryMessage(msgspec.Struct, frozen=True, tag="registry", array_like=True):
    """Definitions changed: read the generation again."""


Message: TypeAlias = (
    AssignedMessage | BacklogMessage | CancelMessage | ChangedMessage | RegistryMessage
)
ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


class Bus:
    """Sends and receives for one incarnation."""

    def __init__(
        self,
        *,
        store: Store,
        executor: Executor,
        dispatcher: Dispatcher,
        leases: Leases,
        incarnation: str,
    ) -> None:
        self._store = store
        self._executor = executor
        self._dispatcher = dispatcher
        self._leases = leases
        self._incarnation = incarnation
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken: OrderedDict[tuple[str, int], None] = OrderedDict()
        """Leases that Assigned named lately: each is handed out once."""
        self.sent_count = 0
        self.on_changed: Callable[[str], None]
        self.on_registry: Callable[[], None]

    def start(self) -> None:
        self._store.subscribe(self._incarnation, self._deliver)

    def stop(self) -> None:
        self._store.subscribe(self._incarnation, None)
        for task in list(self._tasks):
            task.cancel()

    def assigned(self, server: str, task: TaskRecord, header: ExecutionHeader) -> None:
        """See dispatcher.Bus."""
        assert task.lease is not None, task.id
        assert task.queue is not None, task.id
        message = AssignedMessage(task.id, task.lease_epoch, task.queue, task.lease.kind)
        if len(task.input.json) <= CARRIED_BYTES_MAX:
            carried = codec.encode_task(task), codec.encode_header(header)
            if sum(map(len, carried)) <= CARRIED_BYTES_MAX:
                message = replace(message, task=carried[0], header=carried[1])
        self._send(server, message)

    def backlog(self, server: str, queue: Queue) -> None:
        """See dispatcher.Bus."""
        self._send(server, BacklogMessage(queue))

    def cancel(self, notice: CancelNotice) -> None:
        message = CancelMessage(notice.task_id, notice.lease_epoch, notice.reason)
        self._send(notice.incarnation, message)

    def changed(self, server: str, workflow_id: str) -> None:
        self._send(server, ChangedMessage(workflow_id))

    def registry(self, servers: Iterable[str]) -> None:
        for server in servers:
            self._send(server, RegistryMessage())

    def _send(self, server: str, message: Message) -> None:
        self.sent_count += 1
        spawn(self._tasks, self._publish(server, ENCODER.encode(message)))

    async def _publish(self, server: str, message: bytes) -> None:
        try:
            await self._store.publish(server, message)
        except StoreError:
            noted = {"event": "message_lost", "server": server}
            LOG.warning("a message was lost; a reconcile makes up for it", extra=noted)

    def _deliver(self, message: bytes) -> None:
        decoded = DECODER.decode(message)
        match decoded:
            case AssignedMessage():
                spawn(self._tasks, self._take(decoded))
            case BacklogMessage():
                self._dispatcher.backlog_known(decoded.queue)
            case CancelMessage():
                self._leases.cancel(decoded.task_id, decoded.lease_epoch, decoded.reason)
            case ChangedMessage():
                self.on_changed(decoded.workflow_id)
            case RegistryMessage():
                self.on_registry()
            case _:
                assert_never(decoded)

    async def _take(self, message: AssignedMessage) -> None:
        """Hand the task to a worker here, or give the lease back."""
        lease = (message.task_id, message.lease_epoch)
        if lease in self._taken:  # the bus said it twice
            return
        self._taken[lease] = None
        if len(self._taken) > TAKEN_MAX:
            self._taken.popitem(last=False)
        seat = self._dispatcher.seat_for(message.queue, message.kind)
        if seat is None:
            self._leases.give_up(message.task_id, message.lease_epoch)
            return
        try:
            found = _carried(message) or await self._read(message)
        except StoreError:
            found = None
        if found is None:
            seat.give_back()
            self._leases.give_up(message.task_id, message.lease_epoch)
            return
        seat.give(*found)

    async def _read(self, message: AssignedMessage) -> tuple[TaskRecord, ExecutionHeader] | None:
        found = await self._executor.read_attempt(message.task_id)
        if found is None:
            return None
        task, _ = found
        current = task.lease_epoch == message.lease_epoch and task.lease is not None
        return found if current else None


def _carried(message: AssignedMessage) -> tuple[TaskRecord, ExecutionHeader] | None:
    """The hand-out, where it came along in a form that is known here."""
    if not message.task:
        return None
    try:
        return codec.decode_task(message.task), codec.decode_header(message.header)
    except codec.StoredFormatUnknown:
        return None
