"""What each task type asks of its definition (S-035 to S-037), one function per type, one table.

Task types that are not built yet are refused here by name. References between tasks
are checked in validate_references.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from podium.engine.problem import Problem, check_least, shown
from podium.engine.script import EVALUATORS, VALUE_PARAM
from podium.engine.wait_text import DURATION_FORM, INSTANT_FORM, duration_ms, instant_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from podium.engine.tree import Placed
    from podium.model.payload import JsonValue

Check: TypeAlias = "Callable[[Placed], Iterator[Problem]]"

MARK: Final = "${"
FORKS: Final = frozenset({"FORK_JOIN", "FORK_JOIN_DYNAMIC"})
SINK: Final = "conductor"
TERMINATION_STATUSES: Final = ("COMPLETED", "FAILED", "TERMINATED")
TYPES_NOT_BUILT: Final = frozenset(
    {
        "KAFKA_PUBLISH",
    }
)


def check_operator(placed: Placed) -> Iterator[Problem]:
    """Everything the task's type asks for."""
    task_type = placed.task.type
    if task_type in TYPES_NOT_BUILT:
        yield Problem(
            f"{placed.place}.type",
            f"expected a task type that is built, found {task_type} at {placed.place}",
        )
    elif not task_type.strip():
        yield Problem(f"{placed.place}.type", "expected a task type, found none")
    elif task_type in CHECKS:
        yield from CHECKS[task_type](placed)


def expect(place: str, value: str | None, *, what: str) -> Iterator[Problem]:
    """A text that has to be there."""
    if value is None or not value.strip():
        yield Problem(place, f"expected {what}, found none")


def check_decision(placed: Placed) -> Iterator[Problem]:
    """A script, or a key, whose value chooses."""
    task, place = placed.task, placed.place
    if not (task.case_expression and task.case_expression.strip()):
        yield from expect(f"{place}.caseValueParam", task.case_value_param, what="an input key")
    yield from check_cases(placed)


def check_switch(placed: Placed) -> Iterator[Problem]:
    """A script, or the name of a key, whose value chooses (S-329)."""
    task, place = placed.task, placed.place
    yield from check_evaluator(f"{place}.evaluatorType", task.evaluator_type)
    what = "an input key" if task.evaluator_type == VALUE_PARAM else "a script"
    yield from expect(f"{place}.expression", task.expression, what=what)
    yield from check_cases(placed)


def check_evaluator(place: str, kind: JsonValue) -> Iterator[Problem]:
    """A language that is served; python is not."""
    if kind not in EVALUATORS:
        found = "none" if kind is None else shown(kind)
        yield Problem(place, f"expected one of {', '.join(EVALUATORS)}, found {found}")


def check_cases(placed: Placed) -> Iterator[Problem]:
    """A choice without cases chooses nothing."""
    if not placed.task.decision_cases:
        yield Problem(f"{placed.place}.decisionCases", "expected at least one case, found none")


def check_fork(placed: Placed) -> Iterator[Problem]:
    """Branches, none of them empty (S-354)."""
    if not placed.task.fork_tasks:
        yield Problem(f"{placed.place}.forkTasks", "expected at least one branch, found none")
    for index, branch in enumerate(placed.task.fork_tasks):
        if not branch:
            yield Problem(
                f"{placed.place}.forkTasks[{index}]", "expected at least one task, found none"
            )
    yield from check_joined(placed)


def check_dynamic_fork(placed: Placed) -> Iterator[Problem]:
    """One source of branches (S-036)."""
    task, place = placed.task, placed.place
    joined = bool(task.dynamic_fork_join_tasks_param)
    tasks, inputs = task.dynamic_fork_tasks_param, task.dynamic_fork_tasks_input_param_name
    if "forkTaskInputs" not in task.input_parameters:
        if joined and (tasks or inputs):
            yield Problem(
                place,
                "expected dynamicForkJoinTasksParam, or dynamicForkTasksParam with "
                "dynamicForkTasksInputParamName, found both",
            )
        elif not joined and not (tasks and inputs):
            yield Problem(
                place,
                "expected input forkTaskInputs, dynamicForkJoinTasksParam, or "
                "dynamicForkTasksParam with dynamicForkTasksInputParamName, found none",
            )
    yield from check_joined(placed)


def check_joined(placed: Placed) -> Iterator[Problem]:
    """A fork is followed by its JOIN (S-353, S-372)."""
    after = placed.after
    if after is None or after.type != "JOIN":
        found = f"{after.type} {shown(after.task_reference_name)}" if after else "nothing"
        yield Problem(placed.place, f"expected a JOIN right after this fork, found {found}")


