"""What the registry refuses. The texts are for clients: expected, found, names and places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.engine.problem import Problem

PROBLEMS_SHOWN: Final = 20
SHOWN_CHARS: Final = 80


class RegistryFailure(Exception):
    """Base; `message` may be shown to the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class DefinitionUnsound(RegistryFailure):
    """Problems of definitions, all of them with their places."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = [f"{problem.place}: {problem.message}" for problem in problems[:PROBLEMS_SHOWN]]
        rest = len(problems) - len(lines)
        if rest > 0:
            lines.append(f"and {rest} more problems")
        super().__init__("; ".join(lines))
        self.problems = tuple(problems)


class DefinitionUnknown(RegistryFailure):
    """No definition has this name and version."""


class DefinitionExists(RegistryFailure):
    """This name and version is registered, and overwriting was not asked for."""


class ChildUnknown(RegistryFailure):
    """A SUB_WORKFLOW without a version names a definition that is not registered (S-057)."""


def shown(text: str) -> str:
    """A name for a message, cut where it is long."""
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
