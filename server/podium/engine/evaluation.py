"""Evaluating templates within a decision: fetch what they name, and nothing else, then evaluate.

A reference inside a loop means its newest task; what joins and loops gathered is put together when
a template reads it (gathering.py). Paths that are searches are asked of the sandbox before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from podium.engine.expression import Context, Template
from podium.engine.gathering import (
    GATHERING,
    WHOLE,
    OutputTooLarge,
    gather,
    latest,
    want_parts,
)
from podium.engine.graph import Place
from podium.engine.identity import task_key
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.schedule import too_large
from podium.engine.scope import document_of
from podium.engine.search import SEARCHES_LIMIT
from podium.engine.secret import below
from podium.engine.state import (
    State,
    payload,
    want_branch,
    want_evaluation,
    want_join,
    want_payloads,
    want_tasks,
)
from podium.engine.transition import Evaluate
from podium.model.execution import TaskRecord
from podium.model.payload import JsonObject, Payload, json_bytes

if TYPE_CHECKING:
    from podium.engine.gathering import Parts
    from podium.engine.graph import Graph
    from podium.engine.reading import Uses
    from podium.engine.search import Search
    from podium.engine.state import Asking
    from podium.model.execution import SecretMark
    from podium.model.payload import JsonValue

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
EXPANDED_BYTES_LIMIT: Final = 4 * PAYLOAD_BYTES_LIMIT
"""What expressions may put in, at the worst, is looked at closely beyond this."""
DOCUMENT_BYTES_LIMIT: Final = PAYLOAD_BYTES_LIMIT + 64 * 1024
"""What a search looks through: the largest output with the names around it."""
EVALUATION_ROUNDS_LIMIT: Final = 8
"""Expressions inside expressions: how often what they name may name something new."""


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Who evaluates. `task_id` None leaves `${CPEWF_TASK_ID}` as it is (S-516); `place` None = the
    execution, not a task. `parameters`: see Context. `own` = read for its reference, whatever
    followed it.
    """

    task_id: str | None = None
    place: Place | None = None
    parameters: JsonObject | None = None
    own: TaskRecord | None = None


def evaluate(
    draft: State,
    template: Template,
    *,
    task_id: str | None = None,
    place: Place | None = None,
    parameters: JsonObject | None = None,
) -> Asking[JsonValue]:
    """The value of a template now; by name what a Reader is."""
    reader = Reader(task_id=task_id, place=place, parameters=parameters)
    return (yield from evaluate_for(draft, template, reader))


def evaluate_for(draft: State, template: Template, reader: Reader) -> Asking[JsonValue]:
    """The value of a template now. Raises OutputTooLarge."""
    context = yield from ready_context(draft, template, reader)
    return template.evaluate(context)


def ready_context(draft: State, template: Template, reader: Reader) -> Asking[Context]:
    """All that the template reads, judged by its size. Raises OutputTooLarge."""
    known = template.uses
    context = yield from context_for(draft, known, reader)
    if known.searches:
        context = yield from with_found(context, known.searches)
    if template.dynamic:
        context = yield from resolved(draft, template, context, reader)
    if template.reads > 1:
        check_size(template, context)
    return context


def resolved(draft: State, template: Template, context: Context, reader: Reader) -> Asking[Context]:
    """The context with what paths read that are put together from what it holds."""
    known = template.uses
    for _ in range(EVALUATION_ROUNDS_LIMIT):
        uses = template.uses_with(context)
        if uses == known:
            break
        found = context.found
        context = yield from context_for(draft, uses, reader)
        if uses.searches:
            context = replace(context, found=found)
            context = yield from with_found(context, uses.searches)
        known = uses
    return context


def check_size(template: Template, context: Context) -> None:
    """Raises OutputTooLarge where a value named again and again would outgrow the memory."""
    held = len(context.input) + len(context.output) + len(context.variables)
    if context.parameters:
        held += json_bytes(context.parameters)
    for task in context.tasks.values():
        if task is not None:
            gathers = task.task_type in GATHERING
            held += len(task.input) + (PAYLOAD_BYTES_LIMIT if gathers else len(task.output))
    if held * template.reads <= EXPANDED_BYTES_LIMIT and not context.found:
        return
    size = template.expanded_bytes(context, PAYLOAD_BYTES_LIMIT)
    if size > PAYLOAD_BYTES_LIMIT:
        raise OutputTooLarge(too_large("value put together by expressions", size))


def with_found(context: Context, searches: tuple[Search, ...]) -> Asking[Context]:
    """The context with what the searches find; those it knows are not asked again. Null is what
    one finds that fails (S-498). Raises OutputTooLarge for a document that no task could be given.
    """
    if len(searches) > SEARCHES_LIMIT:
        raise OutputTooLarge(
            f"expected at most {SEARCHES_LIMIT} paths with filters and the like in one value,"
            f" found {len(searches)}"
        )
    found = dict(context.found or {})
    documents: dict[tuple[tuple[str, str], ...], bytes] = {}
    for search in searches:
        if search.program in found:
            continue
        given = documents.get(search.roots)
        if given is None:
            given = documents[search.roots] = Payload.of(document_of(search.roots, context)).json
            if len(given) > DOCUMENT_BYTES_LIMIT:
                raise OutputTooLarge(
                    f"expected a document of at most {DOCUMENT_BYTES_LIMIT} bytes to search,"
                    f" found {len(given)}"
                )
        answer = yield from want_evaluation(Evaluate("jsonpath", search.program, given))
        found[search.program] = None if answer.error else answer.value
    return replace(context, found=found)