def check_join(placed: Placed) -> Iterator[Problem]:
    """A JOIN comes right after what forks."""
    before = placed.before
    if before is None or before.type not in FORKS:
        found = f"{before.type} {shown(before.task_reference_name)}" if before else "nothing"
        yield Problem(placed.place, f"expected a fork right before this JOIN, found {found}")


def check_exclusive_join(placed: Placed) -> Iterator[Problem]:
    """Members to wait for."""
    if not placed.task.join_on:
        yield Problem(f"{placed.place}.joinOn", "expected at least one reference, found none")


def check_dynamic(placed: Placed) -> Iterator[Problem]:
    """The input key that holds the task's name."""
    yield from expect(
        f"{placed.place}.dynamicTaskNameParam",
        placed.task.dynamic_task_name_param,
        what="an input key",
    )


def check_sub_workflow(placed: Placed) -> Iterator[Problem]:
    """A name, or an inline definition: an object, or an expression that yields one (S-415)."""
    place, params = f"{placed.place}.subWorkflowParam", placed.task.sub_workflow_param
    if params is None:
        yield Problem(place, "expected the workflow to start, found none")
        return
    inline = params.workflow_definition
    if inline is None:
        yield from expect(f"{place}.name", params.name, what="a workflow name")
    elif not (isinstance(inline, dict) or (isinstance(inline, str) and MARK in inline)):
        yield Problem(
            f"{place}.workflowDefinition",
            f"expected a definition or an expression, found {shown(inline)}",
        )
    yield from check_least(f"{place}.version", params.version, 0)


def check_event(placed: Placed) -> Iterator[Problem]:
    """`conductor`, `conductor:name`, or a broker's queue, whose tasks fail where there is no broker
    (S-462, S-464).
    """
    place, sink = f"{placed.place}.sink", placed.task.sink
    yield from expect(place, sink, what="a sink")
    if not sink or not sink.strip() or MARK in sink or is_own_sink(sink):
        return
    provider, colon, name = sink.partition(":")
    if provider.startswith(SINK) or not (provider and colon and name):
        yield Problem(
            place, f"expected conductor, conductor:<name> or <broker>:<queue>, found {shown(sink)}"
        )


def is_own_sink(sink: str) -> bool:
    """Whether the server itself takes the events of this sink."""
    return sink == SINK or sink.startswith(f"{SINK}:")


def check_http(placed: Placed) -> Iterator[Problem]:
    """A request in the parameters, or in the attached task definition's template (S-037)."""
    task = placed.task
    given = task.input_parameters.keys()
    if "http_request" in given or {"uri", "method"} <= given:
        return
    if task.task_definition is None or "http_request" not in task.task_definition.input_template:
        yield Problem(
            f"{placed.place}.inputParameters",
            f"expected http_request, or uri and method, found {shown(', '.join(given) or 'none')}",
        )


def check_terminate(placed: Placed) -> Iterator[Problem]:
    """A status to end with, literal or an expression; never optional (S-037)."""
    task, place = placed.task, placed.place
    if task.optional:
        yield Problem(f"{place}.optional", "expected a TERMINATE that is not optional, found true")
    status = task.input_parameters.get("terminationStatus")
    if status in TERMINATION_STATUSES or (isinstance(status, str) and MARK in status):
        return
    found = "none" if status is None else shown(status)
    yield Problem(
        f"{place}.inputParameters.terminationStatus",
        f"expected one of {', '.join(TERMINATION_STATUSES)}, or an expression, found {found}",
    )


def check_inline(placed: Placed) -> Iterator[Problem]:
    """A script in a language that is served; JavaScript where none is named (S-474)."""
    kind = parameter(placed, "evaluatorType")
    if not (kind is None or (isinstance(kind, str) and MARK in kind)):
        yield from check_evaluator(f"{placed.place}.inputParameters.evaluatorType", kind)
    yield from expect_parameter(placed, "expression", what="a script")


def check_lambda(placed: Placed) -> Iterator[Problem]:
    """The body of a function (S-478)."""
    yield from expect_parameter(placed, "scriptExpression", what="a script")


def check_jq(placed: Placed) -> Iterator[Problem]:
    """A jq program (S-037)."""
    yield from expect_parameter(placed, "queryExpression", what="a jq program")


