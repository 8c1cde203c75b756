"""What a seed decides beforehand: which faults are on, how often, how slow all is ("swarm")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from podium.store.faulty import FaultSettings

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class Swarm:
    """One seed's parameters; probabilities are per call, frame or draw."""

    servers: int
    workers: int
    pollers: int
    workflows: int
    latency_ms_max: int
    work_ms_max: int
    store: FaultSettings
    stream_cut: float
    frame_late: float
    result_doubled: float
    muted: float
    poll_lost: float
    worker_crashes: int
    server_crashes: int
    clock_jumps: bool
    terminate: float
    tasks_max: int
    operate: float
    """How likely a client gives orders about its execution."""
    remove: float
    order_lost: float


def draw(random: Random) -> Swarm:
    """Each kind of fault is on in about half of the seeds."""

    def rate(most: float) -> float:
        return random.choice([0.0, random.uniform(0, most)])

    return Swarm(
        servers=random.randint(1, 3),
        workers=random.randint(1, 5),
        pollers=random.choice([0, 0, 1, 2]),
        workflows=random.randint(2, 6),
        latency_ms_max=random.choice([1, 10, 50, 200]),
        work_ms_max=random.choice([1, 50, 1500]),
        store=FaultSettings(
            unavailable=rate(0.05),
            answer_lost=rate(0.05),
            delay=rate(0.3),
            delay_ms_max=random.choice([5, 50, 400]),
            message_lost=rate(0.2),
            message_doubled=rate(0.2),
        ),
        stream_cut=rate(0.03),
        frame_late=rate(0.1),
        result_doubled=rate(0.2),
        muted=rate(0.01),
        poll_lost=rate(0.3),
        worker_crashes=random.choice([0, 0, 1, 3]),
        server_crashes=random.choice([0, 1, 2]),
        clock_jumps=random.random() < 0.5,
        terminate=random.choice([0.0, 0.3]),
        tasks_max=random.choice([1, 2, 10]),
        operate=random.choice([0.0, 0.6, 0.9]),
        remove=random.choice([0.0, 0.4]),
        order_lost=rate(0.2),
    )
