"""The one table of operators by task type. A type that is not here is a worker's queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.operators.do_while import DO_WHILE
from podium.engine.operators.dynamic import BY_NAME, DYNAMIC
from podium.engine.operators.dynamic_fork import FORK_DYNAMIC
from podium.engine.operators.event import EVENT
from podium.engine.operators.exclusive_join import EXCLUSIVE_JOIN
from podium.engine.operators.fork import FORK
from podium.engine.operators.inline import INLINE, LAMBDA
from podium.engine.operators.join import JOIN
from podium.engine.operators.jq import JQ
from podium.engine.operators.noop import NOOP
from podium.engine.operators.pull_messages import PULL_MESSAGES
from podium.engine.operators.queued import QUEUED
from podium.engine.operators.set_variable import SET_VARIABLE
from podium.engine.operators.start_workflow import START_WORKFLOW
from podium.engine.operators.sub_workflow import SUB_WORKFLOW
from podium.engine.operators.switch import DECISION, SWITCH
from podium.engine.operators.terminate import TERMINATE
from podium.engine.operators.wait import HUMAN, WAIT
from podium.engine.schedule import EndExecution
from podium.engine.validate_operators import TYPES_NOT_BUILT

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.operators.operator import Operator
    from podium.model.execution import TaskRecord

OPERATORS: Final[dict[str, Operator]] = {
    "SIMPLE": QUEUED,
    "HTTP": QUEUED,
    "DYNAMIC": DYNAMIC,
    "SWITCH": SWITCH,
    "DECISION": DECISION,
    "FORK_JOIN": FORK,
    "FORK_JOIN_DYNAMIC": FORK_DYNAMIC,
    "JOIN": JOIN,
    "SUB_WORKFLOW": SUB_WORKFLOW,
    "EVENT": EVENT,
    "TERMINATE": TERMINATE,
    "EXCLUSIVE_JOIN": EXCLUSIVE_JOIN,
    "NOOP": NOOP,
    "SET_VARIABLE": SET_VARIABLE,
    "INLINE": INLINE,
    "LAMBDA": LAMBDA,
    "JSON_JQ_TRANSFORM": JQ,
    "START_WORKFLOW": START_WORKFLOW,
    "WAIT": WAIT,
    "HUMAN": HUMAN,
    "DO_WHILE": DO_WHILE,
    "PULL_WORKFLOW_MESSAGES": PULL_MESSAGES,
}


def operator_of(task_type: str, ref: str) -> Operator:
    """The operator of a type. Raises EndExecution for Conductor's types that are not built, which
    only a dynamic fork can bring in: definitions that name them are refused before.
    """
    found = OPERATORS.get(task_type)
    if found is None and task_type in TYPES_NOT_BUILT:
        raise EndExecution(f"expected a task type that is built, found {task_type} at {ref}")
    return QUEUED if found is None else found


def operator_for(place: Place, task: TaskRecord) -> Operator:
    """The operator of a stored task: of a DYNAMIC one, that of the type it turned out to be."""
    found = operator_of(place.node.task.type, task.ref)
    return BY_NAME.get(task.task_type, found) if found is DYNAMIC else found
