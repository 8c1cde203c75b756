"""Checking definitions before they are stored: all problems at once, each with its place.

What is refused would fail or wait for ever when it runs, or is not built yet. A bound definition
may be given as well: then HTTP requests may stand in registered task definitions. Everything is
iterative, and JSON is bounded before it is converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from podium.engine.problem import (
    Problem,
    check_choice,
    check_depth,
    check_least,
    check_name,
    shown,
)
from podium.engine.schema import schema_problems, schemas_in
from podium.engine.script import Script, scripts_in
from podium.engine.state_event import hook_problems
from podium.engine.tree import walk_tasks
from podium.engine.validate_operators import check_operator
from podium.engine.validate_references import (
    Known,
    check_endless,
    check_expressions,
    check_join_on,
    check_references,
    check_task_expressions,
    expressions_in,
    known_references,
    searches_in,
)
from podium.model.definition import (
    JoinMode,
    RetryLogic,
    TaskDef,
    TimeoutPolicy,
    WorkflowDef,
    WorkflowTimeoutPolicy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podium.engine.tree import Placed
    from podium.model.payload import JsonValue

__all__ = ["Problem", "scripts_of", "validate_task", "validate_workflow"]

SCHEMA_VERSION: Final = 2
TREE_DEPTH_LIMIT: Final = 30
"""Sequences of tasks inside each other."""
INLINE_DEPTH_LIMIT: Final = 16
"""Inline definitions inside each other, as deep as sub-workflows may run."""
INLINE_JSON_DEPTH_LIMIT: Final = 200

Waiting: TypeAlias = list[tuple[str, WorkflowDef, int]]


def validate_workflow(definition: WorkflowDef) -> list[Problem]:
    """All problems of a definition and of the definitions inline in it; empty = it can run."""
    problems: list[Problem] = []
    waiting: Waiting = [("", definition, 0)]
    while waiting:
        prefix, each, depth = waiting.pop()
        tasks = list(walk_tasks(each.tasks))
        problems += [
            Problem(f"{prefix}{problem.place}", problem.message)
            for problem in workflow_problems(each, tasks)
        ]
        for placed in tasks:
            problems += take_inline(prefix, placed, depth + 1, waiting)
    return problems


def scripts_of(definition: WorkflowDef) -> Iterator[tuple[str, Script]]:
    """Every program of a sound definition and of those inline in it, with its place (S-035); the
    searches of its expressions, too.
    """
    waiting: Waiting = [("", definition, 0)]
    while waiting:
        prefix, each, depth = waiting.pop()
        for where, script in schemas_in(each):
            yield f"{prefix}{where}", script
        yield from searches_in(f"{prefix}outputParameters", each.output_parameters)
        for placed in walk_tasks(each.tasks):
            for where, script in schemas_in(placed.task.task_definition):
                yield f"{prefix}{placed.place}.taskDefinition.{where}", script
            for where, script in scripts_in(placed.task):
                yield f"{prefix}{placed.place}.{where}", script
            for where, value in expressions_in(placed.task):
                yield from searches_in(f"{prefix}{placed.place}.{where}", value)
            for problem in take_inline(prefix, placed, depth + 1, waiting):
                raise AssertionError(problem)


def validate_task(definition: TaskDef) -> list[Problem]:
    """All problems of a task definition (S-014 to S-018)."""
    return [
        *check_name("name", definition.name),
        *check_least("responseTimeoutSeconds", definition.response_timeout_seconds, 1),
        *task_problems("", definition),
        *timeout_problems(definition),
    ]


def workflow_problems(definition: WorkflowDef, tasks: list[Placed]) -> Iterator[Problem]:
    """Problems of one definition, without those inline in it."""
    yield from header_problems(definition)
    yield from check_references(definition, tasks)
    known = known_references(tasks)
    yield from check_expressions("outputParameters", definition.output_parameters, known)
    for placed in tasks:
        yield from placed_problems(placed, known)
        yield from check_endless(definition, placed)


def header_problems(definition: WorkflowDef) -> Iterator[Problem]:
    """Problems of the definition's own fields."""
    yield from check_name("name", definition.name)
    yield from check_least("version", definition.version, 1)
    if definition.schema_version != SCHEMA_VERSION:
        yield Problem("schemaVersion", f"expected 2, found {definition.schema_version}")
    yield from check_least("timeoutSeconds", definition.timeout_seconds, 0)
    yield from check_choice("timeoutPolicy", definition.timeout_policy, WorkflowTimeoutPolicy)
    if not definition.tasks:
        yield Problem("tasks", "expected at least one task, found none")
    failure = definition.failure_workflow
    if failure and not failure.startswith("$"):
        yield from check_name("failureWorkflow", failure)
    yield from check_depth("outputParameters", definition.output_parameters)
    yield from check_depth("inputTemplate", definition.input_template)
    yield from check_depth("variables", definition.variables)
    yield from check_depth("metadata", definition.metadata)
    yield from schema_problems("", definition)
    yield from run_limit_problems(definition.rate_limit_config)


def run_limit_problems(config: JsonValue) -> Iterator[Problem]:
    """How many executions may run, of which (S-047). No task has run when the key is evaluated."""
    place = "rateLimitConfig"
    if config is None:
        return
    if not isinstance(config, dict):
        yield Problem(place, f"expected an object, found {shown(config)}")
        return
    key, limit = config.get("rateLimitKey"), config.get("concurrentExecLimit")
    if isinstance(key, str):
        yield from check_expressions(
            f"{place}.rateLimitKey", key, Known({}, closed=True, secrets=False)
        )
    elif key is not None:
        yield Problem(f"{place}.rateLimitKey", f"expected text, found {shown(key)}")
    policy = config.get("policy")
    if policy not in (None, "QUEUE", "REJECT"):
        yield Problem(f"{place}.policy", f"expected QUEUE or REJECT, found {shown(policy)}")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        yield Problem(
            f"{place}.concurrentExecLimit",
            f"expected a whole number of 0 or more, found {shown(repr(limit))}",
        )


