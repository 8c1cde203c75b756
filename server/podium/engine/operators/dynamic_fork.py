"""FORK_JOIN_DYNAMIC: as many branches as the input says, created in portions.

The FORK record keeps its branches' definitions in its input, so that a later portion is made from
what is stored. The join's counter is made first and counts all of them: it cannot reach zero while
branches are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.engine.bind import bind, task_names
from podium.engine.evaluation import evaluate_map
from podium.engine.gathering import latest
from podium.engine.graph import NONE
from podium.engine.identity import task_key
from podium.engine.limits import BRANCHES_LIMIT
from podium.engine.operators.elements import FORK_INPUTS, duplicate, elements_of, parameter_paths
from podium.engine.operators.fork import enter_fork
from podium.engine.operators.operator import Operator
from podium.engine.schedule import EndExecution
from podium.engine.secret import under
from podium.engine.state import RECORDS_LIMIT, want_task, want_tasks
from podium.engine.transition import FetchTaskDefs
from podium.engine.work import Step
from podium.model.definition import WorkflowDef, WorkflowTask
from podium.model.execution import BranchRecord, JoinRecord

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import SecretMark, TaskRecord
    from podium.model.payload import JsonObject

DYNAMIC_FORK: Final = "FORK_JOIN_DYNAMIC"
FORKED_TASKS: Final = "forkedTasks"
FORKED_DEFINITIONS: Final = "forkedTaskDefs"


def run(draft: State, place: Place) -> Asking[None]:
    """Record the fork and its join's counter; branches and join follow on the stack."""
    node = place.node
    if node.join == NONE:
        raise EndExecution(
            "Dynamic join definition is not followed by a join task."
            "  Check the workflow definition."
        )
    value = yield from evaluate_map(draft, node.template, place=place)
    prefix = yield from made_up_prefix(draft, place, value)
    elements = elements_of(node.task, value, prefix)
    if len(elements) > BRANCHES_LIMIT:
        raise EndExecution(
            f"expected at most {BRANCHES_LIMIT} branches of {node.ref}, found {len(elements)}"
        )
    yield from refuse_duplicates(draft, elements, place)
    elements = yield from bound(elements)
    value[FORKED_TASKS] = [element.task_reference_name for element in elements]
    value[FORKED_DEFINITIONS] = [msgspec.to_builtins(element) for element in elements]
    task = yield from enter_fork(draft, place, value)
    join = join_key(place)
    draft.joins.changed[join] = JoinRecord(key=join, open_count=len(elements))
    branch, iteration = place.branch, place.iteration
    draft.now.append(Step("join", node.join, branch, iteration, key=task.key))
    draft.now.append(Step("branches", node.index, branch, iteration, key=task.key))


def join_key(place: Place) -> str:
    """Key of the join that follows the fork."""
    return task_key(place.graph.nodes[place.node.join].ref, place.iteration)


def made_up_prefix(draft: State, place: Place, value: JsonObject) -> Asking[str]:
    """What made-up references begin with: the fork's own where another such fork ran (S-361)."""
    if not isinstance(value.get(FORK_INPUTS), list):
        return ""
    others = tuple(
        task_key(node.ref, place.iteration)
        for node in draft.graph.nodes
        if node.task.type == DYNAMIC_FORK and node.ref != place.node.ref
    )
    yield from want_tasks(draft, others)
    ran = any(latest(draft, key) is not None for key in others)
    return f"{place.node.ref}_" if ran else ""


def refuse_duplicates(draft: State, elements: list[WorkflowTask], place: Place) -> Asking[None]:
    """A branch may not take the reference of a task that exists (S-371)."""
    taken = {place.node.ref, place.graph.nodes[place.node.join].ref}
    refs = [element.task_reference_name for element in elements]
    keys = tuple(task_key(ref, place.iteration) for ref in refs)
    yield from want_tasks(draft, keys)
    for ref, key in zip(refs, keys, strict=True):
        if ref in taken or latest(draft, key) is not None:
            raise duplicate(ref)


def bound(elements: list[WorkflowTask]) -> Asking[list[WorkflowTask]]:
    """The branches with their task definitions attached, as at a workflow's start."""
    definition = WorkflowDef(name="", tasks=elements)
    names = task_names(definition)
    if not names:
        return bind(definition, {}).tasks
    answer = yield FetchTaskDefs(names)
    assert isinstance(answer, dict), answer
    return bind(definition, answer).tasks


def create_branches(draft: State, place: Place, step: Step) -> Asking[None]:
    """As many branches as the transition still holds, from number `step.first` on."""
    fork = yield from want_task(draft, step.key)
    assert fork is not None, step
    definitions = fork.input.value.get(FORKED_DEFINITIONS)
    assert isinstance(definitions, list), fork.id
    count = max(RECORDS_LIMIT - draft.changed_count, 1)
    portion = definitions[step.first : step.first + count]
    after = step.first + len(portion)
    if after < len(definitions):
        draft.now.append(Step("branches", step.node, step.branch, step.iteration, step.key, after))
    join, steps = join_key(place), list[Step]()
    for index, definition in enumerate(portion, step.first):
        assert isinstance(definition, dict), definition
        ref = str(definition.get("taskReferenceName"))
        key = task_key(ref, place.iteration)
        draft.branches.changed[key] = BranchRecord(
            key=key,
            definition=msgspec.json.encode(definition),
            join_key=join,
            iteration=place.iteration,
            parent_branch=place.branch,
            loop=place.loop,
            secrets=secrets_of(place, fork, index, ref),
        )
        steps.append(Step("run", 0, key, place.iteration))
    draft.now.extend(reversed(steps))


def secrets_of(place: Place, fork: TaskRecord, index: int, ref: str) -> tuple[SecretMark, ...]:
    """Where the fork's own parameters named secrets in what became those of this branch."""
    if not fork.secrets:
        return ()
    paths = parameter_paths(place.node.task, index, ref)
    return tuple(mark for path in paths for mark in under(path, fork.secrets))


FORK_DYNAMIC: Final = Operator(run)
