"""Outputs that are put together from other tasks' when something reads them: of JOIN and DO_WHILE.

They are never stored, so a member that ends costs what it costs and not what was gathered before.
What they consist of is `Parts`: where each member's output stands in the gatherer's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from podium.engine.graph import LOOP, NONE, branch_graph
from podium.engine.identity import reference_in, task_key
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.reading import WHOLE
from podium.engine.schedule import locate
from podium.engine.scope import GATHERING
from podium.engine.state import UNKNOWN, want_branches, want_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from podium.engine.graph import Graph, Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

JOIN: Final = "JOIN"
DYNAMIC_FORK: Final = "FORK_JOIN_DYNAMIC"
KEEP_LAST: Final = "keepLastN"
ITERATION: Final = "iteration"

Path: TypeAlias = "tuple[str, ...]"
Parts: TypeAlias = "dict[str, dict[Path, str]]"
"""Key of a gatherer → where in its output → key of the task whose output stands there."""


class OutputTooLarge(Exception):
    """An output, put together, is over the payload limit."""


def latest(draft: State, key: str) -> TaskRecord | None:
    """A task that is at hand; what is not counts as not scheduled."""
    found = draft.tasks.look(key)
    return None if found is UNKNOWN else found


def want_parts(draft: State, read: Iterable[tuple[TaskRecord, str]]) -> Asking[Parts]:
    """What these tasks' outputs consist of, as far as they are read, with every member at hand.

    Of each task `read` names one entry of its output, or WHOLE; members that gather are whole.
    """
    parts: Parts = {}
    whole: set[str] = set()
    waiting = [(task, name) for task, name in read if task.task_type in GATHERING]
    while waiting:
        found: dict[Path, str] = {}
        for task, name in waiting:
            mine = yield from parts_of(draft, task, name)
            parts.setdefault(task.key, {}).update(mine)
            found.update({(task.key, *path): key for path, key in mine.items()})
            if name == WHOLE:
                whole.add(task.key)
        yield from want_tasks(draft, tuple(dict.fromkeys(found.values())))
        members = [latest(draft, key) for key in found.values()]
        waiting = [
            (task, WHOLE)
            for task in members
            if task is not None and task.task_type in GATHERING and task.key not in whole
        ]
    return parts


def parts_of(draft: State, task: TaskRecord, name: str) -> Asking[dict[Path, str]]:
    """The parts of one gatherer that make the entry `name` of its output, or all of them."""
    if task.task_type == JOIN:
        return {path: key for path, key in join_parts(task) if name in (WHOLE, *path)}
    found: dict[Path, str] = {}
    place = yield from locate(draft, task)
    for number in kept_iterations(task):
        if name in (WHOLE, str(number)):
            for member in (yield from iteration_members(draft, place, number)):
                found[str(number), member.ref] = member.key
    return found


def parts_in(tasks: Iterable[TaskRecord]) -> Parts:
    """The parts of every gatherer of an execution. `tasks` = all latest attempts."""
    parts: Parts = {}
    for task in tasks:
        if task.task_type == JOIN:
            parts[task.key] = dict(join_parts(task))
        if task.loop:
            inside = parts.setdefault(task.loop, {})
            inside[str(task.iteration[-1]), task.ref] = task.key
    return parts


def join_parts(join: TaskRecord) -> list[tuple[Path, str]]:
    """Where in a JOIN's output each member stands, as clients see its reference, and its key."""
    return [
        ((reference_in(ref, join.iteration),), task_key(ref, join.iteration))
        for ref in members_of(join)
    ]


def members_of(join: TaskRecord) -> list[str]:
    """The references a JOIN task waits for, as its input says."""
    joined = join.input.value.get("joinOn")
    return [ref for ref in joined if isinstance(ref, str)] if isinstance(joined, list) else []


def iteration_of(loop: TaskRecord) -> int:
    """The number of the loop's present, or last, iteration; 0 before the first."""
    number = loop.output.value.get(ITERATION)
    return number if isinstance(number, int) else 0


