"""Runs a handler and turns whatever comes of it into a Result message.

Sync handlers run in threads of the pool, so the loop keeps answering pings; async ones run in the
loop and must not block it. The text of a handler's exception becomes the reason of the failure.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, TypeGuard

from podium.v1 import worker_pb2 as pb
from podium_worker.task import ResultStatus, TaskResult, TerminalError
from podium_worker.tracing import continued

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from podium_worker.task import TaskContext, WorkerTask

REASON_CHARACTERS_MAX: Final = 500
STATUSES: Final[Mapping[ResultStatus, pb.ResultStatus.ValueType]] = {
    ResultStatus.COMPLETED: pb.RESULT_STATUS_COMPLETED,
    ResultStatus.FAILED: pb.RESULT_STATUS_FAILED,
    ResultStatus.FAILED_WITH_TERMINAL_ERROR: pb.RESULT_STATUS_FAILED_WITH_TERMINAL_ERROR,
    ResultStatus.IN_PROGRESS: pb.RESULT_STATUS_IN_PROGRESS,
}


async def outcome_of(
    task: pb.Task, worker_task: WorkerTask, context: TaskContext, pool: Executor | None
) -> pb.Result:
    """The result of one run. Cancelling it cancels an async handler."""
    try:
        returned = await _call(task, worker_task, context, pool)
        return _result(task, _full(returned))
    except TerminalError as error:
        status = ResultStatus.FAILED_WITH_TERMINAL_ERROR
        return _result(task, TaskResult(status=status, reason=_text(error)))
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is None or current.cancelling():
            raise
        return _result(task, TaskResult(status=ResultStatus.FAILED, reason="cancelled by itself"))
    except Exception as error:  # noqa: BLE001 - whatever the handler raises fails its task only
        return _result(task, TaskResult(status=ResultStatus.FAILED, reason=_text(error)))


async def _call(
    task: pb.Task, worker_task: WorkerTask, context: TaskContext, pool: Executor | None
) -> object:
    task_input: object = json.loads(task.input.json or b"{}")
    arguments = (task_input, context) if worker_task.wants_context else (task_input,)
    if worker_task.is_async:
        with continued(task):
            coroutine = worker_task.handler(*arguments)
            assert asyncio.iscoroutine(coroutine), worker_task.name
            return await coroutine
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, _in_thread, task, worker_task.handler, arguments)


def _in_thread(
    task: pb.Task, handler: Callable[..., object], arguments: tuple[object, ...]
) -> object:
    """StopIteration and SystemExit of a handler must not be taken for something of ours."""
    try:
        with continued(task):
            return handler(*arguments)
    except (StopIteration, SystemExit) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _full(returned: object) -> TaskResult:
    if isinstance(returned, TaskResult):
        return returned
    if returned is None:
        return TaskResult()
    if _is_object(returned):
        return TaskResult(output=returned)
    raise TypeError(f"expected a dict or a TaskResult from the handler, found {returned!r:.100}")


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _result(task: pb.Task, result: TaskResult) -> pb.Result:
    return pb.Result(
        task_id=task.task_id,
        lease_epoch=task.lease_epoch,
        status=STATUSES[ResultStatus(result.status)],
        output=pb.Payload(json=_json(result.output)) if result.output else None,
        reason=result.reason[:REASON_CHARACTERS_MAX],
        callback_after_ms=result.callback_after_ms,
    )


def _json(output: Mapping[str, object]) -> bytes:
    """UTF-8; raises ValueError or TypeError where JSON has no such value."""
    text = json.dumps(dict(output), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def _text(error: BaseException) -> str:
    """The wire takes no lone surrogates."""
    text = str(error) or type(error).__name__
    return text.encode("utf-8", "replace").decode()
