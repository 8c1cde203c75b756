"""The draft that the executor holds: a State with its two ends, ready tasks and transition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.engine.changes import collect, fresh
from podium.engine.state import State

if TYPE_CHECKING:
    from podium.engine.transition import Transition
    from podium.model.queue import Ready


class Draft(State):
    """Working copy of one execution for one commit.

    Commands are decided on it one after the other; `finish` yields the one transition of them all.
    """

    __slots__ = ()

    def fresh_ready(self) -> tuple[Ready, ...]:
        """Tasks that became ready in this draft and are not granted."""
        return fresh(self)

    def finish(self, actor: str) -> Transition | None:
        """The transition of all commands decided on this draft, or None when nothing changed."""
        return collect(self, actor)
