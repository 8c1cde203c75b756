"""A search as data: the fields there are, conditions on them, words, order, page.

Frozen, and the same for every backend, which compiles it; text becomes it in parsing.py. Fields
have the names of Conductor's summaries.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, TypeAlias

import msgspec


class Kind(Enum):
    """What a field holds, which decides what may be asked of it."""

    TEXT = "text"
    """Compared as a whole."""
    WORDS = "words"
    """Long text: asked for words in it."""
    TIME = "time"
    """Epoch ms; absent = not yet."""
    NUMBER = "number"
    FIXED = "fixed"
    """The same text in every document."""


class Field(msgspec.Struct, frozen=True):
    """A field of a kind of documents."""

    name: str
    kind: Kind


class Equals(msgspec.Struct, frozen=True):
    """It is this value."""

    field: Field
    value: str | int


class Among(msgspec.Struct, frozen=True):
    """It is one of these values."""

    field: Field
    values: tuple[str | int, ...]


class Matches(msgspec.Struct, frozen=True):
    """It fits a pattern, whatever its case: parts with anything between them (`a*b`)."""

    field: Field
    parts: tuple[str, ...]


class StartsWith(msgspec.Struct, frozen=True):
    """It begins so, in this case."""

    field: Field
    prefix: str


class Compares(msgspec.Struct, frozen=True):
    """It is there, and on that side of the value."""

    field: Field
    side: Literal["<", "<=", ">", ">="]
    value: str | int


class Absent(msgspec.Struct, frozen=True):
    """It is empty, or not yet."""

    field: Field


class Words(msgspec.Struct, frozen=True):
    """Words that follow each other; `prefix` = the last one may go on. Without a field: in any text
    of the document.
    """

    text: str
    prefix: bool = False
    field: Field | None = None


class Not(msgspec.Struct, frozen=True):
    """The condition does not hold."""

    condition: Condition


class Every(msgspec.Struct, frozen=True):
    """All of them hold; none = always."""

    conditions: tuple[Condition, ...] = ()


class AnyOf(msgspec.Struct, frozen=True):
    """At least one holds; none = never."""

    conditions: tuple[Condition, ...] = ()


Condition: TypeAlias = (
    Equals | Among | Matches | StartsWith | Compares | Absent | Words | Not | Every | AnyOf
)


class Order(msgspec.Struct, frozen=True):
    """One field to sort by."""

    field: Field
    descending: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to find, and which part of it to show. Without an order the newest come first; ties go
    by id, so that pages fit each other.
    """

    where: Condition = Every()
    order: tuple[Order, ...] = ()
    start: int = 0
    size: int = 100
    behind: tuple[int, str] | None = None
    """(start time, id) of the last one seen: only what comes after it, newest first. No order."""
    counted: bool = True
    """Whether all that match are counted."""
    texts: bool = True
    """Whether inputs and outputs are wanted."""


def _fields(**kinds: str) -> dict[str, Field]:
    return {
        name: Field(name, Kind(kind)) for kind, names in kinds.items() for name in names.split()
    }


WORKFLOW_FIELDS: Final = _fields(
    text="workflowId correlationId workflowType status parentWorkflowId event createdBy"
    " idempotencyKey failedReferenceTaskNames",
    words="input output reasonForIncompletion",
    time="startTime updateTime endTime",
    number="version priority executionTime archived",
    fixed="classifier",
)
TASK_FIELDS: Final = _fields(
    text="taskId workflowId workflowType correlationId taskType taskDefName referenceTaskName"
    " status domain",
    words="input output reasonForIncompletion",
    time="scheduledTime startTime updateTime endTime",
    number="workflowPriority executionTime queueWaitTime",
)
ALIASES: Final = {"modifiedTime": "updateTime", "workflowName": "workflowType"}
"""Other names that Conductor's user interfaces send."""
CLASSIFIER: Final = "workflow"
"""Of every execution: what runs otherwise is none of Podium's."""
