"""The next attempt of a failed task: its record, input, delay and deadlines (S-268 to S-276)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from podium.engine.caching import answered
from podium.engine.enforce import admitted
from podium.engine.limits import PAYLOAD_BYTES_LIMIT, TASKS_LIMIT
from podium.engine.operators.table import operator_for
from podium.engine.retry import delay_seconds, jitter_ms, next_attempt
from podium.engine.schedule import (
    EndExecution,
    definition_of,
    failed_at_once,
    locate,
    queued,
    too_large,
    want_domains,
)
from podium.engine.settle import settle_at
from podium.engine.state import State, want_task
from podium.engine.timing import MS, first_deadlines, has
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking
    from podium.model.execution import SecretMark, TaskRecord


def retry(draft: State, key: str) -> Asking[None]:
    """Put the next attempt in the place of the failed one."""
    failed = yield from want_task(draft, key)
    assert failed is not None, key
    place = yield from locate(draft, failed)
    if draft.head.task_count >= TASKS_LIMIT:
        raise EndExecution(
            f"expected at most {TASKS_LIMIT} tasks in one execution, found a retry of {failed.id}",
            task=failed,
        )
    if draft.head.task_to_domain and failed.queue is not None:
        yield from want_domains(draft, failed.task_type)
    task = delayed(draft, place, next_attempt(draft, failed))
    operator = operator_for(place, failed)
    assert operator.inputs is not None, f"{failed.id}: {failed.task_type} is never retried"
    value = failed.input.value | (yield from operator.inputs(draft, place, task))
    if place.node.cache is not None and task.queue is not None:
        task = yield from answered(draft, place, task, value)
    encoded = Payload.of(value)
    if len(encoded) > PAYLOAD_BYTES_LIMIT:
        task = failed_at_once(draft, task, too_large("task input", len(encoded)))
    else:
        task = replace(task, input=encoded, secrets=kept_marks(draft, failed))
        task = yield from admitted(draft, place, task)
    draft.succeed_attempt(replace(failed, retried=True), task)
    if task.status.terminal:
        yield from settle_at(draft, place, task)
    elif operator.begin is not None and not has(task.deadlines, "retry"):
        yield from operator.begin(draft, place, task)


def kept_marks(draft: State, failed: TaskRecord) -> tuple[SecretMark, ...]:
    """Where the input names secrets: as it was made now, and in what stays of the one before."""
    made = draft.marks.pop(failed.key, ())
    return (*made, *(mark for mark in failed.secrets if mark not in made))


def delayed(draft: State, place: Place, task: TaskRecord) -> TaskRecord:
    """The attempt with its delay. `callback_after_ms` is the delay without its jitter (S-273)."""
    task_def = definition_of(place, task)
    assert task_def is not None, task.id
    plain_ms = delay_seconds(task_def, task.retry_count - 1) * MS
    delay_ms = plain_ms + jitter_ms(task_def, task)
    if task.queue is not None:
        task = queued(draft, place, task, task_def=task_def, delay_ms=delay_ms)
    else:
        deadlines = first_deadlines(task, task_def, now_ms=draft.now_ms, delay_ms=delay_ms)
        task = replace(task, deadlines=deadlines)
    return replace(task, callback_after_ms=plain_ms, start_delay_ms=plain_ms)
