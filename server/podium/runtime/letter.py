"""Letters: commands waiting in a mailbox, with who sent them and who wants the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from podium.store.port import Forbidden, Unreplicated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.engine.command import Command, Outcome
    from podium.engine.graph import Graph
    from podium.model.execution import ExecutionHeader
    from podium.model.payload import Payload
    from podium.store.port import Idempotency, StoreError

PAYLOADS: Final = ("input", "output", "variables", "task_input")
"""Where commands carry payloads."""


class Reply(Protocol):
    """Told once: the outcome after its commit is durable, or why there is none."""

    def __call__(self, outcome: Outcome | Exception, header: ExecutionHeader | None) -> None: ...


class AlreadyRecorded(Exception):
    """The idempotency key of a start points at another run."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(workflow_id)
        self.workflow_id = workflow_id


class Tombstoned(Exception):
    """The execution must not start: its parent ended before, or it was removed."""


class UnknownExecution(Exception):
    """No execution has this id."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(workflow_id)
        self.workflow_id = workflow_id


class DecisionFailed(Exception):
    """decide raised, again and again; the text of the cause stays in the server's log."""


class Parked(DecisionFailed):
    """The execution is set aside until an operator takes it up again (runtime/parking.py)."""


class Letter:
    """One command in a mailbox."""

    __slots__ = (
        "actor",
        "command",
        "definition",
        "graph",
        "idempotency",
        "patient",
        "raised",
        "reply",
    )

    def __init__(self, command: Command, actor: str, reply: Reply) -> None:
        self.command = command
        self.actor = actor
        self.reply = reply
        self.graph: Graph | None = None
        """Given with a Start."""
        self.definition: bytes | None = None
        """Inline definition to be stored with the execution, given with a Start."""
        self.idempotency: Idempotency | None = None
        self.patient = False
        """Whether a full store is waited for; a client's command is refused instead."""
        self.raised = 0

    @property
    def given_up(self) -> bool:
        """Its client was told that its outcome is unknown."""
        return self.reply is ignore and not self.patient


def payload_bytes_of(letter: Letter) -> int:
    """What the letter keeps in memory beside its few words."""
    size = len(letter.definition or b"")
    for name in PAYLOADS:
        payload: Payload | None = getattr(letter.command, name, None)
        if payload is not None:
            size += len(payload)
    return size


def ignore(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
    """A reply for senders that need no answer."""
    del outcome, header


def answer_unknown(letters: Sequence[Letter], error: StoreError) -> None:
    """Replicas and rights may be away for long: clients are not kept waiting for them, and may ask
    again.

    A store that is away altogether is waited for: most are back before a client's deadline.
    """
    if isinstance(error, Unreplicated | Forbidden):
        for letter in letters:
            if not letter.patient:
                letter.reply(error, None)
                letter.reply = ignore


def reply_all(letters: Sequence[Letter], answer: Exception) -> None:
    """The same answer to each."""
    for letter in letters:
        letter.reply(answer, None)
