"""A small executor for tests: drives decide over records in memory, and checks each commit.

A `Machine` is one execution: it answers needs from what was committed (knowing nothing when a
decision begins, so that every need is exercised, unless `whole`), keeps deadlines, ready entries,
leases and effects as a store would, and compares them and all counters with a recount.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Self

from podium.engine.bind import bind
from podium.engine.changes import ready_of
from podium.engine.command import (
    Continue,
    Due,
    GrantLease,
    ReportResult,
    Start,
    Verdict,
)
from podium.engine.decide import decide
from podium.engine.draft import Draft
from podium.engine.gate import gate_id, is_shut, ready_gate, slot_of
from podium.engine.gathering import gather, iteration_of, members_of, parts_in
from podium.engine.graph import LOOP, compile_workflow
from podium.engine.identity import reference_in, task_key
from podium.engine.settle import is_final
from podium.engine.transition import (
    ActiveDomains,
    Admit,
    Admitted,
    Cached,
    CacheOutput,
    ContinueSelf,
    Evaluate,
    FetchAll,
    FetchCached,
    FetchDomains,
    FetchPayloads,
    FetchTaskDefs,
    FetchTasks,
    Records,
)
from podium.model.execution import Lease, TaskStatus
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from podium.engine.command import Command, Outcome
    from podium.engine.transition import Answer, Effect, Evaluated, Language, Need, Transition
    from podium.model.definition import TaskDef, WorkflowDef
    from podium.model.execution import BranchRecord, ExecutionHeader, JoinRecord, TaskRecord
    from podium.model.queue import DeadlineKind

STREAM = Lease(incarnation="inc1", session="s1", kind="stream")
T0 = 1_000_000
WAIT_AGAIN = {"JOIN", "EXCLUSIVE_JOIN", "DO_WHILE", "SUB_WORKFLOW"}
"""Types whose ended attempt may wait again when the execution goes on."""


class Machine:
    """One execution in memory."""

    def __init__(
        self,
        definition: WorkflowDef,
        *,
        workflow_id: str = "wf",
        task_defs: Mapping[str, TaskDef | None] | None = None,
        whole: bool = False,
    ) -> None:
        self.task_defs = dict(task_defs or {})
        self.definition = bind(definition, self.task_defs)
        self.graph = compile_workflow(self.definition)
        self.id = workflow_id
        self.whole = whole
        self.header: ExecutionHeader | None = None
        self.tasks: dict[str, TaskRecord] = {}
        self.attempts: dict[tuple[str, int], TaskRecord] = {}
        self.joins: dict[str, JoinRecord] = {}
        self.messages: dict[int, bytes] = {}
        self.branches: dict[str, BranchRecord] = {}
        self.input = self.output = self.variables = EMPTY
        self.deadlines: dict[tuple[str, DeadlineKind], int] = {}
        self.ready: dict[str, object] = {}
        self.held: set[tuple[str, str]] = set()
        self.slots: set[str] = set()
        self.effects: deque[Any] = deque()
        self.done_effects: list[Effect] = []
        self.transitions: list[Transition] = []
        self.needs: list[Need] = []
        self.now_ms = T0
        self.some_removed = False
        self.active_domains: set[str] = set()
        self.admits = True
        """Whether a start gets the slot it asks for."""
        self.evaluated: dict[tuple[Language, str], Evaluated] = {}
        """What the sandbox answers, by (language, program)."""
        self.cached: dict[str, CacheOutput] = {}
        """Outputs that `run_effects` kept; machines may share it."""

    # Driving

    def send(self, *commands: Command) -> Outcome:
        """Decide these commands on one draft and commit them. The last one's outcome."""
        draft = self.draft()
        outcome = None
        for command in commands:
            outcome = self.decide(draft, command)
        self.commit(draft)
        assert outcome is not None
        return outcome

    def draft(self) -> Draft:
        born = self.header is not None
        known = self.everything() if self.whole else Records(complete=not born)
        return Draft(header=self.header, graph=self.graph, workflow_id=self.id, records=known)

    def decide(self, draft: Draft, command: Command) -> Outcome:
        generator: Generator[Need, Answer, Outcome] = decide(draft, command, self.now_ms)
        try:
            need = next(generator)
            while True:
                self.needs.append(need)
                need = generator.send(self.answer(need))
        except StopIteration as done:
            return done.value

    def answer(self, need: Need) -> Answer:
        if isinstance(need, Evaluate):
            return self.evaluated[need.language, need.program]
        if isinstance(need, Admit):
            return Admitted(self.admits)
        if isinstance(need, FetchDomains):
            return ActiveDomains(frozenset(self.active_domains))
        if isinstance(need, FetchCached):
            kept = self.cached.get(need.name)
            fresh = kept and kept.at_ms > need.after_ms and kept.until_ms > self.now_ms
            return Cached(kept.output if kept and fresh else None)
        if isinstance(need, FetchTaskDefs):
            return {name: self.task_defs.get(name) for name in need.names}
        if isinstance(need, FetchAll):
            return self.everything()
        if isinstance(need, FetchPayloads):
            return Records(input=self.input, output=self.output, variables=self.variables)
        assert isinstance(need, FetchTasks)
        return Records(
            tasks={key: self.tasks.get(key) for key in need.keys},
            attempts={each: self.attempts.get(each) for each in need.attempts},
            joins={key: self.joins.get(key) for key in need.joins},
            branches={key: self.branches.get(key) for key in need.branches},
            messages={number: self.messages[number] for number in need.messages},
        )

    def everything(self) -> Records:
        return Records(
            tasks=dict(self.tasks),
            attempts=dict(self.attempts),
            joins=dict(self.joins),
            branches=dict(self.branches),
            complete=True,
        )

    def commit(self, draft: Draft, actor: str = "test") -> Transition | None:
        change = draft.finish(actor)
        if change is None:
            return None
        before = dict(self.tasks)
        assert change.created == (self.header is None)
        assert len(change.tasks) + len(change.attempts) <= 520
        self.header, self.graph = change.header, draft.graph
        for key, task in change.tasks.items():
            old = before.get(key)
            reopened = change.header.last_retried_ms or False
            if old is not None and old.status.terminal and old.attempt == task.attempt:
                if reopened and task.task_type in WAIT_AGAIN:
                    continue
                assert task.status in (old.status, TaskStatus.COMPLETED_WITH_ERRORS)
        self.tasks.update(change.tasks)
        self.attempts.update(change.attempts)
        self.branches.update(change.branches)
        self.take_messages(change)
        self.remove(change)
        for key, join in change.joins.items():
            if join is None:
                self.joins.pop(key, None)
            else:
                self.joins[key] = join
        self.input = change.input if change.input is not None else self.input
        self.output = change.output if change.output is not None else self.output
        self.variables = change.variables if change.variables is not None else self.variables
        self.index(change)
        self.effects.extend(change.effects)
        self.transitions.append(change)
        self.check()
        return change

    def take_messages(self, change: Transition) -> None:
        for number, message in change.messages.items():
            if message is None:
                del self.messages[number]
            else:
                self.messages[number] = message

    def remove(self, change: Transition) -> None:
        for key in change.removed:
            self.tasks.pop(key, None)  # one made and removed in one commit was never there
        for each in change.removed_attempts:
            self.attempts.pop(each, None)
        for key in change.removed_branches:
            self.branches.pop(key, None)
        again = change.header.run_epoch > 0
        self.some_removed = self.some_removed or bool(change.removed) or again

    def index(self, change: Transition) -> None:
        for task_id, kind in change.disarmed:
            self.deadlines.pop((task_id, kind), None)
        for deadline in change.armed:
            self.deadlines[deadline.task_id, deadline.kind] = deadline.at_ms
        for task_id in change.unready:
            self.ready.pop(task_id, None)
        for ready in change.ready:
            self.ready[ready.task_id] = ready
        self.held -= set(change.unheld)
        self.held |= set(change.held)
        self.slots -= set(change.unslotted)
        self.slots |= {task_id for task_id, _ in change.slots}

    # What must always hold

    def check(self) -> None:
        header = self.header
        assert header is not None
        tasks = list(self.tasks.values())
        if not header.pending and not is_shut(header):
            not_final = [t for t in tasks if not is_final(t) and not canceled(t)]
            assert header.open_count == (0 if header.status.terminal else len(not_final)), (
                header.status, [(t.ref, t.status) for t in not_final],
            )  # fmt: skip
        if header.status.terminal and not header.pending:
            assert all(task.status.terminal for task in tasks)
            assert not self.ready
            assert not self.held
            assert not self.slots
            assert not self.deadlines
        ready = [*map(ready_of, tasks), ready_gate(self.id, header.gate)]
        assert self.ready == {each.task_id: each for each in ready if each is not None}
        armed = {(d.task_id, d.kind): d.at_ms for t in tasks for d in t.deadlines}
        if header.deadline_ms:
            armed["", "workflow"] = header.deadline_ms
        assert self.deadlines == armed
        leased = [t for t in tasks if t.lease is not None]
        assert self.held == {
            (t.lease.incarnation, t.id) for t in leased if t.lease and t.lease.kind == "stream"
        }
        gate = slot_of(self.id, header.gate)
        assert self.slots == {t.id for t in leased if t.limits.limited} | ({gate} - {""})
        seqs = [t.seq for t in [*tasks, *self.attempts.values()] if t.seq]  # skipped ones have none
        if self.some_removed:
            assert len(seqs) == len(set(seqs))
            assert max(seqs, default=0) < header.next_seq
        else:
            assert sorted(seqs) == list(range(1, header.next_seq))
        self.check_joins()

    def check_joins(self) -> None:
        for key, join in self.joins.items():
            task = self.tasks.get(key)
            if task is None or task.status.terminal:
                continue
            if join.loop:
                self.check_loop(task, join)
                continue
            defaults: Any = task.input.value.get("defaultExclusiveJoinTask", [])
            refs: dict[str, None] = dict.fromkeys([*members_of(task), *defaults])
            keys = [task_key(ref, task.iteration) for ref in refs]
            waiting = [each for each in keys if not is_final(self.tasks.get(each))]
            assert join.open_count == len(waiting), (task.ref, join, waiting)

    def check_loop(self, loop: TaskRecord, counter: JoinRecord) -> None:
        assert loop.task_type == LOOP
        inside = [task for task in self.tasks.values() if task.loop == loop.key]
        waiting = [task for task in inside if not is_final(task) and not canceled(task)]
        assert counter.open_count == len(waiting), (loop.ref, counter, waiting)
        here = (*loop.iteration, iteration_of(loop))
        assert all(task.iteration == here for task in waiting)

    # Shorthand of tests

    @property
    def status(self) -> str:
        assert self.header is not None
        return self.header.status.value

    def start(self, value: Mapping[str, Any] | None = None, **fields: Any) -> Self:
        assert self.send(self.start_command(value, **fields)).verdict is Verdict.OK
        return self

    def start_command(self, value: Mapping[str, Any] | None = None, **fields: Any) -> Start:
        payload = Payload.of(dict(value or {}))
        return Start(
            name=self.definition.name,
            version=self.definition.version,
            digest="d",
            input=payload,
            **fields,
        )

    def task(self, ref: str) -> TaskRecord:
        """By its reference as clients see it: in loops `ref__1`, `ref__2__1`."""
        plain, *path = ref.split("__")
        return self.tasks[task_key(plain, tuple(int(number) for number in path))]

    def grant(self, ref: str, lease: Lease = STREAM) -> TaskRecord:
        outcome = self.send(GrantLease(task_id=self.task(ref).id, lease=lease, worker_id="w"))
        assert outcome.verdict is Verdict.OK, outcome
        assert outcome.task is not None
        return outcome.task

    def grant_gate(self) -> Outcome:
        """Give it the slot for which it waits; what follows is an effect."""
        assert self.header is not None
        assert self.header.gate is not None
        lease = Lease(incarnation="inc1", session="", kind="poll")
        task_id = gate_id(self.id, self.header.gate)
        return self.send(GrantLease(task_id=task_id, lease=lease, worker_id="gate"))

    def pass_gate(self) -> None:
        assert self.grant_gate().verdict is Verdict.OK
        self.run_effects()

    def report(
        self,
        ref: str,
        status: str = "COMPLETED",
        output: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Outcome:
        return self.send(
            ReportResult(
                task_id=self.task(ref).id,
                status=TaskStatus(status),
                output=Payload.of(dict(output or {})),
                **fields,
            )
        )

    def work(self, ref: str, status: str = "COMPLETED", **fields: Any) -> Outcome:
        """Grant the task and report on it by its lease."""
        epoch = self.grant(ref).lease_epoch
        return self.report(ref, status, lease_epoch=epoch, **fields)

    def due(self, ref: str, kind: DeadlineKind) -> Outcome:
        """Let the time of a deadline come."""
        task_id = self.task(ref).id if ref else ""
        at_ms = self.deadlines[task_id, kind]
        self.now_ms = max(self.now_ms, at_ms)
        return self.send(Due(task_id=task_id, kind=kind, at_ms=at_ms))

    def list(self) -> list[str]:
        """`ref STATUS` of every attempt in order of seq."""
        every = [*self.tasks.values(), *self.attempts.values()]
        every.sort(key=lambda t: t.seq)
        return [f"{reference_in(t.ref, t.iteration)} {t.status.value}" for t in every]

    def run_effects(self) -> None:
        """Carry out what this execution sends to itself; keep the rest."""
        while self.effects:
            effect = self.effects.popleft()
            self.done_effects.append(effect)
            if isinstance(effect, ContinueSelf):
                self.send(Continue(cursor=effect.cursor))
            elif isinstance(effect, CacheOutput):
                self.cached[effect.name] = effect

    def join_output(self, ref: str) -> dict[str, Any]:
        return gather(self.task(ref), parts_in(self.tasks.values()), self.tasks.get)


def canceled(task: TaskRecord) -> bool:
    """Ended with its workflow: never final, and not counted any more."""
    return task.status is TaskStatus.CANCELED and not task.unsettled
