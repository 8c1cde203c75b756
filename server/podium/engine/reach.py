"""What was scheduled behind a task: everything that running it again makes void.

A task leads to its successor, to what it opens (cases, branches, a loop's body), to the joins that
wait for it, and from inside a loop to the loop's later iterations and to what follows the loop. The
loop itself stays, and goes back to the task's iteration. Parallel branches are not behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from podium.engine.gathering import DYNAMIC_FORK, forked_of, kept_iterations, latest
from podium.engine.graph import LOOP, NONE
from podium.engine.identity import task_key
from podium.engine.schedule import locate
from podium.engine.settle import joins_of

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord


class Reach(msgspec.Struct, frozen=True):
    """What is behind a task."""

    keys: tuple[str, ...]
    """In an order in which each was found from an earlier one; skipped tasks are among them."""
    loops: dict[str, int]
    """Key of a loop around the task → number of its iteration, to which it goes back."""


def behind(draft: State, start: TaskRecord) -> Asking[Reach]:
    """What was scheduled behind the task `start`. Every record must be at hand. O(tasks)."""
    seen = {start.key: start}
    loops: dict[str, int] = {}
    waiting = [start]
    while waiting:
        task = waiting.pop()
        place = yield from locate(draft, task)
        around = latest(draft, task.loop) if task.loop else None
        if around is not None and around.key not in seen:
            loops[around.key] = task.iteration[len(around.iteration)]
            seen[around.key] = around
            waiting.append(around)
        for key in (yield from after(draft, place, task, loops.get(task.key, 0))):
            found = latest(draft, key)
            if found is not None and key not in seen:
                seen[key] = found
                waiting.append(found)
    keys = tuple(key for key in seen if key != start.key and key not in loops)
    return Reach(keys, loops)


def after(draft: State, place: Place, task: TaskRecord, number: int) -> Asking[list[str]]:
    """Keys of what may follow directly; of a loop, its iterations after `number`."""
    node, nodes, iteration = place.node, place.graph.nodes, task.iteration
    ahead = [node.next, *node.cases.values(), node.default, *node.branches, node.join]
    keys = [task_key(nodes[index].ref, iteration) for index in ahead if index != NONE]
    if node.task.type == DYNAMIC_FORK:
        keys += [task_key(ref, iteration) for ref in forked_of(task)]
    if node.task.type == LOOP and node.body != NONE:
        body = nodes[node.body].ref
        keys += [
            task_key(body, (*iteration, each)) for each in kept_iterations(task) if each > number
        ]
    return keys + (yield from joins_of(draft, place))
