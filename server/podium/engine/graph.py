"""Compiled definitions: nodes with explicit successors, computed once, walked without recursion.

`next` of a node is its next sibling, or what follows the enclosing switch, or NONE at the end of a
branch (the join counts it) and of the workflow. A fork schedules its own join: its `next` is NONE.
Positions are indexes into `Graph.nodes`, which records store. Nothing here knows an execution.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from podium.engine.expression import (
    Template,
    compile_key,
    compile_parameters,
    compile_value,
)
from podium.engine.limits import CACHED_SECONDS_MAX
from podium.engine.reading import merge
from podium.engine.schema import Checks, checks_of
from podium.engine.state_event import Hook, compile_hooks
from podium.model.definition import TaskDef, WorkflowDef, WorkflowTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.engine.reading import Uses
    from podium.model.payload import JsonObject

NONE: Final = -1
LOOP: Final = "DO_WHILE"
SWITCHES: Final = frozenset({"SWITCH", "DECISION"})
BRANCH_DECODER: Final = msgspec.json.Decoder(WorkflowTask)
NOT_TEMPLATED: Final = frozenset({"SET_VARIABLE", "SUB_WORKFLOW"})
"""Types to which a task definition's inputTemplate does not apply (S-419, S-473)."""


class CacheRule(msgspec.Struct, frozen=True, eq=False):
    """A cacheConfig: calls of equal key within `ttl_ms` are answered with one output (S-043)."""

    key: Template
    ttl_ms: int


