"""Random workflows with the script that drives them and the end they must come to.

Task types are their own script: a worker of type `fail2` fails while retryCount < 2, `fatal` fails
for good, `hang` is silent in its first attempt until the response timeout, `again` asks to be
called back before it completes, `polled` is served by polls as well, of `narrow` two may run at
once, of `rated` three may begin in two seconds. Each block yields a fragment of a definition and
what it will put out, computed here without the engine. At most one block per workflow ends it
early, and it stands last, so that the expectation is certain under faults too (retries are plenty,
for faults charge attempts as well).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zlib import crc32

from podium.model.definition import TaskDef

if TYPE_CHECKING:
    from random import Random

Json = dict[str, Any]

KINDS = (
    *("ok", "ok", "ok", "slow", "fail1", "fail2", "hang", "again"),
    *("polled", "polled", "polled", "narrow", "rated"),
)
TYPES = (*dict.fromkeys(KINDS), "fatal")
POLLED = "polled"
RETRIES = 60
RESPONSE_S = 20
WAITING_OF = 3
"""One in so many plans waits for a signal."""
LIMITED_OF = 3
"""One in so many plans has children of which only two may run at a time."""
PATIENT_S = 3_600
"""Longer than any run: these types come back by lost leases alone."""


@dataclass(slots=True)
class Plan:
    """What to register, what to start, and what must come of it."""

    definitions: list[Json] = field(default_factory=list)
    name: str = ""
    input: Json = field(default_factory=dict)
    status: str = "COMPLETED"
    output: Json | None = None
    """None = not compared."""
    sure: tuple[str, ...] = ()
    """References of the main workflow's own tasks that surely run, and put out their name as v."""
    waits: str = ""
    """Reference of the task that a signal must end."""


@dataclass(slots=True)
class Block:
    """A fragment: its tasks, and the references that will surely have run (with their value)."""

    tasks: list[Json]
    sure: dict[str, str] = field(default_factory=dict)

    @property
    def last(self) -> str:
        return self.tasks[-1]["taskReferenceName"]


def task_defs() -> list[TaskDef]:
    """Definitions of every scripted type; `fatal` and the like too."""
    return [
        TaskDef(
            name=name,
            retry_count=RETRIES,
            retry_delay_seconds=1 if name == "fail2" else 0,
            retry_logic="LINEAR_BACKOFF" if name == "fail2" else "FIXED",
            response_timeout_seconds=RESPONSE_S if name in ("hang", "fail2", POLLED) else PATIENT_S,
            timeout_policy="RETRY",
            concurrent_exec_limit=2 if name == "narrow" else None,
            rate_limit_per_frequency=3 if name == "rated" else None,
            rate_limit_frequency_in_seconds=2 if name == "rated" else None,
        )
        for name in TYPES
    ]


