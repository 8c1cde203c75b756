"""The open tasks of an execution, found by walking what its definition can have scheduled.

For those who look at an execution, of whatever size: a dynamic fork is followed over its first
branches only, and what is read in all is bounded. Tasks with an entry in the store's indexes are
given by whoever knows those, so that a few open ones among thousands of ended ones are found, too.
Inputs and outputs are needed of joins and loops alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from typing import Final, TypeAlias

import msgspec

from podium.engine.gathering import DYNAMIC_FORK, iteration_of, members_of
from podium.engine.graph import LOOP, NONE, SWITCHES, Graph, branch_graph
from podium.engine.identity import task_key
from podium.engine.settle import JOINS, is_final
from podium.engine.transition import FetchTasks, Records
from podium.model.execution import JoinRecord, TaskRecord

READ_MAX: Final = 2_000
"""Records that one walk reads."""
BRANCHES_MAX: Final = 500
"""Of each dynamic fork, and members of each join."""
OPENS_BRANCH: Final = frozenset({*SWITCHES, LOOP, "FORK", "FORK_JOIN", DYNAMIC_FORK})
"""Record types behind which a branch may go on."""

Walking: TypeAlias = Generator[FetchTasks, Records, "OpenTasks"]


class Missing(msgspec.Struct, frozen=True):
    """A member that a join waits for; `task` None = it was not scheduled."""

    ref: str
    task: TaskRecord | None


class OpenTasks(msgspec.Struct, frozen=True):
    """What was found."""

    tasks: tuple[TaskRecord, ...]
    """In the order they were scheduled."""
    joins: dict[str, JoinRecord]
    """Counters of those among them that have one."""
    missing: dict[str, tuple[Missing, ...]]
    """Join → its members that are not final, as far as they were read."""


class Region(msgspec.Struct, frozen=True, eq=False):
    """The nodes of one graph whose innermost loop is `loop`, in one iteration."""

    graph: Graph
    loop: int
    path: tuple[int, ...]


class Walk:
    """One walk; `seen` holds what was read, by key, None = not there."""

    def __init__(self) -> None:
        self.seen: dict[str, TaskRecord | None] = {}
        self.regions: deque[Region] = deque()

    @property
    def room(self) -> int:
        return max(READ_MAX - len(self.seen), 0)

    def read(self, keys: Iterable[str]) -> Generator[FetchTasks, Records, None]:
        """Have these at hand, as many as there is room for."""
        absent = tuple(dict.fromkeys(key for key in keys if key not in self.seen))[: self.room]
        if absent:
            answer = yield FetchTasks(absent)
            self.seen.update({key: answer.tasks.get(key) for key in absent})

    def look_into(self, region: Region) -> Generator[FetchTasks, Records, None]:
        """Read the tasks of a region, and note the regions they opened."""
        graph, path = region.graph, region.path
        nodes = [graph.nodes[index] for index in graph.loops.regions.get(region.loop, ())]
        yield from self.read(task_key(node.ref, path) for node in nodes)
        for node in nodes:
            task = self.seen.get(task_key(node.ref, path))
            if task is None:
                continue
            if node.task.type == LOOP and not task.status.terminal and iteration_of(task):
                self.regions.append(Region(graph, node.index, (*path, iteration_of(task))))
            if node.task.type == DYNAMIC_FORK and node.join != NONE:
                join = self.seen.get(task_key(graph.nodes[node.join].ref, path))
                if join is not None and not join.status.terminal:
                    yield from self.look_into_branches(join)

    def look_into_branches(self, join: TaskRecord) -> Generator[FetchTasks, Records, None]:
        """Of a dynamic fork, as its join names them: the first ones."""
        keys = [task_key(ref, join.iteration) for ref in members_of(join)[:BRANCHES_MAX]]
        yield from self.read(keys)
        opened = [key for key in keys if (task := self.seen.get(key)) and opens_more(task)]
        opened = opened[: self.room]
        if opened:
            answer = yield FetchTasks((), branches=tuple(opened))
            for branch in answer.branches.values():
                if branch is not None:
                    graph = branch_graph(branch.definition)
                    self.regions.append(Region(graph, NONE, branch.iteration))


def find_open(graph: Graph, indexed: Iterable[str]) -> Walking:
    """The open tasks. `indexed` = keys of tasks that stand in the store's indexes."""
    walk = Walk()
    yield from walk.read(indexed)
    walk.regions.append(Region(graph, NONE, ()))
    while walk.regions and walk.room:
        yield from walk.look_into(walk.regions.popleft())
    tasks = [task for task in walk.seen.values() if task and not task.status.terminal]
    tasks.sort(key=lambda task: task.seq)
    counted = [task for task in tasks if task.task_type in JOINS]
    joins: dict[str, JoinRecord] = {}
    if counted:
        answer = yield FetchTasks((), joins=tuple(task.key for task in counted))
        joins = {key: join for key, join in answer.joins.items() if join is not None}
    missing: dict[str, tuple[Missing, ...]] = {}
    for join in counted:
        missing[join.key] = yield from missing_of(walk, join)
    return OpenTasks(tuple(tasks), joins, missing)


def missing_of(walk: Walk, join: TaskRecord) -> Generator[FetchTasks, Records, tuple[Missing, ...]]:
    """The members that a join waits for, those that were found open first."""
    keys = {task_key(ref, join.iteration): ref for ref in members_of(join)}
    yield from walk.read(list(keys)[:BRANCHES_MAX])
    found = [
        Missing(ref, walk.seen[key])
        for key, ref in keys.items()
        if key in walk.seen and not is_final(walk.seen[key])
    ]
    return tuple(sorted(found, key=lambda each: each.task is None))


def opens_more(task: TaskRecord) -> bool:
    """Whether other tasks of its branch may be open behind it."""
    return task.task_type in OPENS_BRANCH
