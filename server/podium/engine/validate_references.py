"""Whether what a definition names is there: references, expressions, join members, itself.

A definition with a dynamic fork makes references while it runs, so names that are unknown here are
let pass in it (S-027 checks less: top-level tasks only).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import orjson
from msgspec.structs import replace

from podium.engine.expression import compile_key, compile_value
from podium.engine.graph import parameters_of
from podium.engine.problem import Problem, check_name, shown
from podium.engine.scope import WORKFLOW
from podium.engine.script import Script
from podium.engine.search import SEARCHES_LIMIT
from podium.engine.secret import SECRETS
from podium.engine.state_event import payloads_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from podium.engine.reading import Uses
    from podium.engine.tree import Placed
    from podium.model.definition import WorkflowDef, WorkflowTask
    from podium.model.payload import JsonValue

DYNAMIC_FORK: Final = "FORK_JOIN_DYNAMIC"
TASK_PATH: Final = (
    "a path that begins with workflow or a task, like task.output.name or"
    " task.output.list[?(@.n > 1)]"
)
REFERENCE_PATH: Final = "a secret as workflow.secrets.NAME or workflow.secrets.NAME.json.path"
JOINS: Final = frozenset({"JOIN", "EXCLUSIVE_JOIN"})


class Known(msgspec.Struct, frozen=True):
    """References of a definition. `closed` = there are no others while it runs."""

    loops: dict[str, str]
    """Reference → reference of the innermost DO_WHILE around it, "" where there is none."""
    closed: bool
    secrets: bool = True
    """Whether a secret may be named: where the value ends in no input, none is ever put in."""


def known_references(tasks: Sequence[Placed]) -> Known:
    """All references of the tree."""
    return Known(
        {placed.task.task_reference_name: placed.loop for placed in tasks},
        closed=all(placed.task.type != DYNAMIC_FORK for placed in tasks),
    )


def check_references(definition: WorkflowDef, tasks: Sequence[Placed]) -> Iterator[Problem]:
    """Each reference a sound name, each only once (S-026)."""
    first: dict[str, str] = {}
    for placed in tasks:
        place, reference = f"{placed.place}.taskReferenceName", placed.task.task_reference_name
        yield from check_name(place, reference)
        if reference == WORKFLOW:
            yield Problem(
                place, "expected a reference other than workflow, which is taken, found it"
            )
        if reference in first:
            yield Problem(
                place,
                f"taskReferenceName: {shown(reference)} should be unique across tasks for a given "
                f"workflowDefinition: {shown(definition.name)}, found it at {first[reference]} too",
            )
        first.setdefault(reference, placed.place)


def check_task_expressions(placed: Placed, known: Known) -> Iterator[Problem]:
    """All places of a task where expressions are evaluated."""
    for where, value in expressions_in(placed.task):
        yield from check_expressions(f"{placed.place}.{where}", value, known)
    yield from check_cache_key(placed, known)


def expressions_in(task: WorkflowTask) -> Iterator[tuple[str, JsonValue]]:
    """The values of a task that are evaluated, each with its place in the task."""
    yield "inputParameters", task.input_parameters
    yield "sink", task.sink
    yield "items", task.items
    yield from payloads_in(task.on_state_change)
    params = task.sub_workflow_param
    if params is not None:
        where = "subWorkflowParam"
        yield f"{where}.name", params.name
        yield f"{where}.taskToDomain", dict(params.task_to_domain or {})
        yield f"{where}.priority", params.priority
        if isinstance(params.workflow_definition, str):
            yield f"{where}.workflowDefinition", params.workflow_definition


def check_expressions(place: str, value: JsonValue, known: Known) -> Iterator[Problem]:
    """Every expression in `value` is a path and starts with a reference that exists."""
    for where, text in strings(place, value):
        yield from check_uses(where, compile_value(text).uses, known)
    count = len(compile_value(value).uses.searches)
    if count > SEARCHES_LIMIT:
        yield Problem(
            place,
            f"expected at most {SEARCHES_LIMIT} paths with filters and the like, found {count}",
        )


def check_uses(where: str, uses: Uses, known: Known) -> Iterator[Problem]:
    """What an expression reads is there."""
    some = "expected a reference of this definition"
    expected = some if known.loops or not known.closed else "expected workflow and no task"
    for path in uses.unsupported:
        kind = REFERENCE_PATH if f"{WORKFLOW}.{SECRETS}" in path else TASK_PATH
        yield Problem(where, f"expected {kind}, found {shown(path)}")
    for path in uses.secrets if not known.secrets else ():
        yield Problem(where, f"expected no secret, found {shown(path)}")
    for reference in sorted(uses.refs - known.loops.keys() if known.closed else ()):
        yield Problem(where, f"{expected}, found {shown(reference)}")


def check_cache_key(placed: Placed, known: Known) -> Iterator[Problem]:
    """The key of a cacheConfig, which may also name the task's own parameters (S-043)."""
    config = placed.task.cache_config
    key = config.get("key") if isinstance(config, dict) else None
    if isinstance(key, str):
        uses = compile_key(key, parameters_of(placed.task)).uses
        where = f"{placed.place}.cacheConfig.key"
        yield from check_uses(where, uses, replace(known, secrets=False))


