"""Enforcing schemas (S-046): documents that do not fit, of executions and of their tasks.

A check runs in the sandbox; one that cannot be made counts as a document that does not fit. Where
a definition enforces nothing, nothing is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from podium.engine.command import Rejected
from podium.engine.evaluation import want_gathered
from podium.engine.gathering import GATHERING, OutputTooLarge
from podium.engine.limits import (
    PAYLOAD_BYTES_LIMIT,
    REASON_CHARS_LIMIT,
    WORKFLOW_REASON_CHARS_LIMIT,
)
from podium.engine.schedule import ended, too_large
from podium.engine.schema import checks_of
from podium.engine.secret import INPUT, under
from podium.engine.state import want_evaluation
from podium.engine.transition import Evaluate
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from podium.engine.graph import Graph, Place
    from podium.engine.schema import Checks
    from podium.engine.state import Asking, State
    from podium.model.execution import SecretMark, TaskRecord

SYSTEM_METADATA: Final = "_systemMetadata"
"""What a SUB_WORKFLOW puts into the input of an inline child: no schema knows it."""


class Misfit(msgspec.Struct, frozen=True):
    """A document does not fit. `retriable`: it was not the document's fault, perhaps."""

    text: str
    retriable: bool = False


def misfit(
    what: str, schema: str, document: Payload, secrets: tuple[SecretMark, ...] = ()
) -> Asking[Misfit | None]:
    """Why the document does not fit; `what` it is begins the text. None = it does."""
    need = Evaluate(language="jsonschema", program=schema, input=document.json, secrets=secrets)
    found = yield from want_evaluation(need)
    if found.error:
        return Misfit(f"{what}: {found.error}", found.retriable)
    problems = found.value
    assert isinstance(problems, list), f"expected problems by place, found {problems!r:.200}"
    if not problems:
        return None
    told = "; ".join(": ".join(map(str, each)) for each in problems if isinstance(each, list))
    return Misfit(f"{what}: expected one that fits its schema, found {told}")


def taken_input(graph: Graph, given: Payload, secrets: tuple[SecretMark, ...]) -> Asking[Payload]:
    """The input as an execution has it: over the inputTemplate (S-060). Raises Rejected."""
    template = graph.definition.input_template
    if template:
        given = Payload.of({**template, **given.value})
    yield from require_input(graph, given, secrets)
    return given


def require_input(graph: Graph, given: Payload, secrets: tuple[SecretMark, ...]) -> Asking[None]:
    """Raises Rejected where an execution of this definition may not have this input."""
    if graph.checks is None or not graph.checks.input:
        return
    if SYSTEM_METADATA in given.value:
        given = Payload.of({k: v for k, v in given.value.items() if k != SYSTEM_METADATA})
    found = yield from misfit("input", graph.checks.input, given, under((INPUT,), secrets))
    if found is not None:
        raise Rejected("INVALID_ARGUMENT", found.text[:WORKFLOW_REASON_CHARS_LIMIT])


def output_fault(graph: Graph, output: Payload) -> Asking[str]:
    """Why an execution cannot be COMPLETED with this output; "" = it can."""
    if graph.checks is None or not graph.checks.output:
        return ""
    found = yield from misfit("output", graph.checks.output, output)
    return "" if found is None else found.text


def admitted(draft: State, place: Place, task: TaskRecord) -> Asking[TaskRecord]:
    """The task that is about to enter the draft, or, where its input does not fit, as it fails."""
    checks = checks_for(place, task)
    if checks is None or not checks.input or not task.status.successful:
        return task
    found = yield from misfit("input", checks.input, task.input, task.secrets)
    return task if found is None else failing(draft, replace(task, output=EMPTY), found)


def judged(draft: State, place: Place, task: TaskRecord) -> Asking[TaskRecord]:
    """The task that has ended in this draft, or, where its output does not fit, as it failed."""
    checks = checks_for(place, task)
    if checks is None or not checks.output or task.status is not TaskStatus.COMPLETED:
        return task
    found = yield from output_misfit(draft, task, checks.output)
    if found is None:
        return task
    task = failing(draft, task, found)
    draft.reopen(task)
    return task


def output_misfit(draft: State, task: TaskRecord, schema: str) -> Asking[Misfit | None]:
    """Why the output does not fit, also where it is put together first."""
    output = task.output
    if task.task_type in GATHERING:
        try:
            output = Payload.of((yield from want_gathered(draft, task)))
        except OutputTooLarge as large:
            return Misfit(f"output: {large}")
        if len(output) > PAYLOAD_BYTES_LIMIT:
            return Misfit(f"output: {too_large('task output', len(output))}")
    return (yield from misfit("output", schema, output))


def is_checked(place: Place, task: TaskRecord) -> bool:
    """Whether anything may be enforced: asked first, as most tasks have no schema."""
    return place.node.checks is not None or task.task_def is not None


def checks_for(place: Place, task: TaskRecord) -> Checks | None:
    """What the task definition enforces that rules this task."""
    return place.node.checks if task.task_def is None else checks_of(task.task_def)


def failing(draft: State, task: TaskRecord, found: Misfit) -> TaskRecord:
    """The task as it ends; it keeps its queue, for an attempt that may follow."""
    terminal = TaskStatus.FAILED_WITH_TERMINAL_ERROR
    failed = ended(draft, task, TaskStatus.FAILED if found.retriable else terminal)
    return replace(failed, reason=found.text[:REASON_CHARS_LIMIT])
