"""cacheConfig: a worker's task is answered with the output of an equal call (S-043).

Conductor's model has the field, and nothing in it reads it. Equal = same type, same name, same key,
evaluated when the attempt is scheduled; the name under which its output is kept stands in the
record meanwhile. Outputs are kept by an effect, since they belong to no execution.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.evaluation import evaluate
from podium.engine.java_text import java_text
from podium.engine.limits import CACHED_BYTES_LIMIT
from podium.engine.schedule import ended, locate
from podium.engine.transition import Cached, CacheOutput, FetchCached
from podium.engine.trial import is_trial

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

CACHE: Final = "cache"
"""workerId of a task that no worker saw."""


def named(draft: State, place: Place, task: TaskRecord, input_: JsonObject) -> Asking[TaskRecord]:
    """The attempt with the name of what comes out of it; a blank key names nothing."""
    rule = place.node.cache
    if rule is None or is_trial(draft.head):
        return task
    value = yield from evaluate(draft, rule.key, task_id=task.id, place=place, parameters=input_)
    key = java_text(value)
    return replace(task, cached_as=name_of(task, key) if key.strip() else "")


def answered(
    draft: State, place: Place, task: TaskRecord, input_: JsonObject
) -> Asking[TaskRecord]:
    """The attempt, COMPLETED where an equal call left an output that is not too old."""
    task = yield from named(draft, place, task, input_)
    rule = place.node.cache
    if rule is None or not task.cached_as:
        return task
    answer = yield FetchCached(task.cached_as, draft.now_ms - rule.ttl_ms)
    assert isinstance(answer, Cached), answer
    if answer.output is None:
        return task
    return replace(
        ended(draft, task),
        output=answer.output,
        worker_id=CACHE,
        start_delay_ms=0,
        callback_after_ms=0,
        reason=None,
        cached_as="",
    )


def keep(draft: State, task: TaskRecord) -> Asking[None]:
    """Have the output of a task that was COMPLETED kept for equal calls."""
    place = yield from locate(draft, task)
    rule, now_ms = place.node.cache, draft.now_ms
    if rule is None or len(task.output) > CACHED_BYTES_LIMIT:
        return
    until_ms = now_ms + rule.ttl_ms
    draft.effects.append(
        CacheOutput(name=task.cached_as, output=task.output, at_ms=now_ms, until_ms=until_ms)
    )


def name_of(task: TaskRecord, key: str) -> str:
    """Bounded, and another for every other type, name and key."""
    parts = f"{len(task.task_type)} {len(task.def_name)} {task.task_type}{task.def_name}{key}"
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
