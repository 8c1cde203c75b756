"""What programs gave is kept for a decision that is made again, and no longer."""

from __future__ import annotations

from podium.engine.transition import Evaluate, Evaluated
from podium.runtime.mailbox import Mailbox


class Counting:
    """Gives the count of calls."""

    def __init__(self, *, retriable: bool = False) -> None:
        self.calls = 0
        self._retriable = retriable

    async def evaluate(self, need: Evaluate) -> Evaluated:
        self.calls += 1
        return Evaluated(value=self.calls, retriable=self._retriable)


def need(seed: str = "t1") -> Evaluate:
    return Evaluate("javascript", "Math.random()", b"{}", seed=seed)


async def test_a_decision_made_again_gets_the_values_of_the_first() -> None:
    mailbox, counting = Mailbox("w"), Counting()
    first = await mailbox.evaluated(need(), counting)
    assert await mailbox.evaluated(need(), counting) == first
    assert await mailbox.evaluated(need("t2"), counting) == Evaluated(value=2)
    mailbox.succeeded()
    assert await mailbox.evaluated(need(), counting) == Evaluated(value=3)


async def test_a_failure_of_the_moment_is_not_kept() -> None:
    mailbox, counting = Mailbox("w"), Counting(retriable=True)
    await mailbox.evaluated(need(), counting)
    assert (await mailbox.evaluated(need(), counting)).value == 2