def check_set_variable(placed: Placed) -> Iterator[Problem]:
    """At least one variable."""
    if not placed.task.input_parameters:
        yield Problem(
            f"{placed.place}.inputParameters", "expected at least one variable, found none"
        )


def check_start_workflow(placed: Placed) -> Iterator[Problem]:
    """The request: an object, or an expression that yields one (S-434)."""
    request = parameter(placed, "startWorkflow")
    if not (isinstance(request, dict) or (isinstance(request, str) and MARK in request)):
        found = "none" if request is None else shown(request)
        yield Problem(
            f"{placed.place}.inputParameters.startWorkflow",
            f"expected a request to start a workflow, or an expression, found {found}",
        )


def check_loop(placed: Placed) -> Iterator[Problem]:
    """A body (S-036), and keepLastN a whole number. Without a condition it runs once (S-400)."""
    task, place = placed.task, placed.place
    if not task.loop_over:
        yield Problem(f"{place}.loopOver", "expected at least one task, found none")
    kept = parameter(placed, "keepLastN")
    number = isinstance(kept, int) and not isinstance(kept, bool) and kept > 0
    if kept is not None and not number:
        yield Problem(
            f"{place}.inputParameters.keepLastN",
            f"expected a whole number above 0, found {shown(kept)}",
        )


def check_wait(placed: Placed) -> Iterator[Problem]:
    """A duration or an instant, not both; literal ones must be readable (S-038)."""
    place = f"{placed.place}.inputParameters"
    duration, until = parameter(placed, "duration"), parameter(placed, "until")
    if duration is not None and until is not None:
        yield Problem(place, "expected either duration or until, found both")
    for name, value, read, form in (
        ("duration", duration, duration_ms, DURATION_FORM),
        ("until", until, instant_ms, INSTANT_FORM),
    ):
        if value is None or (isinstance(value, str) and MARK in value):
            continue
        if not isinstance(value, str) or read(value) is None:
            yield Problem(f"{place}.{name}", f"expected {form}, found {shown(value)}")


def check_pull(placed: Placed) -> Iterator[Problem]:
    """How many messages, and whether it waits, where they are said as such (S-485)."""
    place = f"{placed.place}.inputParameters"
    batch, blocking = parameter(placed, "batchSize"), parameter(placed, "blocking")
    whole = isinstance(batch, int | float) and not isinstance(batch, bool)
    if batch is not None and not whole and not isinstance(batch, str):
        yield Problem(f"{place}.batchSize", f"expected a whole number, found {shown(batch)}")
    if blocking is not None and not isinstance(blocking, bool | str):
        yield Problem(f"{place}.blocking", f"expected true or false, found {shown(blocking)}")


def parameter(placed: Placed, name: str) -> JsonValue:
    """A parameter, given or by the attached task definition's template."""
    task = placed.task
    template = task.task_definition.input_template if task.task_definition else {}
    return task.input_parameters.get(name, template.get(name))


def expect_parameter(placed: Placed, name: str, *, what: str) -> Iterator[Problem]:
    """A parameter that has to be a text."""
    value = parameter(placed, name)
    place = f"{placed.place}.inputParameters.{name}"
    if value is None or isinstance(value, str):
        yield from expect(place, value, what=what)
    else:
        yield Problem(place, f"expected {what} as text, found {shown(value)}")


def check_fork_name(placed: Placed) -> Iterator[Problem]:
    """FORK is what a running fork is called, not what a definition calls it."""
    yield Problem(f"{placed.place}.type", "expected FORK_JOIN or FORK_JOIN_DYNAMIC, found FORK")


CHECKS: Final[dict[str, Check]] = {
    "DECISION": check_decision,
    "DYNAMIC": check_dynamic,
    "EVENT": check_event,
    "FORK": check_fork_name,
    "FORK_JOIN": check_fork,
    "FORK_JOIN_DYNAMIC": check_dynamic_fork,
    "HTTP": check_http,
    "JOIN": check_join,
    "SUB_WORKFLOW": check_sub_workflow,
    "SWITCH": check_switch,
    "TERMINATE": check_terminate,
    "EXCLUSIVE_JOIN": check_exclusive_join,
    "INLINE": check_inline,
    "JSON_JQ_TRANSFORM": check_jq,
    "LAMBDA": check_lambda,
    "SET_VARIABLE": check_set_variable,
    "START_WORKFLOW": check_start_workflow,
    "WAIT": check_wait,
    "DO_WHILE": check_loop,
    "PULL_WORKFLOW_MESSAGES": check_pull,
}
