"""The index port: few verbs that every backend implements.

Rules: the index is made from the store and may be thrown away at any time; it follows the store by
the notes of `Store.changed`. What a verb wrote is durable when it returns. Whoever writes does so
from one place, in the order of the commits; a document of an older commit never replaces a newer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from podium.index.document import TaskDocument, WorkflowDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.index.document import Update
    from podium.index.query import Query

Hit = TypeVar("Hit")


class IndexFailure(Exception):
    """Base of what an index verb may raise: it does not answer; repeat it."""


class IndexDamaged(IndexFailure):
    """What is stored is no index any more: `reset` it and write everything again."""


class SearchTooLong(IndexFailure):
    """The search was given up after the time it may take."""


class TaskHit(msgspec.Struct, frozen=True):
    """A task that was found, with what it shows of its execution."""

    task: TaskDocument
    workflow_id: str
    workflow_name: str
    correlation_id: str
    priority: int


class Found(msgspec.Struct, Generic[Hit], frozen=True):
    """One page. `total` = all that match, whatever the page; 0 where it was not to be counted."""

    total: int
    hits: list[Hit]


class Index(Protocol):
    """All verbs."""

    async def open(self) -> None:
        """Take the index, an empty one where there is none. Raises IndexFailure."""
        ...

    async def close(self) -> None: ...

    async def origin(self) -> str:
        """What `set_origin` said last; "" = nothing was said since the last `reset`."""
        ...

    async def set_origin(self, origin: str) -> None:
        """Say what this is the index of, once it is whole."""
        ...

    async def reset(self) -> None:
        """Throw everything away."""
        ...

    async def write(self, updates: Sequence[Update]) -> None:
        """All of them in one atomic step, in order."""
        ...

    async def workflows(self, query: Query) -> Found[WorkflowDocument]: ...

    async def workflow_ids(self, query: Query) -> list[str]:
        """As `workflows`, the ids alone."""
        ...

    async def workflows_by_tasks(self, query: Query) -> Found[WorkflowDocument]:
        """Executions of which some task matches, each once. The query is one of tasks; of those
        that match, the one that comes first in its order decides the execution's place.
        """
        ...

    async def tasks(self, query: Query) -> Found[TaskHit]: ...
