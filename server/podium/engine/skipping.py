"""Skipping a task that was not scheduled yet (S-120 to S-123)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from podium.engine.command import Outcome, Rejected, SkipTask, Verdict
from podium.engine.graph import NONE, Place
from podium.engine.identity import task_key
from podium.engine.lifecycle import require_state
from podium.engine.schedule import draft_task
from podium.engine.settle import count_member, joins_of
from podium.engine.state import want_task
from podium.engine.work import Step
from podium.model.execution import TaskStatus

if TYPE_CHECKING:
    from podium.engine.state import Asking, State


def skip(draft: State, command: SkipTask) -> Asking[Outcome]:
    """Record the task as SKIPPED with the given data; joins count it, and the flow will pass it."""
    header, ref = draft.head, command.ref
    require_state(header, "SkipTask")
    node = next((node for node in draft.graph.nodes if node.ref == ref), None)
    if node is None:
        raise Rejected(
            "INVALID_ARGUMENT",
            f"The task referenced by {ref} does not exist in the WorkflowDefinition {header.name}",
        )
    if node.loop != NONE:
        raise Rejected(
            "INVALID_ARGUMENT", f"expected a task outside of loops to skip, found {ref} in one"
        )
    if (yield from want_task(draft, task_key(ref))) is not None:
        raise Rejected(
            "FAILED_PRECONDITION",
            f"The task referenced {ref} has already been processed, cannot be skipped",
        )
    place = Place(draft.graph, node)
    skipped = replace(
        draft_task(draft, place, node.task.name, node.task.name),
        status=TaskStatus.SKIPPED,
        input=command.input,
        output=command.output,
        seq=0,
        end_ms=draft.now_ms,
    )
    draft.tasks.changed[skipped.key] = skipped
    # It was never open, and it has no place in the order.
    draft.header = replace(header, task_count=header.task_count + 1, skipped=(*header.skipped, ref))
    for key in (yield from joins_of(draft, place)):
        yield from count_member(draft, key, skipped)
    return Outcome(Verdict.OK, skipped)


def is_skipped(draft: State, place: Place) -> bool:
    """Whether the flow reaches a task that was skipped."""
    return place.node.ref in draft.head.skipped and not (place.branch or place.iteration)


def pass_by(draft: State, place: Place) -> None:
    """Go on behind a skipped task."""
    behind = next_of(draft, place, place.node.index)
    if behind != NONE:
        draft.now.append(Step("run", behind))


def next_of(draft: State, place: Place, index: int) -> int:
    """The node itself, or the first behind it that was not skipped; NONE where there is none. With
    a fork, what joins its branches is skipped as well.
    """
    skipped = draft.head.skipped
    if place.branch or place.iteration or not skipped:
        return index
    nodes = place.graph.nodes
    while index != NONE and nodes[index].ref in skipped:
        node = nodes[index]
        index = nodes[node.join].next if node.join != NONE else node.next
    return index
