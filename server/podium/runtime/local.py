"""A worker inside the server: takes tasks of one queue and runs them by a handler it is given.

It is a worker like any other: leases, epochs, retries and cancels are those of runtime/leases.py,
so a task that ran here when the server died is offered again. What the handler does is not known.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import TYPE_CHECKING, Final, Protocol

from podium.engine.identity import reference_in
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.schedule import too_large
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.model.system_call import SystemCall
from podium.protocol.frame import LeaseName, Result
from podium.runtime.hand_out import refusal_of
from podium.runtime.vault import NO_SECRETS, CannotOpen

if TYPE_CHECKING:
    from podium.model.execution import ExecutionHeader, SecretMark, TaskRecord
    from podium.model.payload import JsonObject
    from podium.model.queue import LeaseKind, Queue
    from podium.protocol.frame import ResultVerdict
    from podium.runtime.dispatcher import Dispatcher
    from podium.runtime.leases import Leases
    from podium.runtime.vault import Vault

LOG = logging.getLogger("podium.local")
FINISH_MS: Final = 2_000
"""A clean stop waits this long for runs under way; what is left is offered again, uncharged."""


class Ran(Protocol):
    """How a run ended: a status that workers may report, the output, the reason of a failure."""

    @property
    def status(self) -> str: ...

    @property
    def output(self) -> JsonObject: ...

    @property
    def reason(self) -> str | None: ...

    @property
    def callback_after_ms(self) -> int: ...


class Handler(Protocol):
    """Runs one task. To cancel it ends the run."""

    async def __call__(self, call: SystemCall) -> Ran: ...


class LocalWorker:
    """See dispatcher.Worker and leases.LeaseHolder. Runs at most `tasks_max` tasks at once."""

    kind: LeaseKind = "stream"

    def __init__(  # noqa: PLR0913 - all but one by name
        self,
        handler: Handler,
        *,
        queue: Queue,
        tasks_max: int,
        dispatcher: Dispatcher,
        leases: Leases,
        vault: Vault = NO_SECRETS,
    ) -> None:
        assert tasks_max > 0, tasks_max
        self._handler = handler
        self._queue = queue
        self._free = tasks_max
        self._dispatcher = dispatcher
        self._leases = leases
        self._vault = vault
        self._runs: dict[LeaseName, asyncio.Task[None]] = {}
        self._open = False
        self.session = f"local-{queue.task_type}"
        self.worker_id = f"{queue.task_type}@{dispatcher.incarnation}"

    def start(self) -> None:
        """Take tasks from now on; in the running loop, once the runtime has started."""
        self._open = True
        self._dispatcher.add(self, (self._queue,))

    async def stop(self) -> None:
        """Take nothing more; what does not end soon is given back. Before the runtime stops."""
        if not self._open:
            return
        self._open = False
        self._dispatcher.remove(self, (self._queue,))
        if self._runs:
            await asyncio.wait(self._runs.values(), timeout=FINISH_MS / 1000)
        for lease, run in list(self._runs.items()):
            run.cancel()
            self._leases.nack(self, lease)

    def credit(self, queue: Queue) -> int:
        return self._free if self._open and queue == self._queue else 0

    def reserve(self, queue: Queue) -> None:
        assert queue == self._queue, (queue, self._queue)
        self._free -= 1

    def unreserve(self, queue: Queue) -> None:
        assert queue == self._queue, (queue, self._queue)
        self._free += 1

    def give(self, task: TaskRecord, header: ExecutionHeader) -> None:
        lease = LeaseName(task.id, task.lease_epoch)
        self._leases.add(task.id, task.lease_epoch, self)
        if not self._open:
            self._leases.nack(self, lease)
            return
        run = asyncio.get_running_loop().create_task(self._run(lease, task, header))
        self._runs[lease] = run
        # Not a `finally` of the run: one that is cancelled before its first step has none.
        run.add_done_callback(lambda _: self._ended(lease))

    def lost(self, lease: LeaseName) -> None:
        self._end(lease)

    def cancel(self, lease: LeaseName, reason: str) -> None:
        del reason
        self._end(lease)

    def _end(self, lease: LeaseName) -> None:
        run = self._runs.get(lease)
        if run is not None:
            run.cancel()

    async def _run(self, lease: LeaseName, task: TaskRecord, header: ExecutionHeader) -> None:
        try:
            call = call_of(self._vault.opened(task), header)
        except CannotOpen as problem:
            result = refusal_of(lease, problem.reason)
        else:
            result = await self._result(lease, call, task.secrets)
        self._leases.report(self, result, _answered)

    def _ended(self, lease: LeaseName) -> None:
        del self._runs[lease]
        self._free += 1
        self._dispatcher.credit_changed(self._queue)

    async def _result(
        self, lease: LeaseName, call: SystemCall, secrets: tuple[SecretMark, ...]
    ) -> Result:
        after_ms = 0
        try:
            ran = await self._handler(call)
            status, output, reason = TaskStatus(ran.status), Payload.of(ran.output), ran.reason
            after_ms = ran.callback_after_ms
        except Exception as error:  # noqa: BLE001 - whatever a handler raises fails its task
            self._tell(lease, error, secrets)
            status, output = TaskStatus.FAILED, EMPTY
            reason = f"expected an outcome of {self._queue.task_type}, found a fault of the server"
        if len(output) > PAYLOAD_BYTES_LIMIT:
            status = TaskStatus.FAILED_WITH_TERMINAL_ERROR
            reason = too_large("task output", len(output))
            output, after_ms = EMPTY, 0
        if reason and secrets:
            reason = self._vault.redacted(reason, secrets)
        return Result(
            task_id=lease.task_id,
            lease_epoch=lease.lease_epoch,
            status=status,
            output=output,
            reason=reason,
            callback_after_ms=after_ms,
        )

    def _tell(self, lease: LeaseName, error: Exception, secrets: tuple[SecretMark, ...]) -> None:
        """Into the log; of an error that may hold a secret only its kind and its place."""
        noted = {"event": "system_task_raised", "task_id": lease.task_id}
        if not secrets:
            LOG.error("the handler of a system task raised", extra=noted, exc_info=error)
            return
        places = "".join(traceback.format_tb(error.__traceback__))
        noted["error"] = type(error).__name__
        LOG.error("the handler of a task whose input names secrets raised\n%s", places, extra=noted)


def call_of(task: TaskRecord, header: ExecutionHeader) -> SystemCall:
    """What the handler is given of a task."""
    return SystemCall(
        input=task.input.value,
        task_id=task.id,
        reference_name=reference_in(task.ref, task.iteration),
        workflow_id=header.id,
        workflow_name=header.name,
        correlation_id=header.correlation_id,
        retry_count=task.retry_count,
        runs_before=max(task.poll_count - 1, 0),
        output=task.output.value,
    )


def _answered(verdict: ResultVerdict, reason: str) -> None:
    """A result that came too late changes nothing; one that is refused has ended its own task."""
    if reason:
        noted = {"event": "system_result_refused", "verdict": verdict.value}
        LOG.warning("a result of a system task was refused", extra=noted)