def keep_last_of(loop: TaskRecord) -> int:
    """How many iterations the loop keeps (S-408); 0 = all."""
    kept = loop.input.value.get(KEEP_LAST)
    return kept if isinstance(kept, int) and not isinstance(kept, bool) and kept > 0 else 0


def kept_iterations(loop: TaskRecord) -> range:
    """Iterations whose tasks may be there; the oldest of them may be gone already."""
    last, kept = iteration_of(loop), keep_last_of(loop)
    return range(max(1, last - kept) if kept else 1, last + 1)


def iteration_members(
    draft: State, place: Place, number: int, *, deep: bool = False
) -> Asking[list[TaskRecord]]:
    """The tasks of one iteration of the loop at `place`, outer before inner: those of its body, of
    cases and branches in it, and with `deep` also those of loops in it.
    """
    found: list[TaskRecord] = []
    waiting: list[tuple[Graph, int, tuple[int, ...]]] = [
        (place.graph, place.node.index, (*place.iteration, number))
    ]
    while waiting:
        graph, loop, path = waiting.pop()
        nodes = [graph.nodes[index] for index in graph.loops.regions.get(loop, ())]
        yield from want_tasks(draft, tuple(task_key(node.ref, path) for node in nodes))
        for node in nodes:
            task = latest(draft, task_key(node.ref, path))
            if task is None:
                continue
            found.append(task)
            if node.task.type == DYNAMIC_FORK:
                keys = tuple(task_key(ref, path) for ref in forked_of(task))
                branches = yield from want_branches(draft, keys)
                waiting += [(branch_graph(each.definition), NONE, path) for each in branches]
            elif deep and node.task.type == LOOP:
                waiting += [(graph, node.index, (*path, inner)) for inner in kept_iterations(task)]
    return found


def forked_of(fork: TaskRecord) -> list[str]:
    """References of the branches of a dynamic fork."""
    forked = fork.input.value.get("forkedTasks")
    return [ref for ref in forked if isinstance(ref, str)] if isinstance(forked, list) else []


def gather(
    task: TaskRecord,
    parts: Mapping[str, Mapping[Path, str]],
    look: Callable[[str], TaskRecord | None],
) -> JsonObject:
    """Output of a gatherer (S-378, S-379, S-396), members that gather included, without recursion.

    `look` gives the latest record of a task key, None where there is none. Raises OutputTooLarge.
    O(members).
    """
    done: dict[str, tuple[JsonObject, int]] = {}
    opened: set[str] = set()
    stack = [task]
    while stack:
        top = stack[-1]
        members = [(path, look(key)) for path, key in parts.get(top.key, {}).items()]
        inner = [
            each for _, each in members
            if each and each.task_type in GATHERING and each.key not in done
        ]  # fmt: skip
        if top.key not in opened and inner:
            opened.add(top.key)
            stack += [each for each in inner if each.key not in opened]
            continue
        stack.pop()
        done[top.key] = gathered(top, members, done)
    return done[task.key][0]


def gathered(
    task: TaskRecord,
    members: list[tuple[Path, TaskRecord | None]],
    done: dict[str, tuple[JsonObject, int]],
) -> tuple[JsonObject, int]:
    """One gatherer's output and its size as text, about. A loop has a key also for a member that
    has no output.
    """
    loop = task.task_type == LOOP
    value: JsonObject = dict(task.output.value) if loop else {}
    size = len(task.output) if loop else 0
    for path, member in members:
        if member is None:
            continue
        output: JsonObject = {}
        length = 0
        if member.task_type in GATHERING:
            output, length = done.get(member.key, ({}, 0))
        elif member.output:
            output, length = member.output.value, len(member.output)
        if output or loop:
            put_at(value, path, output)
            size += length + len(path[-1])
    if size > PAYLOAD_BYTES_LIMIT:
        raise OutputTooLarge(
            f"expected a {task.task_type} output of at most {PAYLOAD_BYTES_LIMIT} bytes,"
            f" found {size}"
        )
    return value, size


def put_at(value: JsonObject, path: Path, output: JsonObject) -> None:
    """Set a member's output at its path."""
    for name in path[:-1]:
        inner = value.setdefault(name, {})
        assert isinstance(inner, dict), path
        value = inner
    value[path[-1]] = output
