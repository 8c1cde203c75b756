"""What all parts of one run share: the seed's parameters, the tally of faults, and the trace.

Trace: one line per event, `<virtual ms> <actor> <event>`; the step that broke a rule begins with
MARK. The first broken rule ends the run. It knows nothing of servers, workers or stores.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.simulation.actors import chance, loop_ms
from tests.simulation.settings import Swarm, draw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

MARK = ">>>"
LEGEND = "     virtual ms  actor       event (>>> = the step that broke a rule)"
TRACE_LINES = 200


class Violation(AssertionError):
    """A rule does not hold; the text says which and where."""


def expect(holds: bool, rule: str, found: object) -> None:  # noqa: FBT001 - reads as an assertion
    """Raise a Violation that names the rule and what was found."""
    if not holds:
        raise Violation(f"expected that {rule}, found {found}")


class Scene:
    """See the module. `trace` keeps all lines, else the last TRACE_LINES."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.seed = seed
        self.swarm: Swarm = draw(chance(seed, "swarm"))
        self.faulty = True
        self.counts: Counter[str] = Counter()
        """Kind → times, of faults and of what they led to."""
        self.trace: deque[str] = deque(maxlen=None if trace else TRACE_LINES)
        self.incarnations: list[str] = []
        self.failure: Violation | None = None
        self.failed = asyncio.Event()
        self.late = False
        """Whether the failure is that something never ended: an exception may be the cause."""
        self._digest = sha256()

    def note(self, actor: str, text: str, mark: str = "") -> None:
        """One line of the trace."""
        line = f"{mark:<3} {loop_ms():>11}  {actor:<10}  {text}"
        self.trace.append(line)
        self._digest.update(line.encode())

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def happened(self, kind: str, actor: str) -> None:
        """Count a fault."""
        self.counts[kind] += 1
        self.note(actor, f"fault: {kind}")

    def happens(self, kind: str, probability: float, random: Random, actor: str) -> bool:
        """Draw whether a fault happens; a probability of zero draws nothing."""
        if not self.faulty or probability <= 0 or random.random() >= probability:
            return False
        self.happened(kind, actor)
        return True

    @contextmanager
    def judged(self) -> Iterator[None]:
        """The first violation inside ends the run, whoever would catch the exception."""
        try:
            yield
        except Violation as violation:
            if self.failure is None:
                self.failure = violation
                self.note("checker", str(violation), MARK)
                self.failed.set()
            raise
