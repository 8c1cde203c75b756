"""Evaluating templates within a decision: fetch what they name, put together what joins gathered.

A join's output is never stored: it is assembled from its members when something reads it, under the
payload limit. Only the tasks that a template names are fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.expression import Context, Template
from podium.engine.identity import task_key
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.state import UNKNOWN, State, payload, want_payloads, want_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from podium.engine.reading import Uses
    from podium.engine.state import Asking
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject, JsonValue

HEADER_ROOTS: Final = frozenset(
    {
        "status",
        "workflowId",
        "parentWorkflowId",
        "parentWorkflowTaskId",
        "workflowType",
        "version",
        "correlationId",
        "reasonForIncompletion",
        "schemaVersion",
    }
)
"""What `workflow.` offers that the header holds; everything else needs the payloads."""
JOIN: Final = "JOIN"
WHOLE: Final = ""
EVALUATION_ROUNDS_LIMIT: Final = 8
"""Expressions inside expressions: how often what they name may name something new."""


class OutputTooLarge(Exception):
    """A join's output, put together, is over the payload limit."""


def evaluate(draft: State, template: Template, *, task_id: str | None = None) -> Asking[JsonValue]:
    """The value of a template now. `task_id` None leaves `${CPEWF_TASK_ID}` as it is (S-516)."""
    context = yield from context_for(draft, template.uses, task_id)
    if template.dynamic:
        known = template.uses
        for _ in range(EVALUATION_ROUNDS_LIMIT):
            uses = template.uses_with(context)
            if uses == known:
                break
            context = yield from context_for(draft, uses, task_id)
            known = uses
    return template.evaluate(context)


def evaluate_map(
    draft: State, template: Template, *, task_id: str | None = None
) -> Asking[JsonObject]:
    """`evaluate` of a template that was compiled from a map. The map is the caller's to extend."""
    value = yield from evaluate(draft, template, task_id=task_id)
    assert isinstance(value, dict), value
    return dict(value) if template.literal else value  # a constant is shared by all who read it


def context_for(draft: State, uses: Uses, task_id: str | None) -> Asking[Context]:
    """Everything that `uses` names, at hand."""
    if uses.workflow_roots and not uses.workflow_roots <= HEADER_ROOTS:
        yield from want_payloads(draft)
    tasks: dict[str, TaskRecord | None] = {}
    if uses.refs:
        yield from want_tasks(draft, tuple(task_key(ref) for ref in uses.refs))
        tasks = {ref: latest(draft, task_key(ref)) for ref in uses.refs}
        yield from want_members(draft, tasks, uses.join_members)
    return Context(
        header=draft.head,
        input=payload(draft.input),
        output=payload(draft.output),
        variables=payload(draft.variables),
        tasks=tasks,
        task_id=task_id,
        join_output=lambda join: read_join(draft, join, uses),
    )


def latest(draft: State, key: str) -> TaskRecord | None:
    """A task that is at hand; what is not counts as not scheduled."""
    found = draft.tasks.look(key)
    return None if found is UNKNOWN else found


def want_members(
    draft: State, tasks: dict[str, TaskRecord | None], read: Iterable[tuple[str, str]]
) -> Asking[None]:
    """Have the members of joins at hand whose outputs are read, also of joins within joins."""
    seen: set[str] = set()
    waiting: list[tuple[TaskRecord, str]] = []
    for ref, member in read:
        task = tasks.get(ref)
        if task is not None and task.task_type == JOIN:
            waiting.append((task, member))
    while waiting:
        keys: list[str] = []
        for join, member in waiting:
            refs = members_of(join) if member == WHOLE else [member]
            keys += [task_key(ref, join.iteration) for ref in refs]
        wanted = tuple(key for key in dict.fromkeys(keys) if key not in seen)
        seen.update(wanted)
        yield from want_tasks(draft, wanted)
        found = [latest(draft, key) for key in wanted]
        waiting = [(task, WHOLE) for task in found if task and task.task_type == JOIN]


def want_join_output(draft: State, join: TaskRecord) -> Asking[JsonObject]:
    """The whole output of a join. Raises OutputTooLarge."""
    yield from want_members(draft, {join.ref: join}, [(join.ref, WHOLE)])
    return assemble_join_output(join, lambda key: gathered_task(draft, key))


def gathered_task(draft: State, key: str) -> TaskRecord | None:
    """A member as joins see it: not the one whose failure ends the execution this very moment."""
    return None if key == draft.unseen else latest(draft, key)


def read_join(draft: State, join: TaskRecord, uses: Uses) -> JsonObject:
    """A join's output as far as `uses` reads it, its members at hand. Raises OutputTooLarge."""
    read = {member for ref, member in uses.join_members if ref == join.ref}
    refs = [ref for ref in members_of(join) if WHOLE in read or ref in read]
    return assemble_join_output(join, lambda key: gathered_task(draft, key), refs)


def members_of(join: TaskRecord) -> list[str]:
    """The references a JOIN task waits for, as its input says."""
    joined = join.input.value.get("joinOn")
    return [ref for ref in joined if isinstance(ref, str)] if isinstance(joined, list) else []


def assemble_join_output(
    join: TaskRecord,
    look: Callable[[str], TaskRecord | None],
    refs: list[str] | None = None,
) -> JsonObject:
    """Output of a JOIN: reference → output of each member that has any (S-378, S-379).

    `look` gives the latest record of a task key, None where there is none; `refs` narrows what is
    read to some members. Members that are joins are assembled as well, without recursion. Raises
    OutputTooLarge. O(members).
    """
    done: dict[str, tuple[JsonObject, int]] = {}
    open_keys: set[str] = set()
    stack = [join]
    while stack:
        top = stack[-1]
        named = refs if refs is not None and top is join else members_of(top)
        members = [(ref, look(task_key(ref, top.iteration))) for ref in named]
        inner = [
            task for _, task in members if task and task.task_type == JOIN and task.key not in done
        ]
        if top.key not in open_keys and inner:
            open_keys.add(top.key)
            stack += [task for task in inner if task.key not in open_keys]
            continue
        stack.pop()
        done[top.key] = gathered(members, done)
    return done[join.key][0]


def gathered(
    members: list[tuple[str, TaskRecord | None]], done: dict[str, tuple[JsonObject, int]]
) -> tuple[JsonObject, int]:
    """One join's output and its size as text, about."""
    value: JsonObject = {}
    size = 0
    for ref, task in members:
        if task is None:
            continue
        is_join = task.task_type == JOIN
        output, length = done.get(task.key, ({}, 0)) if is_join else (None, len(task.output))
        if output is None and task.output:
            output = task.output.value
        if output:
            value[ref] = output
            size += length + len(ref)
    if size > PAYLOAD_BYTES_LIMIT:
        raise OutputTooLarge(
            f"expected a join output of at most {PAYLOAD_BYTES_LIMIT} bytes, found {size}"
        )
    return value, size
