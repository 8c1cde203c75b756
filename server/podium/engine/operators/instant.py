"""What operators share that begin and end within one decision: input in, ended record out.

A type gives `inputs` and `work`; here they become an Operator that is retried like any task, with
its delay. A program that fails, or whose value no task can hold, fails its task and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from podium.engine.evaluation import evaluate_map
from podium.engine.gathering import latest
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.operators.operator import Operator
from podium.engine.report import cut
from podium.engine.schedule import draft_task, ended, failed_at_once, marked, too_large
from podium.engine.settle import enter, settle_at
from podium.engine.state import want_evaluation
from podium.engine.transition import Evaluate, Evaluated
from podium.model.execution import TaskStatus
from podium.model.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.engine.graph import Place
    from podium.engine.operators.operator import Inputs
    from podium.engine.state import Asking, State
    from podium.engine.transition import Language
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject, JsonValue

Work: TypeAlias = "Callable[[State, TaskRecord, JsonObject], Asking[TaskRecord]]"


def parameters(draft: State, place: Place, task: TaskRecord) -> Asking[JsonObject]:
    """The parameters, with the id of this attempt at hand (S-516)."""
    return (yield from evaluate_map(draft, place.node.template, task_id=task.id, place=place))


def parameters_without_id(draft: State, place: Place, task: TaskRecord) -> Asking[JsonObject]:
    """The parameters, where no task id is at hand (S-516)."""
    del task
    return (yield from evaluate_map(draft, place.node.template, place=place))


def instant(
    task_type: str, work: Work, inputs: Inputs = parameters, def_name: str = ""
) -> Operator:
    """The operator of a type whose `work` makes the ended record of an attempt. Its definition is
    named `def_name`, or as the task is.
    """

    def run(draft: State, place: Place) -> Asking[None]:
        task = draft_task(draft, place, task_type, def_name or place.node.task.name)
        value = yield from inputs(draft, place, task)
        if place.node.checks is not None:  # what does not fit is not worked on
            yield from enter(draft, place, task, value)
            entered = latest(draft, task.key)
            if entered is not None and not entered.status.terminal:
                yield from begin(draft, place, entered)
            return
        task = marked(draft, task)
        done = yield from work(draft, task, value)
        yield from enter(draft, place, done, value)

    def begin(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
        done = yield from work(draft, task, task.input.value)
        yield from settle_at(draft, place, draft.put(task, done))

    return Operator(run, inputs, begin)


def failed(
    draft: State, task: TaskRecord, reason: str, status: TaskStatus = TaskStatus.FAILED
) -> TaskRecord:
    """The task, failed for a reason."""
    return replace(ended(draft, task, status), reason=cut(reason))


def failed_telling(
    draft: State, task: TaskRecord, reason: str, status: TaskStatus = TaskStatus.FAILED
) -> TaskRecord:
    """The task, failed for a reason that its output tells as well."""
    return replace(failed(draft, task, reason, status), output=Payload.of({"error": reason}))


def with_output(draft: State, task: TaskRecord, output: JsonObject) -> TaskRecord:
    """The task, COMPLETED with this output; failed where that is too large, or is no sound JSON."""
    try:
        encoded = Payload.of(output)
    except TypeError:  # whole numbers beyond 64 bits, or more levels than JSON text is read with
        return failed_at_once(
            draft, task, "expected an output of sound JSON with integers of 64 bits, found another"
        )
    if len(encoded) > PAYLOAD_BYTES_LIMIT:
        return failed_at_once(draft, task, too_large("task output", len(encoded)))
    return replace(ended(draft, task), output=encoded)


def evaluated(
    draft: State, language: Language, program: str, value: JsonObject, seed: str
) -> Asking[Evaluated]:
    """What the program makes of `value`; one that is over the limit never reaches the sandbox."""
    return (yield from want_answer(draft, Evaluate(language, program, b""), value, seed))


def evaluated_for(
    draft: State, task: TaskRecord, need: Evaluate, value: JsonObject
) -> Asking[Evaluated]:
    """`evaluated` of a task's own program, which sees the secrets that the task's input names."""
    if task.secrets:
        need = replace(need, secrets=task.secrets)
    return (yield from want_answer(draft, need, value, task.id))


def want_answer(draft: State, need: Evaluate, value: JsonObject, seed: str) -> Asking[Evaluated]:
    """The answer for `value` and the present time."""
    given = Payload.of(value)
    if len(given) > PAYLOAD_BYTES_LIMIT:
        return Evaluated(error=too_large("task input", len(given)))
    need = replace(need, input=given.json, now_ms=draft.now_ms, seed=seed)
    return (yield from want_evaluation(need))


def text_of(value: JsonValue) -> str:
    """A text that holds something, else ""."""
    return value if isinstance(value, str) and value.strip() else ""