def searches_in(place: str, value: JsonValue) -> Iterator[tuple[str, Script]]:
    """The programs of the searches in a value, each with its place."""
    for where, text in strings(place, value):
        for search in compile_value(text).uses.searches:
            yield where, Script("jsonpath", search.program)


def strings(place: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    """Strings inside `value` that may hold expressions, with their places, in order. Iterative."""
    waiting = [(place, value)]
    while waiting:
        where, each = waiting.pop()
        if isinstance(each, str):
            if "${" in each:
                yield where, each
        elif isinstance(each, dict):
            waiting += [(where + key_place(key), inner) for key, inner in each.items()][::-1]
        elif isinstance(each, list):
            waiting += [(f"{where}[{index}]", inner) for index, inner in enumerate(each)][::-1]


def key_place(key: str) -> str:
    """A map key as part of a place: `.name`, or `["any text"]`."""
    return f".{key}" if key.isidentifier() else f"[{orjson.dumps(key).decode()}]"


def check_join_on(placed: Placed, known: Known) -> Iterator[Problem]:
    """Members of a static join exist, where the join is; that of a dynamic fork does not use them
    (S-369). A loop's tasks belong to an iteration, so a join elsewhere would wait for ever (S-383).
    """
    task, before = placed.task, placed.before
    dynamic = task.type == "JOIN" and before is not None and before.type == DYNAMIC_FORK
    if task.type not in JOINS or dynamic:
        return
    members = [(f"joinOn[{index}]", ref) for index, ref in enumerate(task.join_on)]
    if task.type != "JOIN":
        defaults = enumerate(task.default_exclusive_join_task)
        members += [(f"defaultExclusiveJoinTask[{index}]", ref) for index, ref in defaults]
    for name, reference in members:
        where = f"{placed.place}.{name}"
        if reference == task.task_reference_name:
            yield Problem(
                where, f"expected another task, found {shown(reference)}, the join itself"
            )
        elif reference not in known.loops:
            if known.closed:
                yield Problem(
                    where, f"expected a reference of this definition, found {shown(reference)}"
                )
        elif known.loops[reference] != placed.loop:
            found = f"{shown(reference)} {whereabouts(known.loops[reference])}"
            yield Problem(
                where,
                f"expected a task {whereabouts(placed.loop)}, as this join is, found {found}",
            )


def whereabouts(loop: str) -> str:
    """Which loop something is in."""
    return f"directly in the loop {shown(loop)}" if loop else "outside of loops"


def check_endless(definition: WorkflowDef, placed: Placed) -> Iterator[Problem]:
    """A definition that always starts itself never ends."""
    task, params = placed.task, placed.task.sub_workflow_param
    if task.type != "SUB_WORKFLOW" or params is None or params.workflow_definition is not None:
        return
    same = params.name == definition.name and params.version in (None, 0, definition.version)
    if same and placed.certain and not task.optional:
        yield Problem(
            f"{placed.place}.subWorkflowParam.name",
            f"expected another workflow, or a SWITCH before it, found {shown(definition.name)} "
            "itself, which would start itself without end",
        )
