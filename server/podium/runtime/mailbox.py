"""What the executor works on: mailboxes, an attempt to decide their letters, reserved seats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from podium.engine.transition import Evaluate, Evaluated, Records
from podium.runtime.cache import Entry

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator

    from podium.engine.command import Outcome, Rejected
    from podium.engine.draft import Draft
    from podium.engine.graph import Graph
    from podium.engine.transition import Admit, Answer, Need, Transition
    from podium.model.execution import ExecutionHeader, Lease, TaskRecord
    from podium.model.queue import Ready
    from podium.runtime.letter import Letter, Reply
    from podium.runtime.progress import Progress
    from podium.store.port import Commit, Committed


ANSWERS_LIMIT: Final = 500
"""Programs of one decision whose values are kept."""


class Seat(Protocol):
    """A reserved credit of some worker: where a granted task will be handed out."""

    @property
    def worker_id(self) -> str: ...

    @property
    def lease(self) -> Lease: ...

    def give(self, task: TaskRecord, header: ExecutionHeader) -> None:
        """The grant is durable: hand the task out."""
        ...

    def give_back(self) -> None:
        """The grant did not happen: the credit is free again."""
        ...


class Aftermath(Protocol):
    """What must happen once a transition is durable (runtime/aftermath.py)."""

    def reserve(self, ready: Ready) -> Seat | None: ...

    def committed(self, transition: Transition, result: Committed, graph: Graph) -> None: ...

    async def repair(self, workflow_id: str) -> None:
        """A commit of this execution may have happened unseen: follow up what the store holds.
        Raises StoreError.
        """
        ...


class Evaluator(Protocol):
    """Runs programs where they can harm nothing (sandbox/pool.py)."""

    async def evaluate(self, need: Evaluate) -> Evaluated:
        """What the program gives; a failure is a value, too."""
        ...


class Pollers(Protocol):
    """Knows which workers are there (runtime/polls.py)."""

    async def active_domains(self, task_type: str) -> frozenset[str]:
        """Domains in which some worker takes tasks of this type. Raises StoreError."""
        ...


class NoEvaluator:
    """Of a runtime without a sandbox: every program fails."""

    async def evaluate(self, need: Evaluate) -> Evaluated:
        return Evaluated(error=f"expected a server that runs {need.language}, found one without")


class Work:
    """One attempt to decide the letters of a mailbox on one draft."""

    __slots__ = (
        "admitted",
        "commit",
        "decided",
        "draft",
        "entry",
        "fresh",
        "generator",
        "letters",
        "offers",
        "seat",
        "seats",
    )

    def __init__(self, entry: Entry, letters: list[Letter], draft: Draft, *, fresh: bool) -> None:
        self.admitted: Admit | None = None
        """The slot that was claimed for an execution to be created."""
        self.commit: Commit | None = None
        self.entry = entry
        self.letters = letters
        self.draft = draft
        self.generator: Generator[Need, Answer, Outcome] | None = None
        self.fresh = fresh
        """The entry is surely what the store holds, so "nothing to do" needs no proof."""
        self.decided: list[tuple[Letter, Outcome | Rejected]] = []
        self.offers: list[Ready] | None = None
        """Tasks that became ready and were not offered to a worker yet, last first."""
        self.seat: Seat | None = None
        """The seat whose grant is being decided."""
        self.seats: list[tuple[Seat, Outcome]] = []

    def answer_all(self, header: ExecutionHeader | None, progress: Progress) -> None:
        """What was decided is durable."""
        for letter, outcome in self.decided:
            progress.answered(letter.command, outcome)
            letter.reply(outcome, header)

    def give_back(self) -> None:
        """The grants did not happen: their seats are free again."""
        for seat, _ in self.seats:
            seat.give_back()
        self.seats.clear()
        if self.seat is not None:
            self.seat.give_back()
            self.seat = None


class Mailbox:
    """Commands of one execution. `busy`: a decision or its commit is under way.

    What programs gave is kept until a commit succeeds, so that a decision made again after a
    conflict neither waits for them again nor comes to another end.
    """

    __slots__ = ("_answers", "busy", "failures", "waiting", "workflow_id")

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        self.waiting: list[Letter] = []
        self.busy = False
        self.failures = 0
        self._answers: dict[tuple[object, ...], Evaluated] = {}

    async def evaluated(self, need: Evaluate, evaluator: Evaluator) -> Evaluated:
        """What the program gives, or gave before."""
        asked = (need.language, need.seed, need.program, need.input, need.secrets)
        answer = self._answers.get(asked)
        if answer is None:
            answer = await evaluator.evaluate(need)
            if len(self._answers) < ANSWERS_LIMIT and not answer.retriable:
                self._answers[asked] = answer
        return answer

    def succeeded(self) -> None:
        """A commit was made: what led to it is over."""
        self.failures = 0
        if self._answers:
            self._answers.clear()


def unborn(letters: list[Letter]) -> Entry | None:
    """An entry for an execution that a Start will create; None where no Start comes first."""
    graph = letters[0].graph if letters else None
    return None if graph is None else Entry(0, None, graph, Records(complete=True))


def into(future: asyncio.Future[Outcome]) -> Reply:
    """A reply that resolves a future."""

    def reply(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
        del header
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return reply
