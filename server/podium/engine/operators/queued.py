"""Tasks that workers take from a queue: SIMPLE, HTTP, and every type that Podium does not know.

SIMPLE is polled under its name, others under their type (S-322, S-327). HTTP's worker lives in the
server, and its input always says whether it is completed from outside (S-441).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.evaluation import evaluate_map
from podium.engine.operators.operator import Operator
from podium.engine.report import ASYNC_COMPLETE
from podium.engine.schedule import draft_task, queued, start_delay_ms, want_domains
from podium.engine.settle import enter

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

HTTP: Final = "HTTP"
SIMPLE: Final = "SIMPLE"


def run(draft: State, place: Place) -> Asking[None]:
    """Schedule the task; a startDelay keeps it from being ready."""
    node = place.node
    template = node.task
    task_type = template.name if template.type == SIMPLE else template.type
    delay_ms = start_delay_ms(draft, place)
    task = draft_task(draft, place, task_type, template.name)
    if draft.head.task_to_domain:
        yield from want_domains(draft, task.task_type)
    task = queued(draft, place, task, task_def=node.task_def, delay_ms=delay_ms)
    yield from enter(draft, place, task, (yield from inputs(draft, place, task)))


def inputs(draft: State, place: Place, task: TaskRecord) -> Asking[JsonObject]:
    """Parameters over the inputTemplate, with the id of this attempt at hand (S-515, S-516)."""
    value = yield from evaluate_map(draft, place.node.template, task_id=task.id, place=place)
    if task.task_type in draft.system_types:
        given = value.get(ASYNC_COMPLETE)
        outside = given if isinstance(given, bool) else place.node.task.async_complete
        if outside or task.task_type == HTTP:
            value[ASYNC_COMPLETE] = outside
    return value


QUEUED: Final = Operator(run, inputs)
