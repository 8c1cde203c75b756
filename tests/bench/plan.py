"""How long and how often each figure is measured: the full run, and the quick one for a first look.

Loads are the same in both, so that figures can be compared; only times differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.jobs import Saturate, Shape

ECHO_CALLS = 64
START_CALLS = 96
OPEN_WORKFLOWS_MAX = 256
PACE_INTERVAL_MS = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds per figure; times of one round."""

    rounds: int
    warm_up_ms: int
    window_ms: int
    paced_warm_up_count: int
    paced_count: int
    idle_ms: int
    waits_ms: int
    stored: int
    """Executions in a store that is not fresh."""


# 200 paced starts a round: their p99 is the third slowest, not a single stall of the machine.
FULL = Plan(
    rounds=5,
    warm_up_ms=1_500,
    window_ms=4_000,
    paced_warm_up_count=20,
    paced_count=200,
    idle_ms=2_000,
    waits_ms=60_000,
    stored=1_000_000,
)
QUICK = Plan(
    rounds=3,
    warm_up_ms=700,
    window_ms=1_000,
    paced_warm_up_count=10,
    paced_count=60,
    idle_ms=2_000,
    waits_ms=10_000,
    stored=10_000,
)


def saturate(targets: Sequence[str], shape: Shape, plan: Plan) -> Saturate:
    """The load of the rates, over servers that share a store."""
    first, *others = targets
    return Saturate(
        first,
        shape,
        calls=START_CALLS,
        open_limit=OPEN_WORKFLOWS_MAX,
        warm_up_ms=plan.warm_up_ms,
        window_ms=plan.window_ms,
        others=tuple(others),
    )
