"""The branches of a dynamic fork, made from its input in one of three forms (S-357 to S-367).

Everything here is plain data in, task definitions out. Raises EndExecution with Conductor's texts
where an input makes no branches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from podium.engine.schedule import EndExecution, shown
from podium.model.definition import SubWorkflowParams, WorkflowTask

if TYPE_CHECKING:
    from podium.model.payload import JsonObject, JsonValue

FORK_INPUTS: Final = "forkTaskInputs"
NAMED_BY_TYPE: Final = frozenset({"HTTP", "EVENT", "SUB_WORKFLOW"})
"""Types whose forked tasks are named after them when no name is given (S-360)."""


def elements_of(template: WorkflowTask, given: JsonObject, prefix: str) -> list[WorkflowTask]:
    """One task definition per branch, references unique. `prefix` begins made-up references."""
    if isinstance(given.get(FORK_INPUTS), list):
        found = from_inputs(template, given, prefix)
    elif template.dynamic_fork_tasks_param and template.dynamic_fork_tasks_input_param_name:
        found = from_tasks(template, given)
    else:
        found = from_join_tasks(template, given)
    seen: set[str] = set()
    for element in found:
        if element.task_reference_name in seen:
            raise duplicate(element.task_reference_name)
        seen.add(element.task_reference_name)
    return found


def parameter_paths(
    template: WorkflowTask, index: int, ref: str
) -> tuple[tuple[str | int, ...], ...]:
    """Where the fork's input has the parameters of its branch number `index`, in each form."""
    items = template.dynamic_fork_tasks_param or ""
    inputs = template.dynamic_fork_tasks_input_param_name or ""
    joined = template.dynamic_fork_join_tasks_param or ""
    return (
        (FORK_INPUTS, index),
        (items, index, "inputParameters"),
        (inputs, ref),
        (joined, "dynamicTasks", index, "input"),
    )


def duplicate(ref: str) -> EndExecution:
    """S-371."""
    return EndExecution(
        "No dynamic tasks could be created for the Workflow: attempted to create a duplicate task"
        f" reference name: {ref}"
    )


def from_inputs(template: WorkflowTask, given: JsonObject, prefix: str) -> list[WorkflowTask]:
    """Form 1: the same task or sub-workflow for each item of `forkTaskInputs`."""
    items = given[FORK_INPUTS]
    assert isinstance(items, list), items
    workflow = text_of(given.get("forkTaskWorkflow"))
    task_type = text_of(given.get("forkTaskType")) or "SIMPLE"
    name = text_of(given.get("forkTaskName"))
    named = name or (task_type if task_type in NAMED_BY_TYPE else template.task_reference_name)
    found: list[WorkflowTask] = []
    for index, item in enumerate(items):
        element = replace(
            task_like(item),
            name=workflow or named,
            task_reference_name=f"_{prefix}{name or named}_{index}",
            type="SUB_WORKFLOW" if workflow else task_type,
            input_parameters={
                **(item if isinstance(item, dict) else {"input": item}),
                "__index": index,
            },
        )
        if workflow:
            params = sub_workflow(workflow, given.get("forkTaskWorkflowVersion"), item)
            element = replace(element, sub_workflow_param=params)
        if template.optional:
            element = replace(element, optional=True)
        found.append(element)
    return found


def sub_workflow(name: str, version: JsonValue, item: JsonValue) -> SubWorkflowParams:
    """S-359: a version is a number or a numeric string, anything else means the latest."""
    number = version if isinstance(version, int) else None
    if isinstance(version, str) and version.isascii() and version.isdigit():
        number = int(version)
    domains = item.get("taskToDomain") if isinstance(item, dict) else None
    domain_map = None
    if isinstance(domains, dict):
        domain_map = {key: each for key, each in domains.items() if isinstance(each, str)}
    return SubWorkflowParams(name=name, version=number, task_to_domain=domain_map)


def task_like(item: JsonValue) -> WorkflowTask:
    """An item's entries that are fields of a task (retryCount, optional, ...), where they fit."""
    if not isinstance(item, dict):
        return WorkflowTask()
    try:
        return msgspec.convert(without_nulls(item), WorkflowTask)
    except msgspec.ValidationError:
        return WorkflowTask()


def from_tasks(template: WorkflowTask, given: JsonObject) -> list[WorkflowTask]:
    """Form 2: a list of task definitions, and a map of inputs by reference."""
    tasks_param = template.dynamic_fork_tasks_param or ""
    items = given.get(tasks_param)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise no_tasks(tasks_param, items)
    try:
        found = [
            msgspec.convert(without_nulls(item), WorkflowTask)
            for item in items
            if isinstance(item, dict)
        ]
    except msgspec.ValidationError:
        raise no_tasks(tasks_param, items) from None
    if not all(element.task_reference_name for element in found):
        raise no_tasks(tasks_param, items)
    inputs = given.get(template.dynamic_fork_tasks_input_param_name or "")
    if not isinstance(inputs, dict):
        raise not_a_map(inputs)
    return [with_input(element, inputs.get(element.task_reference_name)) for element in found]


def no_tasks(param: str, value: JsonValue) -> EndExecution:
    """S-364."""
    return EndExecution(
        f"Input '{param}' is invalid. Cannot deserialize a list of Workflow Tasks from"
        f" '{shown(value)}'"
    )


def not_a_map(value: JsonValue) -> EndExecution:
    """S-364."""
    return EndExecution(
        "Input to the dynamically forked tasks is not a map -> expecting a map of K,V  but found"
        f" {shown(value)}"
    )


def with_input(element: WorkflowTask, extra: JsonValue) -> WorkflowTask:
    """The element with its own input over its parameters (S-365)."""
    if extra is None:
        return element
    if not isinstance(extra, dict):
        raise not_a_map(extra)
    return replace(element, input_parameters={**element.input_parameters, **extra})


def from_join_tasks(template: WorkflowTask, given: JsonObject) -> list[WorkflowTask]:
    """Form 3: an object with `dynamicTasks` (S-367)."""
    param = template.dynamic_fork_join_tasks_param or ""
    holder = given.get(param)
    items = holder.get("dynamicTasks") if isinstance(holder, dict) else None
    if not isinstance(items, list):
        raise EndExecution(
            f"Dynamic tasks could not be created. The value of {param} from task's input"
            f" {shown(given)} has no dynamic tasks to be scheduled"
        )
    return [from_join_task(param, item) for item in items]


def from_join_task(param: str, item: JsonValue) -> WorkflowTask:
    """One entry of `dynamicTasks`."""
    ref = text_of(item.get("referenceName")) if isinstance(item, dict) else ""
    name = text_of(item.get("taskName")) if isinstance(item, dict) else ""
    if not isinstance(item, dict) or not ref or not name:
        raise EndExecution(
            f"expected taskName and referenceName in each of {param}.dynamicTasks, found"
            f" {shown(item)}"
        )
    element = WorkflowTask(
        name=name, task_reference_name=ref, type=text_of(item.get("type")) or "SIMPLE"
    )
    return with_input(element, item.get("input"))


def text_of(value: JsonValue) -> str:
    """A text, or "" where the value is none."""
    return value if isinstance(value, str) else ""


def without_nulls(item: JsonObject) -> JsonObject:
    """The entries that are not null: null fields count as absent."""
    return {key: value for key, value in item.items() if value is not None}
