"""Working copy of one execution for one commit: what is stored, what was fetched, what changed.

Records are frozen and replaced in tables laid over the stored ones, so a draft costs what it
changes, not what the execution holds. What a commit must say beside the records (deadlines, ready
entries, leases, slots, history) is derived by changes.py from the records' difference.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeAlias, TypeVar

from msgspec.structs import replace

from podium.engine.events import Events
from podium.engine.identity import ATTEMPTS_PER_RUN
from podium.engine.lifecycle import TASK_NEXT, WORKFLOW_NEXT
from podium.engine.transition import (
    Answer,
    Evaluate,
    Evaluated,
    FetchAll,
    FetchPayloads,
    FetchTasks,
    Need,
    Records,
)
from podium.model.payload import EMPTY

if TYPE_CHECKING:
    from podium.engine.graph import Graph
    from podium.engine.transition import CancelNotice, Effect, LogLine
    from podium.engine.work import Step
    from podium.model.execution import (
        BranchRecord,
        ExecutionHeader,
        JoinRecord,
        SecretMark,
        TaskRecord,
        WorkflowStatus,
    )
    from podium.model.payload import Payload

RECORDS_LIMIT: Final = 500
"""Task records of one transition; what goes beyond is continued in the next."""

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

Asking: TypeAlias = Generator[Need, Answer, T]
"""A part of a decision: yields what it needs to know, returns a T."""


class Unknown(Enum):
    """Not known here: it must be fetched."""

    UNKNOWN = 0


UNKNOWN: Final = Unknown.UNKNOWN
NO_ENVIRONMENT: Final[Mapping[str, str]] = {}
COUNTED: Final = frozenset({"JOIN", "EXCLUSIVE_JOIN", "DO_WHILE"})
"""Task types that have a counter."""
SYSTEM_TYPES: Final = frozenset({"HTTP"})
"""Queued types whose worker lives in the server; those that are installed come to them."""


class Table(Generic[K, V]):
    """Stored records with changes laid over them. None = known not to exist."""

    __slots__ = ("changed", "complete", "fetched", "known")

    def __init__(self, known: Mapping[K, V | None], *, complete: bool) -> None:
        self.known = known
        self.fetched: dict[K, V | None] = {}
        self.changed: dict[K, V | None] = {}
        self.complete = complete

    def look(self, key: K) -> V | Literal[Unknown.UNKNOWN] | None:
        """The record as it stands in the draft."""
        if key in self.changed:
            return self.changed[key]
        return self.stored(key)

    def present_changes(self) -> dict[K, V]:
        """What was changed and exists."""
        return {key: record for key, record in self.changed.items() if record is not None}

    def removals(self) -> tuple[K, ...]:
        """What was changed and exists no more."""
        return tuple(key for key, record in self.changed.items() if record is None)

    def stored(self, key: K) -> V | Literal[Unknown.UNKNOWN] | None:
        """The record as it was before this draft."""
        if key in self.fetched:
            return self.fetched[key]
        if key in self.known:
            return self.known[key]
        return None if self.complete else UNKNOWN

    def before(self, key: K) -> V | None:
        """The record before this draft; what is unknown counts as absent."""
        found = self.stored(key)
        return None if found is UNKNOWN else found

    def absorb(self, answer: Mapping[K, V | None], asked: tuple[K, ...], *, complete: bool) -> None:
        """Take an answer in. What was asked for and is not in it does not exist."""
        if complete:
            self.known, self.fetched, self.complete = answer, {}, True
            return
        self.fetched.update(answer)
        for key in asked:
            self.fetched.setdefault(key, None)


class State:
    """Everything one decision reads and changes: the rules work on it, draft.py adds its ends."""

    __slots__ = (
        "anew", "attempts", "branches", "cancels", "commands", "domains", "effects", "environment",
        "events", "graph", "header", "input", "joins", "later", "logs", "loops", "marks",
        "messages", "now", "now_ms", "output", "payloads_known", "removed", "stored_header",
        "stored_input", "stored_output", "stored_variables", "system_types", "tasks", "unseen",
        "variables", "workflow_id",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - all by name, what is stored and what the server is
        self,
        *,
        header: ExecutionHeader | None,
        graph: Graph,
        workflow_id: str,
        records: Records,
        system_types: frozenset[str] = SYSTEM_TYPES,
        environment: Mapping[str, str] = NO_ENVIRONMENT,
    ) -> None:
        self.header = header
        self.system_types: Final = system_types
        self.environment: Final = environment
        self.stored_header: Final = header
        self.graph = graph
        self.workflow_id: Final = workflow_id
        complete = records.complete
        self.tasks: Table[str, TaskRecord] = Table(records.tasks, complete=complete)
        self.attempts: Table[tuple[str, int], TaskRecord] = Table(
            records.attempts, complete=complete
        )
        self.joins: Table[str, JoinRecord] = Table(records.joins, complete=complete)
        self.branches: Table[str, BranchRecord] = Table(records.branches, complete=complete)
        self.input = records.input
        self.output = records.output
        self.variables = records.variables
        self.stored_input = records.input
        self.stored_output = records.output
        self.stored_variables = records.variables
        self.payloads_known = None not in (records.input, records.output, records.variables)
        self.anew: dict[str, TaskRecord] = {}
        """Attempts that were set aside, by key: their successors are made next."""
        self.removed: list[tuple[TaskRecord, TaskRecord]] = []
        """Tasks that ended in this draft and are removed by it: as stored, as they ended."""
        self.effects: list[Effect] = []
        self.events: Final = Events()
        self.cancels: list[CancelNotice] = []
        self.logs: list[LogLine] = []
        self.commands: list[str] = []
        self.messages: dict[int, bytes] = {}
        self.marks: dict[str, tuple[SecretMark, ...]] = {}
        """By task key: where the input that was just made names secrets, until a record has it."""
        self.domains: dict[str, frozenset[str]] = {}
        """Task types whose domain must be chosen: those in which workers are active."""
        self.now_ms = 0
        self.now: list[Step] = []
        self.later: list[Step] = []
        self.loops: list[str] = []
        self.unseen = ""

    @property
    def head(self) -> ExecutionHeader:
        """The header of an execution that exists."""
        assert self.header is not None, self.workflow_id
        return self.header

    @property
    def running(self) -> bool:
        """Whether the execution exists and has not ended."""
        return self.header is not None and not self.header.status.terminal

    @property
    def terminating(self) -> bool:
        """Whether a TERMINATE task is done and the execution is to end when this pass is over."""
        return bool(self.head.terminate_key) and self.running

    @property
    def changed_count(self) -> int:
        """Task records in the transition so far."""
        return len(self.tasks.changed) + len(self.attempts.changed)

    @property
    def full(self) -> bool:
        """Whether the transition holds as many task records as it may."""
        return self.changed_count >= RECORDS_LIMIT

    def create(self, task: TaskRecord) -> None:
        """Add the first attempt of a task; its `seq` must be the header's next."""
        header = self.head
        assert task.seq == header.next_seq, (task.seq, header.next_seq)
        assert self.tasks.look(task.key) in (None, UNKNOWN), f"created twice: {task.ref}"
        self.tasks.changed[task.key] = task
        self.header = replace(
            header,
            next_seq=header.next_seq + 1,
            task_count=header.task_count + 1,
            last_key=task.key,
            open_count=header.open_count + 1,
        )

    def succeed_attempt(self, failed: TaskRecord, task: TaskRecord) -> None:
        """Move the failed attempt aside and put the next one in its place."""
        header = self.head
        assert task.key == failed.key, (failed, task)
        assert task.attempt == failed.attempt + 1, (failed, task)
        self.attempts.changed[failed.key, failed.attempt] = failed
        self.tasks.changed[task.key] = task
        self.header = replace(
            header,
            next_seq=header.next_seq + 1,
            task_count=header.task_count + 1,
            last_key=task.key,
        )

    def set_aside(self, task: TaskRecord) -> None:
        """Move an ended attempt aside; whoever schedules the task next makes its successor."""
        assert task.status.terminal, task.id
        self.attempts.changed[task.key, task.attempt] = replace(task, retried=True)
        self.tasks.changed[task.key] = None
        self.anew[task.key] = task

    def reopen(self, task: TaskRecord) -> None:
        """Replace an ended record of an execution that goes on."""
        self.tasks.changed[task.key] = task

    def remove(self, task: TaskRecord) -> None:
        """Forget a task that has ended, with its former attempts, its counter and its branch."""
        assert task.status.terminal, task.id
        self._forget(task)
        self.tasks.changed[task.key] = None
        for attempt in range(first_attempt(task), task.attempt):
            former = self.attempts.changed.get((task.key, attempt))
            if former is not None:
                self._forget(former)
            self.attempts.changed[task.key, attempt] = None
        if task.task_type in COUNTED:
            self.joins.changed[task.key] = None
        if task.key == task.branch:
            branch = self.branches.look(task.key)
            if branch is not None and branch is not UNKNOWN:
                self.events.branches[task.key] = branch
            self.branches.changed[task.key] = None

    def _forget(self, task: TaskRecord) -> None:
        """What is stored of a task that was open before this draft must end with it."""
        before = self.tasks.before(task.key)
        if task.raises:
            self.events.remove(before, task)
        if before is not None and before.id == task.id and not before.status.terminal:
            self.removed.append((before, task))

    def put(self, before: TaskRecord, after: TaskRecord) -> TaskRecord:
        """Replace a record by its next state; the change must be in the table of lifecycle.py."""
        assert after.status in TASK_NEXT[before.status], (
            f"{before.id}: {before.status} → {after.status}"
        )
        assert after.id == before.id, (before.id, after.id)
        self.tasks.changed[after.key] = after
        return after

    def set_status(self, status: WorkflowStatus) -> None:
        """Change the execution's status; the change must be in the table of lifecycle.py."""
        header = self.head
        assert status in WORKFLOW_NEXT[header.status], f"{header.id}: {header.status} → {status}"
        self.header = replace(header, status=status)