def placed_problems(placed: Placed, known: Known) -> Iterator[Problem]:
    """Problems of one task."""
    task, place = placed.task, placed.place
    yield from check_name(f"{place}.name", task.name)
    if placed.depth > TREE_DEPTH_LIMIT:
        yield Problem(
            place, f"expected tasks at most {TREE_DEPTH_LIMIT} deep, found {placed.depth}"
        )
    yield from check_least(f"{place}.startDelay", task.start_delay, 0)
    yield from check_least(f"{place}.retryCount", task.retry_count, 0)
    yield from check_choice(f"{place}.joinMode", task.join_mode, JoinMode)
    yield from check_depth(f"{place}.inputParameters", task.input_parameters)
    yield from check_depth(f"{place}.metadata", task.metadata)
    yield from check_cache(f"{place}.cacheConfig", task.cache_config)
    yield from hook_problems(f"{place}.onStateChange", task.on_state_change)
    yield from check_operator(placed)
    yield from check_task_expressions(placed, known)
    yield from check_join_on(placed, known)
    if task.task_definition is not None:
        yield from task_problems(f"{place}.taskDefinition.", task.task_definition)


def check_cache(place: str, config: JsonValue) -> Iterator[Problem]:
    """A key and how long, either of which may be missing: then nothing is kept (S-043)."""
    if config is None:
        return
    if not isinstance(config, dict):
        yield Problem(place, f"expected an object with key and ttlInSecond, found {shown(config)}")
        return
    key, ttl = config.get("key"), config.get("ttlInSecond")
    if not (key is None or isinstance(key, str)):
        yield Problem(f"{place}.key", f"expected text, found {shown(key)}")
    place = f"{place}.ttlInSecond"
    if ttl is None or (isinstance(ttl, int) and not isinstance(ttl, bool)):
        yield from check_least(place, ttl, 0)
    else:
        yield Problem(place, f"expected a whole number of seconds, found {shown(ttl)}")


def task_problems(prefix: str, definition: TaskDef) -> Iterator[Problem]:
    """What holds for registered and embedded task definitions alike; embedded ones need no name."""
    for name, value in (
        ("retryCount", definition.retry_count),
        ("timeoutSeconds", definition.timeout_seconds),
        ("retryDelaySeconds", definition.retry_delay_seconds),
        ("responseTimeoutSeconds", definition.response_timeout_seconds),
        ("pollTimeoutSeconds", definition.poll_timeout_seconds),
        ("totalTimeoutSeconds", definition.total_timeout_seconds),
        ("maxRetryDelaySeconds", definition.max_retry_delay_seconds),
        ("backoffJitterMs", definition.backoff_jitter_ms),
        ("concurrentExecLimit", definition.concurrent_exec_limit),
        ("rateLimitPerFrequency", definition.rate_limit_per_frequency),
        ("rateLimitFrequencyInSeconds", definition.rate_limit_frequency_in_seconds),
    ):
        yield from check_least(f"{prefix}{name}", value, 0)
    yield from check_least(f"{prefix}backoffScaleFactor", definition.backoff_scale_factor, 1)
    yield from check_choice(f"{prefix}timeoutPolicy", definition.timeout_policy, TimeoutPolicy)
    yield from check_choice(f"{prefix}retryLogic", definition.retry_logic, RetryLogic)
    yield from check_depth(f"{prefix}inputTemplate", definition.input_template)
    yield from schema_problems(prefix, definition)


def timeout_problems(definition: TaskDef) -> Iterator[Problem]:
    """Timeouts that contradict each other (S-018); as in Conductor, embedded ones may."""
    timeout, total = definition.timeout_seconds, definition.total_timeout_seconds
    response = definition.response_timeout_seconds
    if 0 < timeout < response:
        yield Problem(
            "responseTimeoutSeconds",
            f"expected at most timeoutSeconds ({timeout}), found {response}",
        )
    if 0 < total < timeout:
        yield Problem(
            "timeoutSeconds",
            f"expected at most totalTimeoutSeconds ({total}), found {timeout}",
        )


def take_inline(prefix: str, placed: Placed, depth: int, waiting: Waiting) -> Iterator[Problem]:
    """Add the definition inline in a SUB_WORKFLOW to `waiting`, unless it cannot be read."""
    params = placed.task.sub_workflow_param
    if placed.task.type != "SUB_WORKFLOW" or params is None:
        return
    inline = params.workflow_definition
    if not isinstance(inline, dict):
        return
    place = f"{prefix}{placed.place}.subWorkflowParam.workflowDefinition"
    if depth > INLINE_DEPTH_LIMIT:
        yield Problem(
            place, f"expected inline definitions at most {INLINE_DEPTH_LIMIT} deep, found {depth}"
        )
        return
    too_deep = list(check_depth(place, inline, INLINE_JSON_DEPTH_LIMIT))
    yield from too_deep
    if too_deep:
        return
    found = read_inline(place, inline)
    if isinstance(found, Problem):
        yield found
    else:
        waiting.append((f"{place}.", found, depth))


def read_inline(place: str, inline: JsonValue) -> WorkflowDef | Problem:
    """The inline definition as a record, or what is wrong with its fields."""
    try:
        return msgspec.convert(inline, WorkflowDef)
    except msgspec.ValidationError as error:
        _, _, where = str(error).rpartition("`$")
        return Problem(
            place + where.rstrip("`"), "expected a value of the field's type, found another"
        )