class Generator:
    """Draws one plan."""

    def __init__(self, random: Random, name: str) -> None:
        self._random = random
        self._plan = Plan(name=name)
        self._serial = 0

    def plan(self) -> Plan:
        self._definition(self._plan.name, depth=2, main=True)
        return self._plan

    def _ref(self, kind: str) -> str:
        self._serial += 1
        return f"{kind}_{self._serial}"

    def _definition(self, name: str, *, depth: int, main: bool) -> Block:
        block = self._sequence(depth, most=4)
        if main and crc32(f"wait {name}".encode()) % WAITING_OF == 0:
            self._wait(block)
        limited = self._limited() if main and crc32(name.encode()) % LIMITED_OF == 0 else []
        ending = self._ending() if main else None
        tasks = block.tasks + limited + (ending or [])
        outputs = {ref: f"${{{ref}.output.v}}" for ref in block.sure}
        if main:
            self._plan.sure = tuple(block.sure)
        if main and self._plan.output is None:
            self._plan.output = dict(block.sure)
        self._plan.definitions.append(
            {"name": name, "version": 1, "tasks": tasks, "outputParameters": outputs or {"n": 1}}
        )
        if main and not outputs and self._plan.output == {}:
            self._plan.output = {"n": 1}
        return block

    def _sequence(self, depth: int, *, most: int = 3) -> Block:
        blocks = [self._block(depth) for _ in range(self._random.randint(1, most))]
        whole = Block([])
        for block in blocks:
            whole.tasks += block.tasks
            whole.sure.update(block.sure)
        return whole

    def _block(self, depth: int) -> Block:
        leaves = [self._simple, self._simple, self._optional, self._dynamic, self._event]
        nests = [self._switch, self._decision, self._fork, self._dynamic_fork, self._child]
        makers = leaves + (nests if depth > 0 else [])
        return self._random.choice(makers)(depth - 1)

    def _simple(self, depth: int) -> Block:
        del depth
        kind = self._random.choice(KINDS)
        ref = self._ref(kind)
        task: Json = {"name": kind, "taskReferenceName": ref, "type": "SIMPLE"}
        task["inputParameters"] = {"seed": "${workflow.input.seed}"}
        return Block([task], {ref: ref})

    def _optional(self, depth: int) -> Block:
        del depth
        ref = self._ref("optional")
        return Block(
            [{"name": "fatal", "taskReferenceName": ref, "type": "SIMPLE", "optional": True}]
        )

    def _dynamic(self, depth: int) -> Block:
        del depth
        kind = self._random.choice(KINDS)
        ref = self._ref("dynamic")
        task = {
            "name": "dynamic",
            "taskReferenceName": ref,
            "type": "DYNAMIC",
            "dynamicTaskNameParam": "which",
            "inputParameters": {"which": kind},
        }
        return Block([task], {ref: ref})

    def _event(self, depth: int) -> Block:
        del depth
        ref = self._ref("event")
        return Block(
            [{"name": "event", "taskReferenceName": ref, "type": "EVENT", "sink": "conductor"}]
        )

    def _cases(self, depth: int) -> tuple[str, dict[str, list[Json]], list[Json], Block]:
        """(value, cases, default, the block that will run)."""
        chosen, other = self._sequence(depth), self._sequence(depth)
        value = self._random.choice(["a", "b", "none"])
        if value == "none":
            return value, {"a": other.tasks}, chosen.tasks, chosen
        return value, {value: chosen.tasks}, other.tasks, chosen

    def _switch(self, depth: int) -> Block:
        value, cases, default, chosen = self._cases(depth)
        task = {
            "name": "switch",
            "taskReferenceName": self._ref("switch"),
            "type": "SWITCH",
            "evaluatorType": "value-param",
            "expression": "case",
            "inputParameters": {"case": value},
            "decisionCases": cases,
            "defaultCase": default,
        }
        return Block([task], chosen.sure)

    def _decision(self, depth: int) -> Block:
        value, cases, default, chosen = self._cases(depth)
        task = {
            "name": "decision",
            "taskReferenceName": self._ref("decision"),
            "type": "DECISION",
            "caseValueParam": "case",
            "inputParameters": {"case": value},
            "decisionCases": cases,
            "defaultCase": default,
        }
        return Block([task], chosen.sure)

    def _fork(self, depth: int) -> Block:
        branches = [self._sequence(depth, most=2) for _ in range(self._random.randint(2, 3))]
        fork = {
            "name": "fork",
            "taskReferenceName": self._ref("fork"),
            "type": "FORK_JOIN",
            "forkTasks": [branch.tasks for branch in branches],
        }
        join = {
            "name": "join",
            "taskReferenceName": self._ref("join"),
            "type": "JOIN",
            "joinOn": [branch.last for branch in branches],
        }
        after = self._simple(depth)
        sure = {ref: value for branch in branches for ref, value in branch.sure.items()}
        joined = {ref: sure[ref] for ref in join["joinOn"] if ref in sure}
        return Block([fork, join, *after.tasks], joined | after.sure)

    def _dynamic_fork(self, depth: int) -> Block:
        del depth
        kinds = [self._random.choice(KINDS) for _ in range(self._random.randint(0, 4))]
        fork: Json = {"name": "dynamic_fork", "taskReferenceName": self._ref("dynamic_fork")}
        fork["type"] = "FORK_JOIN_DYNAMIC"
        self._random.choice([self._form_one, self._form_two, self._form_three])(fork, kinds)
        join = {"name": "join", "taskReferenceName": self._ref("join"), "type": "JOIN"}
        return Block([fork, join])

    def _form_one(self, fork: Json, kinds: list[str]) -> None:
        kind = self._random.choice(KINDS)
        items = [{"item": each} for each in kinds]
        fork["inputParameters"] = {"forkTaskName": kind, "forkTaskInputs": items}

    def _form_two(self, fork: Json, kinds: list[str]) -> None:
        refs = [self._ref("branch") for _ in kinds]
        tasks = [
            {"name": kind, "taskReferenceName": ref, "type": "SIMPLE"}
            for kind, ref in zip(kinds, refs, strict=True)
        ]
        fork["dynamicForkTasksParam"] = "tasks"
        fork["dynamicForkTasksInputParamName"] = "inputs"
        fork["inputParameters"] = {"tasks": tasks, "inputs": {ref: {"ref": ref} for ref in refs}}

    def _form_three(self, fork: Json, kinds: list[str]) -> None:
        tasks = [
            {"taskName": kind, "referenceName": self._ref("branch"), "type": "SIMPLE", "input": {}}
            for kind in kinds
        ]
        fork["dynamicForkJoinTasksParam"] = "forked"
        fork["inputParameters"] = {"forked": {"dynamicTasks": tasks}}

    def _child(self, depth: int) -> Block:
        ref = self._ref("child")
        name = f"{self._plan.name}.{ref}"
        child = self._definition(name, depth=depth, main=False)
        task = {
            "name": "child",
            "taskReferenceName": ref,
            "type": "SUB_WORKFLOW",
            "subWorkflowParam": {"name": name, "version": 1},
            "inputParameters": {"seed": "${workflow.input.seed}"},
        }
        after = self._simple(depth)
        if child.sure:
            first = next(iter(child.sure))
            after.tasks[0]["inputParameters"]["from_child"] = f"${{{ref}.output.{first}}}"
        return Block([task, *after.tasks], after.sure)

    def _wait(self, block: Block) -> None:
        """Put a task that waits for a signal behind. Nothing is drawn for it."""
        self._plan.waits = ref = self._ref("wait")
        block.tasks.append(task_of("WAIT", ref))
        block.sure[ref] = ref

    def _limited(self) -> list[Json]:
        """A fork of the same child, of which fewer may run at a time. Nothing is drawn for it."""
        name = f"{self._plan.name}.limited"
        kinds = ("slow", "ok", "hang")
        self._plan.definitions.append(
            {
                "name": name,
                "tasks": [{"name": each, "taskReferenceName": each} for each in kinds],
                "rateLimitConfig": {"concurrentExecLimit": 2, "rateLimitKey": "${workflow.name}"},
            }
        )
        refs = [self._ref("limited") for _ in range(5)]
        params = {"name": name, "version": 1}
        branches = [[{**task_of("SUB_WORKFLOW", ref), "subWorkflowParam": params}] for ref in refs]
        return [
            {**task_of("FORK_JOIN", self._ref("fork")), "forkTasks": branches},
            {**task_of("JOIN", self._ref("join")), "joinOn": refs},
        ]

    def _ending(self) -> list[Json] | None:
        """Something that ends the main workflow, after everything else has run."""
        kind = self._random.choice(["none", "none", "none", "fatal", "terminate", "permissive"])
        ref = self._ref("end")
        if kind == "fatal":
            self._plan.status = "FAILED"
            return [{"name": "fatal", "taskReferenceName": ref, "type": "SIMPLE"}]
        if kind == "permissive":
            self._plan.status = "FAILED"
            last = self._simple(0)
            return [
                {"name": "fatal", "taskReferenceName": ref, "type": "SIMPLE", "permissive": True},
                *last.tasks,
            ]
        if kind == "terminate":
            self._plan.status = self._random.choice(["COMPLETED", "FAILED", "TERMINATED"])
            self._plan.output = {"left": "early"}
            never = self._simple(0)
            return [
                {
                    "name": "terminate",
                    "taskReferenceName": ref,
                    "type": "TERMINATE",
                    "inputParameters": {
                        "terminationStatus": self._plan.status,
                        "workflowOutput": {"left": "early"},
                    },
                },
                *never.tasks,
            ]
        return None


def task_of(kind: str, ref: str) -> Json:
    return {"name": ref, "taskReferenceName": ref, "type": kind}
