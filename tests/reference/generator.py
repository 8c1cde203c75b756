"""Random definitions and workers from a seed: forks, loops, choices and children in each other.

Definitions are Conductor's JSON. A case has a root and up to three children, which may start those
after them. What a seed draws first sets the odds, so that some seeds fail early and others never.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Protocol

Json = dict[str, Any]

DEPTH_MAX = 4
TASKS_MAX = 16
CHILD_TASKS_MAX = 5
LETTERS = ["x", "y", "z"]
KINDS = ["SIMPLE", "SUB_WORKFLOW", "SWITCH", "FORK_JOIN", "DO_WHILE"]
TASK_DEFS: dict[str, Json] = {
    f"retried{count}": {"name": f"retried{count}", "retryCount": count, "retryDelaySeconds": 0}
    for count in range(3)
}


class Oracle(Protocol):
    """The workers: which task is next, how each attempt ends and what it gives.

    `place` is where a task is, `root/s__1#0/a`; attempts count from 0.
    """

    def rank(self, place: str, attempt: int) -> float: ...
    def outcome(self, place: str, attempt: int) -> str: ...
    def output(self, place: str, attempt: int) -> Json: ...


@dataclass(frozen=True)
class Workers:
    """Draws from the seed, the place and the attempt, never from the order of calls."""

    seed: int
    failing: float
    hopeless: float

    def draw(self, what: str, place: str, attempt: int) -> random.Random:
        return random.Random(f"{self.seed} {what} {place} {attempt}")

    def rank(self, place: str, attempt: int) -> float:
        return self.draw("rank", place, attempt).random()

    def outcome(self, place: str, attempt: int) -> str:
        found = self.draw("outcome", place, attempt).random()
        if found < self.hopeless:
            return "FAILED_WITH_TERMINAL_ERROR"
        return "FAILED" if found < self.hopeless + self.failing else "COMPLETED"

    def output(self, place: str, attempt: int) -> Json:
        letter = self.draw("output", place, attempt).choice(LETTERS)
        return {"at": f"{place}#{attempt}", "letter": letter}


@dataclass(frozen=True)
class Case:
    """Definitions, the first of which is started, and who works on their tasks."""

    seed: int
    definitions: list[Json]
    workers: Oracle


def make_case(seed: int) -> Case:
    rng = random.Random(seed)
    failing = rng.choice([0.0, 0.05, 0.15, 0.35])
    workers = Workers(seed, failing, rng.choice([0.0, 0.0, failing / 5]))
    flags = rng.choice([0.1, 0.3, 0.6])
    children = [f"child{number}" for number in range(rng.randint(1, 3))]
    definitions = [Maker(rng, flags, "r", children).definition("root", TASKS_MAX, DEPTH_MAX)]
    for number, name in enumerate(children):
        maker = Maker(rng, flags, f"c{number}_", children[number + 1 :])
        definitions.append(maker.definition(name, CHILD_TASKS_MAX, DEPTH_MAX - 2))
    return Case(seed, definitions, workers)


class Maker:
    """Makes one definition."""

    def __init__(self, rng: random.Random, flags: float, prefix: str, children: list[str]) -> None:
        self.rng = rng
        self.flags = flags
        self.prefix = prefix
        self.children = children
        self.left = 0
        self.outputs: list[str] = []
        """Expressions that may be read."""
        self.loops: list[str] = []
        """Loops around the present place that go through a list."""
        self.count = 0

    def definition(self, name: str, tasks_max: int, depth: int) -> Json:
        self.left = tasks_max
        tasks = self.sequence(depth)
        while self.left > tasks_max // 2:
            tasks += self.sequence(depth)
        chosen = self.rng.sample(self.outputs, min(len(self.outputs), 4))
        output = {f"o{number}": text for number, text in enumerate(chosen)}
        return {"name": name, "version": 1, "tasks": tasks, "outputParameters": output}

    def sequence(self, depth: int) -> list[Json]:
        found: list[Json] = []
        for _ in range(self.rng.randint(1, 3)):
            found += self.element(depth)
        return found

    def element(self, depth: int) -> list[Json]:
        self.left -= 1
        weights = [
            4,
            2 if self.children else 0,
            *([2, 3, 2] if depth and self.left > 0 else [0] * 3),
        ]
        match self.rng.choices(KINDS, weights)[0]:
            case "SWITCH":
                return [self.switch(depth - 1)]
            case "FORK_JOIN":
                return self.fork(depth - 1)
            case "DO_WHILE":
                return [self.loop(depth - 1)]
            case kind:
                return [self.leaf(kind)]

    def base(self, kind: str, letter: str) -> Json:
        self.count += 1
        task: Json = {"type": kind, "taskReferenceName": f"{self.prefix}{letter}{self.count}"}
        task["name"] = task["taskReferenceName"]
        for flag in ("optional", "permissive"):
            if self.rng.random() < self.flags / 2:
                task[flag] = True
        return task

    def leaf(self, kind: str) -> Json:
        task = self.base(kind, "s" if kind == "SUB_WORKFLOW" else "a")
        task["name"] = self.rng.choice(list(TASK_DEFS))
        if self.rng.random() < 0.1:
            task["retryCount"] = self.rng.randint(0, 2)
        if kind == "SUB_WORKFLOW":
            task["subWorkflowParam"] = {"name": self.rng.choice(self.children), "version": 1}
            self.readable(task, "o0")
        else:
            self.readable(task, "at")
        return task

    def readable(self, task: Json, key: str) -> None:
        self.outputs.append(f"${{{task['taskReferenceName']}.output.{key}}}")

    def switch(self, depth: int) -> Json:
        task = self.base("SWITCH", "w")
        workers = [text.replace(".at}", ".letter}") for text in self.outputs if ".at}" in text]
        items = [f"${{{ref}.output.loopItem}}" for ref in self.loops]
        value = self.rng.choice([self.rng.choice(LETTERS), *workers[-2:], *items * 2])
        task |= {"evaluatorType": "value-param", "expression": "v", "inputParameters": {"v": value}}
        cases = self.rng.sample(LETTERS, self.rng.randint(1, 2))
        task["decisionCases"] = {case: self.sequence(depth) for case in cases}
        if self.rng.random() < 0.5:
            task["defaultCase"] = self.sequence(depth)
        if self.rng.random() < 0.15:
            task["decisionCases"][cases[0]] = []
        return task

    def fork(self, depth: int) -> list[Json]:
        task = self.base("FORK_JOIN", "f")
        task["forkTasks"] = [self.sequence(depth) for _ in range(self.rng.randint(1, 3))]
        join = self.base("JOIN", "j")
        join["joinOn"] = [self.last(branch) for branch in task["forkTasks"]]
        if self.rng.random() < 0.15:  # does not wait for one of them
            join["joinOn"].pop()
        return [task, join]

    def last(self, branch: list[Json]) -> str:
        """Mostly the last of the branch; after a choice maybe the last of one case (S-338)."""
        task = branch[-1]
        inner = [case for case in task.get("decisionCases", {}).values() if case]
        if inner and self.rng.random() < 0.3:
            return self.last(inner[0])
        return (task if self.rng.random() < 0.9 else branch[0])["taskReferenceName"]

    def loop(self, depth: int) -> Json:
        task = self.base("DO_WHILE", "l")
        items = [self.rng.choice(LETTERS) for _ in range(self.rng.choice([0, 1, 2, 2, 3, 3]))]
        given: Json = {} if self.rng.random() < 0.1 else {"_items": items}
        if self.rng.random() < 0.4:
            given["keepLastN"] = self.rng.randint(1, 2)
        task["inputParameters"] = given
        ref = task["taskReferenceName"]
        self.readable(task, "iteration")
        self.loops += [ref] if "_items" in given else []
        task["loopOver"] = self.sequence(depth)
        self.loops = [each for each in self.loops if each != ref]
        return task