def absorb(draft: State, answer: Answer, need: FetchTasks | None) -> None:
    """Take fetched records in; `need` None = all of them were asked for."""
    assert isinstance(answer, Records), answer
    whole = need is None or answer.complete
    asked = need or FetchTasks(())
    draft.tasks.absorb(answer.tasks, asked.keys, complete=whole)
    draft.attempts.absorb(answer.attempts, asked.attempts, complete=whole)
    draft.joins.absorb(answer.joins, asked.joins, complete=whole)
    draft.branches.absorb(answer.branches, asked.branches, complete=whole)


def take_payloads(draft: State, answer: Records) -> None:
    """Take the execution's payloads; one that is not stored is empty. Changed ones stay."""
    draft.input = draft.stored_input = answer.input or EMPTY
    draft.variables = draft.stored_variables = answer.variables or EMPTY
    if draft.output is None:
        draft.output = draft.stored_output = answer.output or EMPTY
    draft.payloads_known = True


def want_task(draft: State, key: str) -> Asking[TaskRecord | None]:
    """The latest attempt of a task, None where it was not scheduled."""
    found = draft.tasks.look(key)
    if found is UNKNOWN:
        need = FetchTasks((key,))
        absorb(draft, (yield need), need)
        found = draft.tasks.look(key)
        assert found is not UNKNOWN, key
    return found


