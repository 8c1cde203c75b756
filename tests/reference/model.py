"""What an execution must come to: a recursive interpreter of Conductor's definitions.

Written from the facts about Conductor (the numbers S-…), not from the engine. Tasks are rows in a
list, in which JOIN and DO_WHILE look around after each step. References are as clients see them.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from tests.reference.generator import Json, Oracle

Path = tuple[tuple[str, int], ...]  # the loops around a task, outermost first, by iteration
FIRST = {"SIMPLE": "SCHEDULED", "SWITCH": "COMPLETED", "FORK_JOIN": "COMPLETED"}  # S-308
BAD = {"FAILED", "FAILED_WITH_TERMINAL_ERROR", "CANCELED"}


@dataclass(eq=False)
class Row:
    """One attempt of a task, and what follows when it is over."""

    task: Json
    path: Path
    then: Callable[[], None]
    attempt: int = 0
    output: Json = field(default_factory=dict)
    child: Run | None = None

    def __post_init__(self) -> None:
        self.kind, self.name = self.task["type"], self.task["taskReferenceName"]
        self.status = FIRST.get(self.kind, "IN_PROGRESS")
        self.ref = shown(self.name, self.path)
        self.parameters = self.task.get("inputParameters", {})

    @property
    def is_open(self) -> bool:
        return self.status in {"SCHEDULED", "IN_PROGRESS"}

    @property
    def spoils(self) -> bool:
        """It failed where that is permitted: what is around it fails later."""
        permitted = self.task.get("permissive", False) and not self.task.get("optional")  # S-218
        return permitted and self.status in BAD


@dataclass
class World:
    """All executions, and what they tell each other. `deviations` are facts not to be followed."""

    definitions: Collection[Json]
    task_defs: Mapping[str, Json]
    oracle: Oracle
    deviations: Collection[str] = ()
    runs: dict[str, Run] = field(default_factory=dict)
    later: deque[Callable[[], None]] = field(default_factory=deque)

    def start(self, name: str, place: str, tell: Callable[[str, Json], None]) -> Run:
        definition = next(each for each in self.definitions if each["name"] == name)
        run = self.runs[place] = Run(self, definition, place, tell)
        run.step(lambda: run.do(run.definition["tasks"], ()))
        return run

    def finish(self, name: str) -> None:
        """Start this workflow and work on one task after the other, until none is open."""
        self.start(name, "root", lambda _status, _output: None)
        while True:
            while self.later:
                self.later.popleft()()
            todo = [
                (self.oracle.rank(f"{run.place}/{row.ref}", row.attempt), run, row)
                for run in self.runs.values()
                for row in run.waiting("SIMPLE")
            ]
            if not todo:
                return
            _, run, row = min(todo, key=lambda each: each[0])
            run.work(row)


@dataclass(eq=False)
class Run:
    """One execution."""

    world: World
    definition: Json
    place: str
    tell: Callable[[str, Json], None]
    status: str = "RUNNING"
    output: Json = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    spoiled: bool = False
    soon: deque[Callable[[], object]] = field(default_factory=deque)

    def step(self, action: Callable[[], None]) -> None:
        """Something happens, and all that follows from it at once (S-209)."""
        self.soon.append(action)
        while (
            self.soon
            or any(self.joined(row) for row in self.waiting("JOIN"))
            or any(self.looped(row) for row in self.waiting("DO_WHILE"))
        ):
            while self.soon:
                self.soon.popleft()()
        if not any(row.is_open for row in self.rows):  # S-227, S-230
            spoiled = self.spoiled or any(row.spoils for row in self.newest())
            self.end("FAILED" if spoiled else "COMPLETED")

    def do(self, tasks: list[Json], path: Path) -> None:
        """These tasks, one after the other, as far as they can be done now."""
        if tasks and self.status == "RUNNING":
            rest = tasks[1:]
            row = Row(tasks[0], path, lambda: self.do(rest, path))
            self.rows.append(row)
            self.begin(row, rest)

    def begin(self, row: Row, rest: list[Json]) -> None:
        if row.kind == "SUB_WORKFLOW":
            self.world.later.append(lambda: self.start_child(row))
        elif row.kind == "SWITCH":
            case = self.chosen(row)  # S-333, S-337
            self.go_on(lambda: self.do([*case, *rest], row.path), now=bool(case))
        elif row.kind == "FORK_JOIN":
            for branch in row.task["forkTasks"]:
                self.do(branch, row.path)
            self.do(rest, row.path)  # its JOIN: S-352, S-353
        elif row.kind == "DO_WHILE":
            row.output = {"iteration": 0}
            now = "S-201" in self.world.deviations and row.parameters.get("_items") != []
            self.go_on(lambda: self.looped(row), now=now)

    def go_on(self, action: Callable[[], object], *, now: bool) -> None:
        """Now, or after all that is scheduled together (S-201, S-208)."""
        if now:
            action()
        else:
            self.soon.append(action)

    def chosen(self, switch: Row) -> list[Json]:
        value = self.value(switch.parameters[switch.task["expression"]])
        case = "null" if value is None else str(value)  # S-330
        switch.output = {"evaluationResult": [case], "selectedCase": case}  # S-332
        return switch.task["decisionCases"].get(case, switch.task.get("defaultCase", []))  # S-331

    def joined(self, join: Row) -> bool:
        """Whether this JOIN ends now (S-380 to S-383)."""
        members = self.members(join)
        waits = len(members) < len(join.task["joinOn"]) or any(each.is_open for each in members)
        if waits or not join.is_open:
            return False
        forgiven = [each for each in members if each.status == "COMPLETED_WITH_ERRORS"]
        if "S-382" not in self.world.deviations:
            forgiven = [each for each in forgiven if each.task.get("optional")]
        fine = "COMPLETED_WITH_ERRORS" if forgiven else "COMPLETED"
        self.close(join, failure_of(members) if any(each.spoils for each in members) else fine)
        return True

    def members(self, join: Row) -> list[Row]:
        """Those that were scheduled, their last attempts (S-385)."""
        newest = {row.ref: row for row in self.rows}
        refs = (shown(name, join.path) for name in join.task["joinOn"])
        return [newest[ref] for ref in refs if ref in newest]

    def looped(self, loop: Row) -> bool:
        """Whether this DO_WHILE ends or goes on now (S-394 to S-408)."""
        number = loop.output["iteration"]
        inside = [row for row in self.newest() if within(row, loop, {number})]
        if not loop.is_open or any(row.is_open for row in inside):
            return False
        own = [row for row in inside if len(row.path) == len(loop.path) + 1]
        if any(row.spoils for row in own):  # S-402; a loop in it has forgiven for both
            self.close(loop, "FAILED")
            return True
        items = loop.parameters.get("_items", [None])
        last = number == len(items)
        self.forget(loop, number if last or "S-408" in self.world.deviations else number + 1)
        if last:
            self.close(loop, "COMPLETED")
            return True
        loop.output = {"iteration": number + 1}
        if "_items" in loop.parameters:
            loop.output |= {"loopIndex": number, "loopItem": items[number]}  # S-405
        self.do(loop.task["loopOver"], (*loop.path, (loop.name, number + 1)))
        return True

    def forget(self, loop: Row, number: int) -> None:
        """Only the last iterations are kept (S-408). A failure in them is not forgotten."""
        kept = loop.parameters.get("keepLastN", number)
        old = set(range(1, number - kept + 1))
        self.spoiled |= any(row.spoils for row in self.newest() if within(row, loop, old))
        self.rows = [row for row in self.rows if not within(row, loop, old)]

    def newest(self) -> list[Row]:
        return list({row.ref: row for row in self.rows}.values())

    def work(self, row: Row) -> None:
        place = f"{self.place}/{row.ref}"
        row.output = self.world.oracle.output(place, row.attempt)
        self.step(lambda: self.close(row, self.world.oracle.outcome(place, row.attempt)))

    def close(self, row: Row, status: str) -> None:
        """This attempt is over: once more, onwards, or the end of it all (S-217)."""
        row.status = status
        if status == "FAILED" and row.attempt < self.retries(row):  # S-266, S-267
            again = Row(row.task, row.path, row.then, row.attempt + 1)
            self.rows.append(again)
            if row.child:
                self.world.later.append(lambda: self.start_child(again))
            return
        if status in BAD:
            if row.task.get("optional"):
                row.status = "COMPLETED_WITH_ERRORS"
            elif not row.task.get("permissive"):
                self.end_by(row)
                return
        self.soon.append(row.then)
        for join in self.joins_on(row):  # decided at once: if one fails, nothing follows
            self.joined(join)

    def retries(self, row: Row) -> int:
        if row.kind not in {"SIMPLE", "SUB_WORKFLOW"}:
            return 0  # S-034
        return row.task.get("retryCount", self.world.task_defs[row.task["name"]]["retryCount"])

    def waiting(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row.kind == kind and row.is_open]

    def joins_on(self, row: Row) -> list[Row]:
        return [join for join in self.waiting("JOIN") if row in self.members(join)]

    def end_by(self, row: Row) -> None:
        """A task ends it all; a child's task ends the joins that wait for it too (S-386)."""
        for join in self.joins_on(row) if row.child else []:
            join.status = failure_of(self.members(join))
        self.end("TERMINATED" if row.status == "CANCELED" else "FAILED")  # S-242

    def end(self, status: str) -> None:
        if self.status != "RUNNING":
            return
        self.status = status
        for name, text in self.definition.get("outputParameters", {}).items():  # S-239
            self.output[name] = self.value(text)
        for row in self.rows:
            if row.is_open:
                row.status = "CANCELED"  # S-012
                if row.child:
                    self.world.later.append(partial(row.child.end, "TERMINATED"))  # S-138
        self.world.later.append(lambda: self.tell(status, self.output))

    def start_child(self, row: Row) -> None:
        if row.is_open:
            place = f"{self.place}/{row.ref}#{row.attempt}"
            row.output = {"subWorkflowId": place}  # S-426
            name = row.task["subWorkflowParam"]["name"]
            row.child = self.world.start(name, place, lambda *end: self.child_ended(row, *end))

    def child_ended(self, row: Row, status: str, output: Json) -> None:
        if row.is_open:
            row.output |= output  # S-428
            self.step(lambda: self.close(row, "CANCELED" if status == "TERMINATED" else status))

    def value(self, given: Any) -> Any:
        """`${ref.output.key}` reads the newest task of that name (S-409); null without one."""
        if not (found := re.fullmatch(r"\$\{(\w+)\.output\.(\w+)\}", str(given))):
            return given
        outputs = [row.output for row in self.rows if row.name == found[1]]
        return [{}, *outputs][-1].get(found[2])

    def output_of(self, row: Row) -> Json:
        """A JOIN has its members' (S-378, S-379), a DO_WHILE its iterations' by name (S-396)."""
        if row.kind == "JOIN":
            found = {each.ref: self.output_of(each) for each in self.members(row)}
            return {ref: output for ref, output in found.items() if output}
        output = dict(row.output)
        for each in self.newest() if row.kind == "DO_WHILE" else []:
            if each.path[:-1] == row.path and each.path[-1:] and each.path[-1][0] == row.name:
                output.setdefault(str(each.path[-1][1]), {})[each.name] = self.output_of(each)
        return output


def shown(name: str, path: Path) -> str:
    return "__".join([name, *(str(number) for _, number in path)])


def within(row: Row, loop: Row, numbers: set[int]) -> bool:
    """Whether it belongs to one of these iterations of the loop."""
    around = row.path[: len(loop.path) + 1]
    return any(around == (*loop.path, (loop.name, number)) for number in numbers)


def failure_of(members: list[Row]) -> str:
    """How a JOIN fails because of such members (S-381)."""
    bad = {each.status for each in members if each.status in BAD}
    return "CANCELED" if bad == {"CANCELED"} else "FAILED"
