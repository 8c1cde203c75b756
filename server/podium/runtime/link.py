"""What a worker stream stands on: the link to its worker, and its two neighbours.

Ports only, so that a stream runs alike over gRPC, over queues in the simulation, and in tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.queue import Queue
    from podium.protocol.frame import LeaseName, Result, ResultVerdict, ServerFrame, WorkerFrame
    from podium.protocol.problem import EndCode
    from podium.runtime.dispatcher import Worker
    from podium.runtime.leases import LeaseHolder


class LinkBroken(Exception):
    """The worker is gone without a word; nothing more can be told to it."""


class Link(Protocol):
    """Frames to and from one worker."""

    async def receive(self) -> WorkerFrame | None:
        """The next frame; None when the worker half-closed. Raises LinkBroken."""
        ...

    async def send(self, frame: ServerFrame) -> None:
        """Returns when the frame is on its way. Raises LinkBroken."""
        ...

    def close(self, code: EndCode, text: str) -> None:
        """End the stream with this status; called at most once, last."""
        ...


class CreditDesk(Protocol):
    """What a stream asks of the dispatcher."""

    def add(self, worker: Worker, queues: Iterable[Queue]) -> None: ...

    def remove(self, worker: Worker, queues: Iterable[Queue]) -> None: ...

    def credit_changed(self, queue: Queue) -> None: ...


class LeaseDesk(Protocol):
    """What a stream asks of the leases."""

    def add(self, task_id: str, lease_epoch: int, worker: LeaseHolder) -> None: ...

    def report(
        self, holder: LeaseHolder, result: Result, reply: Callable[[ResultVerdict, str], None]
    ) -> None: ...

    def extend(self, holder: LeaseHolder, lease: LeaseName) -> None: ...

    def nack(self, holder: LeaseHolder, lease: LeaseName) -> None: ...

    def received(self, frame: WorkerFrame) -> None:
        """What a frame says that no command follows from: hand-outs that arrived."""
        ...

    def trace_parent_of(self, task: TaskRecord, header: ExecutionHeader) -> str:
        """Where the worker's span of it belongs; "" = in no trace."""
        ...

    async def resume(
        self, holder: LeaseHolder, names: Sequence[LeaseName]
    ) -> tuple[tuple[LeaseName, ...], tuple[LeaseName, ...]]: ...

    def orphan(self, holder: LeaseHolder) -> None: ...