def evaluate_map(
    draft: State,
    template: Template,
    *,
    task_id: str | None = None,
    place: Place | None = None,
    under: tuple[str, ...] = (),
) -> Asking[JsonObject]:
    """`evaluate` of a template that was compiled from a map. The map is the caller's to extend.

    Of a task's input it is noted where secrets are named; `under` = where the input has the map.
    """
    reader = Reader(task_id=task_id, place=place)
    context = yield from ready_context(draft, template, reader)
    value = template.evaluate(context)
    assert isinstance(value, dict), value
    if place is not None:
        yield from note_secrets(draft, template, context, place, under)
    return dict(value) if template.literal else value  # a constant is shared by all who read it


def note_secrets(
    draft: State, template: Template, context: Context, place: Place, under: tuple[str, ...]
) -> Asking[None]:
    """Keep the marks of the input for its record. Nearly always there are none: that costs a look
    at what the template was compiled to and at the records it reads.
    """
    key = task_key(place.node.ref, place.iteration)
    draft.marks.pop(key, None)
    read = any(task is not None and task.secrets for task in context.tasks.values())
    if not (template.uses.secrets or draft.head.secrets or read):
        return
    marks = template.marks(context)
    if marks and place.branch:
        marks = yield from permitted(draft, place, marks)
    for name in reversed(under):
        marks = tuple(below(name, marks))
    if marks:
        draft.marks[key] = marks


def permitted(
    draft: State, place: Place, marks: tuple[SecretMark, ...]
) -> Asking[tuple[SecretMark, ...]]:
    """Those that a definition asked for: the branches of a dynamic fork are made of data, so there
    the fork's own parameters, or a registered inputTemplate, must name the secret.
    """
    branch = yield from want_branch(draft, place.branch)
    named = branch.secrets if place.node.index == 0 else ()
    task, attached = place.node.task, place.node.task_def
    template = attached.input_template if attached else {}
    own = template.keys() - task.input_parameters.keys()
    return tuple(mark for mark in marks if mark in named or mark.path[0] in own)


def context_for(draft: State, uses: Uses, reader: Reader) -> Asking[Context]:
    """Everything that `uses` names, at hand."""
    place, own = reader.place, reader.own
    if uses.workflow_roots and not uses.workflow_roots <= HEADER_ROOTS:
        yield from want_payloads(draft)
    tasks: dict[str, TaskRecord | None] = {}
    parts: Parts = {}
    if uses.refs:
        keys = {ref: task_key(ref) for ref in uses.refs}
        if draft.graph.loops.refs or (place is not None and place.branch):
            yield from find_newest(draft, keys, place)
        yield from want_tasks(draft, tuple(keys.values()))
        tasks = {ref: latest(draft, key) for ref, key in keys.items()}
        if own is not None and own.ref in tasks:
            tasks[own.ref] = own
        read = [
            (task, name)
            for ref, name in uses.join_members
            if (task := tasks.get(ref)) is not None and task.task_type in GATHERING
        ]
        if read:
            parts = yield from want_parts(draft, read)
    return Context(
        header=draft.head,
        input=payload(draft.input),
        output=payload(draft.output),
        variables=payload(draft.variables),
        tasks=tasks,
        task_id=reader.task_id,
        parameters=reader.parameters,
        environment=draft.environment,
        gathered=lambda task: gather(task, parts, lambda key: gathered_task(draft, key)),
    )


def find_newest(draft: State, keys: dict[str, str], place: Place | None) -> Asking[None]:
    """Set the key of each reference to that of its newest task: inside a loop, of the last
    iteration that had one (S-409). Of a task that no graph tells, a branch of a dynamic fork, it is
    the one in the iterations around the reader.
    """
    refs = frozenset(keys)
    graphs: list[tuple[Graph, tuple[int, ...]]] = [(draft.graph, ())]
    if place is not None and place.branch:
        base = place.iteration[: len(place.iteration) - place.node.loop_depth]
        graphs.append((place.graph, base))
    for graph, base in graphs:
        for ref in refs & graph.loops.outermost.keys():
            outer = yield from want_join(draft, task_key(graph.loops.outermost[ref], base))
            if outer is not None and ref in outer.latest:
                keys[ref] = task_key(ref, outer.latest[ref])
    if place is not None and place.iteration:
        unknown = refs - draft.graph.loops.refs
        yield from find_around(draft, unknown, place.iteration, keys)


def find_around(
    draft: State, refs: frozenset[str], path: tuple[int, ...], keys: dict[str, str]
) -> Asking[None]:
    """Take the key in the innermost iteration that has a task of the reference."""
    around = [path[:depth] for depth in range(len(path) + 1)]
    yield from want_tasks(draft, tuple(task_key(ref, each) for ref in refs for each in around))
    for ref in refs:
        for each in around:
            if latest(draft, task_key(ref, each)) is not None:
                keys[ref] = task_key(ref, each)


def want_gathered(draft: State, task: TaskRecord) -> Asking[JsonObject]:
    """The whole output of a JOIN or DO_WHILE. Raises OutputTooLarge."""
    parts = yield from want_parts(draft, [(task, WHOLE)])
    return gather(task, parts, lambda key: gathered_task(draft, key))


def gathered_task(draft: State, key: str) -> TaskRecord | None:
    """A member as joins see it: not the one whose failure ends the execution this very moment."""
    return None if key == draft.unseen else latest(draft, key)