class Node(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One task of a definition. Children are indexes of first nodes; NONE = an empty list."""

    index: int
    task: WorkflowTask
    next: int
    template: Template
    """inputParameters over the task definition's inputTemplate."""
    cases: dict[str, int] = {}
    default: int = NONE
    branches: tuple[int, ...] = ()
    join: int = NONE
    """FORK types: the JOIN that follows; NONE where none does."""
    params: Template | None = None
    """SUB_WORKFLOW: subWorkflowParam as its task's input names it, without an inline definition."""
    body: int = NONE
    """DO_WHILE: the first task of its body."""
    loop: int = NONE
    """The innermost DO_WHILE around it."""
    loop_depth: int = 0
    """How many of them are around it."""
    members: tuple[str, ...] = ()
    """JOIN: the references it waits for, each once; a dynamic fork's gets them when it runs.
    EXCLUSIVE_JOIN: also those of its default tasks.
    """
    checks: Checks | None = None
    """What the task definition enforces."""

    cache: CacheRule | None = None
    """Heeded where a worker would take the task."""
    hooks: tuple[Hook, ...] = ()
    """Events that its changes of state raise."""

    @property
    def ref(self) -> str:
        return self.task.task_reference_name

    @property
    def task_def(self) -> TaskDef | None:
        return self.task.task_definition


class Loops(msgspec.Struct, frozen=True, eq=False):
    """The loops of a graph."""

    regions: dict[int, tuple[int, ...]]
    """DO_WHILE node, or NONE → the nodes whose innermost loop it is."""
    outermost: dict[str, str]
    """Reference inside a loop that an expression reads → reference of the outermost loop."""
    refs: frozenset[str]
    """All references of the graph, where it has loops."""


class RunLimit(msgspec.Struct, frozen=True, eq=False):
    """What rateLimitConfig says: at most `concurrent` executions of one evaluated `key` run.
    `reject` = a start beyond it is refused; it waits otherwise.
    """

    concurrent: int
    key: Template
    reject: bool = False


class Graph(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A compiled definition, or one element of a dynamic fork (whose `definition` has no tasks)."""

    definition: WorkflowDef
    nodes: tuple[Node, ...]
    joins_by_ref: dict[str, tuple[int, ...]]
    """Member reference → JOIN nodes that name it."""
    output: Template
    loops: Loops
    checks: Checks | None = None
    """What the definition enforces."""
    run_limit: RunLimit | None = None
    raises: bool = False
    """Whether tasks may raise events: those of a dynamic fork are not known yet."""

    @property
    def root(self) -> int:
        """First node; NONE for a definition without tasks."""
        return 0 if self.nodes else NONE


class Place(msgspec.Struct, frozen=True):
    """A node in its surroundings: which branch's graph, which iteration of which loop."""

    graph: Graph
    node: Node
    branch: str = ""
    iteration: tuple[int, ...] = ()
    loop: str = ""
    """Key of the DO_WHILE task around it, also of one around the fork that made the branch."""
    task_def: TaskDef | None = None
    """Of a DYNAMIC task that begins: the definition that was found for it; its record keeps it."""


class Siblings(msgspec.Struct, frozen=True):
    """A list of sibling tasks with the index of its first and what follows its last."""

    tasks: list[WorkflowTask]
    start: int
    after: int
    loop: int
    loop_depth: int


class Compiler:
    """Numbers the tasks list by list; each list's nodes are neighbours."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.joins: dict[str, list[int]] = {}
        self._count = 0
        self._waiting: list[Siblings] = []

    def compile(self, tasks: list[WorkflowTask]) -> None:
        """Compile a tree of tasks."""
        self._reserve(tasks, NONE, NONE, 0)
        while self._waiting:
            sequence = self._waiting.pop()
            for place in range(len(sequence.tasks)):
                self._add(sequence, place)

    def _reserve(self, tasks: list[WorkflowTask], after: int, loop: int, depth: int) -> int:
        """Index of the first of `tasks`, or NONE where there are none."""
        if not tasks:
            return NONE
        start = self._count
        self._count += len(tasks)
        self._waiting.append(Siblings(tasks, start, after, loop, depth))
        return start

    def _add(self, sequence: Siblings, place: int) -> None:
        task, index = sequence.tasks[place], sequence.start + place
        following = sequence.tasks[place + 1] if place + 1 < len(sequence.tasks) else None
        after = sequence.after if following is None else index + 1
        before = sequence.tasks[place - 1] if place else None
        loop, depth = sequence.loop, sequence.loop_depth
        join, body = NONE, NONE
        if is_fork(task):
            join = index + 1 if following is not None and following.type == "JOIN" else NONE
        cases, default = {}, NONE
        if task.type in SWITCHES:
            cases = {
                name: self._reserve(case, after, loop, depth)
                for name, case in task.decision_cases.items()
            }
            default = self._reserve(task.default_case, after, loop, depth)
        branches: tuple[int, ...] = ()
        if task.type == "FORK_JOIN":
            branches = tuple(self._reserve(each, NONE, loop, depth) for each in task.fork_tasks)
        if task.type == LOOP:
            body = self._reserve(task.loop_over, NONE, index, depth + 1)
        members = members_of(task, before)
        for member in members:
            self.joins.setdefault(member, []).append(index)
        self.nodes[index] = Node(
            index=index,
            task=task,
            next=NONE if is_fork(task) else after,
            template=compile_input(task),
            params=compile_params(task),
            cache=compile_cache(task),
            hooks=compile_hooks(task.on_state_change),
            cases=cases,
            default=default,
            branches=branches,
            join=join,
            body=body,
            loop=loop,
            loop_depth=depth,
            members=members,
            checks=checks_of(task.task_definition),
        )


def members_of(task: WorkflowTask, before: WorkflowTask | None) -> tuple[str, ...]:
    """The references whose tasks a join waits for, each once."""
    if task.type == "EXCLUSIVE_JOIN":
        return tuple(dict.fromkeys([*task.join_on, *task.default_exclusive_join_task]))
    if task.type == "JOIN" and not (before and before.type == "FORK_JOIN_DYNAMIC"):
        return tuple(dict.fromkeys(task.join_on))
    return ()


def is_fork(task: WorkflowTask) -> bool:
    """Whether the task opens branches that a JOIN gathers."""
    return task.type in {"FORK_JOIN", "FORK_JOIN_DYNAMIC"}


def compile_input(task: WorkflowTask) -> Template:
    """inputParameters with the inputTemplate of the attached task definition (S-256)."""
    attached = task.task_definition
    templated = attached is not None and task.type not in NOT_TEMPLATED
    return compile_parameters(
        task.input_parameters, attached.input_template if attached and templated else {}
    )


def compile_cache(task: WorkflowTask) -> CacheRule | None:
    """The cacheConfig; None where there is none, or nothing is to be kept."""
    config = task.cache_config
    if not isinstance(config, dict):
        return None
    key, ttl = config.get("key"), config.get("ttlInSecond")
    if not isinstance(key, str) or not key.strip() or not isinstance(ttl, int) or ttl <= 0:
        return None
    return CacheRule(compile_key(key, parameters_of(task)), min(ttl, CACHED_SECONDS_MAX) * 1000)


def parameters_of(task: WorkflowTask) -> frozenset[str]:
    """Names of the parameters that make the task's input."""
    attached = task.task_definition
    return frozenset(task.input_parameters).union(attached.input_template if attached else ())


def compile_params(task: WorkflowTask) -> Template | None:
    """What a SUB_WORKFLOW evaluates of its subWorkflowParam (S-415, S-419)."""
    params = task.sub_workflow_param
    if params is None or task.type != "SUB_WORKFLOW":
        return None
    domains: JsonObject = dict(params.task_to_domain or {})
    inline = params.workflow_definition
    return compile_value(
        {
            "subWorkflowName": params.name,
            "subWorkflowVersion": params.version,
            "subWorkflowTaskToDomain": None if params.task_to_domain is None else domains,
            "subWorkflowDefinition": inline if isinstance(inline, str) else None,
            "priority": params.priority,
            "idempotencyKey": params.idempotency_key,
            "idempotencyStrategy": params.idempotency_strategy,
        }
    )


def graph_of(definition: WorkflowDef, tasks: Sequence[WorkflowTask]) -> Graph:
    """Compile `tasks` under `definition`."""
    compiler = Compiler()
    compiler.compile(list(tasks))
    nodes = tuple(compiler.nodes[index] for index in range(len(compiler.nodes)))
    output = compile_value(definition.output_parameters)
    return Graph(
        definition=definition,
        nodes=nodes,
        joins_by_ref={ref: tuple(joins) for ref, joins in compiler.joins.items()},
        output=output,
        loops=loops_of(nodes, output),
        checks=checks_of(definition),
        run_limit=run_limit_of(definition),
        raises=any(node.hooks or node.task.type == "FORK_JOIN_DYNAMIC" for node in nodes),
    )


def run_limit_of(definition: WorkflowDef) -> RunLimit | None:
    """None where there is no limit, or, in a definition stored before it was checked, none that can
    be read.
    """
    config = definition.rate_limit_config
    if not isinstance(config, dict):
        return None
    limit, key = config.get("concurrentExecLimit"), config.get("rateLimitKey")
    if not isinstance(limit, int) or limit <= 0:
        return None
    reject = config.get("policy") == "REJECT"
    return RunLimit(limit, compile_value(key if isinstance(key, str) else ""), reject)


def loops_of(nodes: tuple[Node, ...], output: Template) -> Loops:
    """What the loops of a definition hold. Without one, nothing is looked up when it runs."""
    regions: dict[int, list[int]] = {}
    for node in nodes:
        regions.setdefault(node.loop, []).append(node.index)
    read = merge([output.uses, *(uses for node in nodes for uses in uses_of(node))])
    outermost: dict[str, str] = {}
    for node in nodes:
        if node.loop != NONE and (read.dynamic or node.ref in read.refs):
            around = nodes[node.loop]
            while around.loop != NONE:
                around = nodes[around.loop]
            outermost[node.ref] = around.ref
    return Loops(
        regions={loop: tuple(indexes) for loop, indexes in regions.items()},
        outermost=outermost,
        refs=frozenset(node.ref for node in nodes) if len(regions) > 1 else frozenset(),
    )


def uses_of(node: Node) -> list[Uses]:
    """What the expressions of a node read."""
    found = [node.template.uses]
    if node.params is not None:
        found.append(node.params.uses)
    if node.cache is not None:
        found.append(node.cache.key.uses)
    found += [hook.payload.uses for hook in node.hooks]
    found += [compile_value(text).uses for text in (node.task.sink, node.task.items) if text]
    return found


def compile_workflow(definition: WorkflowDef) -> Graph:
    """Compile a bound definition (task definitions attached in `task_definition`)."""
    return graph_of(definition, definition.tasks)


def compile_branch(definition: WorkflowTask) -> Graph:
    """Compile one element of a dynamic fork."""
    return graph_of(WorkflowDef(name=""), [definition])


@lru_cache(maxsize=8192)
def branch_graph(definition: bytes) -> Graph:
    """`compile_branch` of a stored BranchRecord's definition, remembered by its bytes."""
    return compile_branch(BRANCH_DECODER.decode(definition))
