"""What an execution must come to: a recursive interpreter of Conductor definitions.

Written from the facts about Conductor (the numbers S-…) and knowing nothing of the engine: a
definition is Conductor's JSON, tasks are rows in a list, and whatever waits (JOIN, DO_WHILE) looks
through that list after each step. Workers are an oracle: it says which open task is worked on
next, how each attempt ends and what it gives. References are what clients see: `a__2__1`.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Json = dict[str, Any]
Path = tuple[tuple[str, int], ...]
"""The loops around a task, outermost first, each with its iteration."""
OPEN = {"SCHEDULED", "IN_PROGRESS"}
BAD = {"FAILED", "FAILED_WITH_TERMINAL_ERROR", "CANCELED"}
ENDED_AS = {"CANCELED": "TERMINATED"}
"""Status of what ends because of a task (S-242); FAILED for all others."""


class Oracle(Protocol):
    """The workers. `place` is where a task is: `root/s__1#0/a`, attempts are counted from 0."""

    def rank(self, place: str, attempt: int) -> float: ...
    def outcome(self, place: str, attempt: int) -> str: ...
    def output(self, place: str, attempt: int) -> Json: ...


@dataclass
class Row:
    """One attempt of a task."""

    task: Json
    path: Path
    then: Callable[[], None]
    status: str
    attempt: int = 0
    output: Json = field(default_factory=dict)
    items: list[Any] = field(default_factory=list)
    child: Run | None = None

    @property
    def ref(self) -> str:
        return shown(self.task["taskReferenceName"], self.path)

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def spoils(self) -> bool:
        """Failed where that is permitted: what is around it fails later (S-230, S-380, S-402)."""
        forgiven = self.task.get("optional") or not self.task.get("permissive")
        return self.status in BAD and not forgiven


class World:
    """All executions, and what they have still to tell each other."""

    def __init__(
        self, definitions: Iterable[Json], task_defs: Mapping[str, Json], oracle: Oracle
    ) -> None:
        self.definitions = {each["name"]: each for each in definitions}
        self.task_defs = task_defs
        self.oracle = oracle
        self.runs: dict[str, Run] = {}
        self.later: deque[Callable[[], None]] = deque()

    def start(self, name: str, place: str, parent: Callable[[str, Json], None]) -> Run:
        run = Run(self, self.definitions[name], place, parent)
        self.runs[place] = run
        run.step(lambda: run.do(run.definition["tasks"], ()))
        return run

    def finish(self, name: str) -> None:
        """Start this workflow and work on its tasks, one after the other, until none is open."""
        self.start(name, "root", lambda _status, _output: None)
        while True:
            while self.later:
                self.later.popleft()()
            todo = [
                (self.oracle.rank(f"{run.place}/{row.ref}", row.attempt), run, row)
                for run in self.runs.values()
                for row in run.rows
                if row.task["type"] == "SIMPLE" and row.is_open
            ]
            if not todo:
                return
            _, run, row = min(todo, key=lambda each: each[0])
            run.work(row)


class Run:
    """One execution."""

    def __init__(
        self, world: World, definition: Json, place: str, tell: Callable[[str, Json], None]
    ) -> None:
        self.world = world
        self.definition = definition
        self.place = place
        self.tell = tell
        self.status = "RUNNING"
        self.output: Json = {}
        self.rows: list[Row] = []
        self.kinds: dict[str, Callable[[Json, Path, list[Json]], None]] = {
            "SIMPLE": self.simple,
            "SUB_WORKFLOW": self.sub_workflow,
            "SWITCH": self.switch,
            "FORK_JOIN": self.fork,
            "DO_WHILE": self.loop,
        }

    # Going forward

    def step(self, action: Callable[[], None]) -> None:
        """Something happens, and all that follows from it at once (S-209)."""
        action()
        while self.status == "RUNNING" and any(
            self.joined(row) if row.task["type"] == "JOIN" else self.looped(row)
            for row in [row for row in self.rows if row.status == "IN_PROGRESS"]
            if row.task["type"] in {"JOIN", "DO_WHILE"}
        ):
            pass
        if self.status == "RUNNING" and not any(row.is_open for row in self.rows):  # S-227
            spoiled = any(row.spoils for row in self.last_attempts())  # S-230
            self.end("FAILED" if spoiled else "COMPLETED")

    def do(self, tasks: list[Json], path: Path) -> None:
        """These tasks, one after the other, as far as they can be done now."""
        if tasks and self.status == "RUNNING":
            self.kinds[tasks[0]["type"]](tasks[0], path, tasks[1:])

    def add(self, task: Json, path: Path, rest: list[Json], status: str) -> Row:
        row = Row(task, path, lambda: self.do(rest, path), status)
        self.rows.append(row)
        return row

    def simple(self, task: Json, path: Path, rest: list[Json]) -> None:
        self.add(task, path, rest, "SCHEDULED")

    def sub_workflow(self, task: Json, path: Path, rest: list[Json]) -> None:
        row = self.add(task, path, rest, "IN_PROGRESS")
        self.world.later.append(lambda: self.start_child(row))

    def switch(self, task: Json, path: Path, rest: list[Json]) -> None:
        self.add(task, path, rest, "COMPLETED")
        value = self.value(task["inputParameters"][task["expression"]])
        case = "null" if value is None else str(value)  # S-330
        chosen = task["decisionCases"].get(case, task.get("defaultCase", []))  # S-331
        self.do([*chosen, *rest], path)  # S-337

    def fork(self, task: Json, path: Path, rest: list[Json]) -> None:
        self.add(task, path, rest, "COMPLETED")
        for branch in task["forkTasks"]:
            self.do(branch, path)
        self.add(rest[0], path, rest[1:], "IN_PROGRESS")  # its JOIN: S-352, S-355

    def loop(self, task: Json, path: Path, rest: list[Json]) -> None:
        row = self.add(task, path, rest, "IN_PROGRESS")
        given = task.get("items") or task.get("inputParameters", {}).get("_items", [None])
        items = self.value(given)
        row.items = [] if items is None else items if isinstance(items, list) else [items]
        row.output = {"iteration": 0}
        self.looped(row)

    # What waits

    def joined(self, row: Row) -> bool:
        """Whether this JOIN ends now: S-380, S-382."""
        members = self.members(row)
        if not all(members) or any(member and member.is_open for member in members):
            return False
        if any(member and member.spoils for member in members):
            self.close(row, join_failure(members))
            return True
        errors = [
            each and each.task.get("optional") and each.status == "COMPLETED_WITH_ERRORS"
            for each in members
        ]
        self.close(row, "COMPLETED_WITH_ERRORS" if any(errors) else "COMPLETED")
        return True

    def members(self, join: Row) -> list[Row | None]:
        last = {row.ref: row for row in self.rows}  # S-385
        return [last.get(shown(ref, join.path)) for ref in join.task["joinOn"]]

    def looped(self, row: Row) -> bool:
        """Whether this DO_WHILE ends or goes on now: S-397, S-402, S-404, S-406."""
        number = row.output["iteration"]
        inside = [each for each in self.last_attempts() if within(each, row, {number})]
        if any(each.is_open for each in inside):
            return False
        own = len(row.path) + 1  # what a loop in it forgave is forgiven
        if any(each.spoils for each in inside if len(each.path) == own):
            self.close(row, "FAILED")
            return True
        self.forget(row, number)
        if number == len(row.items):
            self.close(row, "COMPLETED")
        else:
            row.output = {"iteration": number + 1}
            if row.task.get("items") or "_items" in row.task.get("inputParameters", {}):
                row.output |= {"loopIndex": number, "loopItem": row.items[number]}
            self.do(row.task["loopOver"], (*row.path, (row.task["taskReferenceName"], number + 1)))
        return True

    def forget(self, loop: Row, number: int) -> None:
        """Only the last iterations are kept (S-408)."""
        keep = loop.task.get("inputParameters", {}).get("keepLastN", number)
        old = set(range(1, number - keep + 1))
        self.rows = [row for row in self.rows if not within(row, loop, old)]

    def last_attempts(self) -> list[Row]:
        return list({row.ref: row for row in self.rows}.values())

    # Ends

    def work(self, row: Row) -> None:
        place = f"{self.place}/{row.ref}"
        row.output = self.world.oracle.output(place, row.attempt)
        status = self.world.oracle.outcome(place, row.attempt)
        self.step(lambda: self.close(row, status))

    def close(self, row: Row, status: str) -> None:
        """This attempt is over: again, onwards, or the end of it all (S-217, S-266, S-267)."""
        row.status = status
        if status == "FAILED" and row.attempt < self.retries(row.task):
            again = Row(row.task, row.path, row.then, "SCHEDULED", row.attempt + 1)
            self.rows.append(again)
            if row.task["type"] == "SUB_WORKFLOW":
                self.world.later.append(lambda: self.start_child(again))
            return
        if status in BAD:
            if row.task.get("optional"):
                row.status = "COMPLETED_WITH_ERRORS"
            elif not row.task.get("permissive"):
                self.fail_joins(row)
                self.end(ENDED_AS.get(status, "FAILED"))
                return
        row.then()

    def retries(self, task: Json) -> int:
        if task["type"] not in {"SIMPLE", "SUB_WORKFLOW"}:
            return 0
        own = task.get("retryCount")  # S-254
        return self.world.task_defs[task["name"]]["retryCount"] if own is None else own

    def fail_joins(self, row: Row) -> None:
        """The end of a child has the joins that wait for it look at once (S-386)."""
        for join in self.rows if row.child else []:
            if join.task["type"] == "JOIN" and join.is_open:
                members = self.members(join)
                if row in members:
                    join.status = join_failure(members)

    def end(self, status: str) -> None:
        self.status = status
        parameters = self.definition.get("outputParameters", {})
        self.output = {name: self.value(text) for name, text in parameters.items()}
        for row in self.rows:
            if row.is_open:
                row.status = "CANCELED"
                if row.child is not None:
                    self.world.later.append(row.child.terminate)
        self.world.later.append(lambda: self.tell(status, self.output))

    def terminate(self) -> None:
        if self.status == "RUNNING":
            self.end("TERMINATED")

    # Children

    def start_child(self, row: Row) -> None:
        if row.is_open:
            row.status = "IN_PROGRESS"
            name = row.task["subWorkflowParam"]["name"]
            place = f"{self.place}/{row.ref}#{row.attempt}"
            row.child = self.world.start(name, place, lambda *end: self.child_ended(row, *end))

    def child_ended(self, row: Row, status: str, output: Json) -> None:
        if row.is_open:
            row.output = output  # S-428
            mapped = "CANCELED" if status == "TERMINATED" else status
            self.step(lambda: self.close(row, mapped))

    # Expressions

    def value(self, given: Any) -> Any:
        """`${ref.output.key}` is of the newest task of that name (S-409), null if there is none."""
        found = re.fullmatch(r"\$\{(\w+)\.output\.(\w+)\}", given) if isinstance(given, str) else None
        if found is None:
            return given
        rows = [row for row in self.rows if row.task["taskReferenceName"] == found[1]]
        return rows[-1].output.get(found[2]) if rows else None


def shown(ref: str, path: Path) -> str:
    return "__".join([ref, *(str(number) for _, number in path)])


def within(row: Row, loop: Row, numbers: set[int]) -> bool:
    """Whether it belongs to one of these iterations of the loop."""
    ref, depth = loop.task["taskReferenceName"], len(loop.path)
    return any(row.path[: depth + 1] == (*loop.path, (ref, number)) for number in numbers)


def join_failure(members: list[Row | None]) -> str:
    """How a JOIN ends because of such members (S-381)."""
    bad = {each.status for each in members if each and each.status in BAD}
    return "CANCELED" if bad == {"CANCELED"} else "FAILED"