def want_tasks(draft: State, keys: tuple[str, ...]) -> Asking[None]:
    """Have all of these at hand, with one trip for those that are not."""
    missing = tuple(key for key in keys if draft.tasks.look(key) is UNKNOWN)
    if missing:
        need = FetchTasks(missing)
        absorb(draft, (yield need), need)


def want_attempt(draft: State, key: str, attempt: int) -> Asking[TaskRecord | None]:
    """A former attempt that was moved aside."""
    found = draft.attempts.look((key, attempt))
    if found is UNKNOWN:
        need = FetchTasks((), attempts=((key, attempt),))
        absorb(draft, (yield need), need)
        found = draft.attempts.before((key, attempt))
    return found


def want_join(draft: State, key: str) -> Asking[JoinRecord | None]:
    """The counter of a join; None where it is not open."""
    found = draft.joins.look(key)
    if found is UNKNOWN:
        need = FetchTasks((), joins=(key,))
        absorb(draft, (yield need), need)
        found = draft.joins.before(key)
    return found


def want_branch(draft: State, key: str) -> Asking[BranchRecord]:
    """The record of a dynamic fork's branch, which must exist."""
    found = draft.branches.look(key)
    if found is UNKNOWN:
        need = FetchTasks((), branches=(key,))
        absorb(draft, (yield need), need)
        found = draft.branches.before(key)
    assert found is not None, f"{draft.workflow_id}: no branch {key}"
    return found


def want_branches(draft: State, keys: tuple[str, ...]) -> Asking[list[BranchRecord]]:
    """Those of these branches that exist, with one trip for what is not at hand."""
    missing = tuple(key for key in keys if draft.branches.look(key) is UNKNOWN)
    if missing:
        need = FetchTasks((), branches=missing)
        absorb(draft, (yield need), need)
    found = [draft.branches.look(key) for key in keys]
    return [each for each in found if each is not None and each is not UNKNOWN]


def want_payloads(draft: State) -> Asking[None]:
    """Have input, output and variables at hand."""
    if not draft.payloads_known:
        answer = yield FetchPayloads()
        assert isinstance(answer, Records), answer
        take_payloads(draft, answer)


def want_all(draft: State) -> Asking[None]:
    """Have every record of the execution at hand."""
    if not draft.tasks.complete:
        absorb(draft, (yield FetchAll()), None)


def first_attempt(task: TaskRecord) -> int:
    """Number of the first attempt of the task in its run."""
    return task.attempt - task.attempt % ATTEMPTS_PER_RUN


def known_tasks(draft: State) -> list[TaskRecord]:
    """The latest attempts of all tasks, once `want_all` had them fetched."""
    found = [draft.tasks.look(key) for key in {**draft.tasks.known, **draft.tasks.changed}]
    return [task for task in found if task is not None and task is not UNKNOWN]


def want_evaluation(need: Evaluate) -> Asking[Evaluated]:
    """What a program gives in the sandbox; a failure is a value, too."""
    answer = yield need
    assert isinstance(answer, Evaluated), answer
    return answer


def payload(value: Payload | None) -> Payload:
    """A payload that was asked for."""
    return EMPTY if value is None else value
