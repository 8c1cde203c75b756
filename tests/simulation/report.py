"""Runs seeds and says what came of them, for a person or a script."""

from __future__ import annotations

import logging
import subprocess
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulation.loop import run
from tests.simulation.orders import ALL
from tests.simulation.scene import LEGEND, MARK, Violation
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
INJECTED = (
    "store unavailable",
    "store answer_lost",
    "store delay",
    "store message_lost",
    "store message_doubled",
    "frame delayed",
    "frames lost with a cut stream",
    "half-open stream",
    "result doubled",
    "poll answer lost",
    "order's answer lost",
    "worker crash",
    "server crash",
    "clock jump",
)
"""Kinds of faults. `store answer_lost` = executed, then failed."""
FOLLOWED = ("conflict", "take-over", "lease resumed", "lease lost")
"""What the faults led to."""
ORDERED = tuple(f"order {each}" for each in (*ALL, "Remove"))
"""Orders of clients that were taken."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One seed. `failure` is empty where every rule held."""

    seed: int
    failure: str
    digest: str
    commits: int
    counts: Counter[str]
    trace: tuple[str, ...] = field(repr=False)


@contextmanager
def silence() -> Iterator[None]:
    """Servers that lose their store say so in the log; here that is planned."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def run_seed(seed: int, *, trace: bool = False) -> Outcome:
    """Never raises what a seed raises, except for what ends the process."""
    world = World(seed, trace=trace)
    failure = ""
    with silence():
        try:
            run(world.run())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            failure = describe(error)
    scene = world.scene
    lines = tuple(scene.trace)
    if failure and scene.failure is None:
        lines = (*lines, f"{MARK:<3} {failure}")
    return Outcome(seed, failure, scene.digest, world.checker.commits, scene.counts, lines)


def describe(error: BaseException) -> str:
    """The rule, or the exception with its place."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Violation):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"expected no exception, found {type(error).__name__}: {error}{place}"


def show_seed(seed: int) -> int:
    """One seed with its whole trace."""
    outcome = run_seed(seed, trace=True)
    print(f"seed {seed}, commit {git_commit()}")
    print(LEGEND)
    print("\n".join(outcome.trace))
    print(verdict([outcome]))
    return int(bool(outcome.failure))


def show_seeds(seeds: Iterable[int], *, stop: bool = False) -> int:
    """Many seeds: a line per failing one, the end of the first one's trace, the totals."""
    outcomes: list[Outcome] = []
    for seed in seeds:
        outcomes.append(run_seed(seed))
        if outcomes[-1].failure:
            print(f"FAULT seed {seed}: {outcomes[-1].failure}", flush=True)
            if stop:
                break
    failed = [each for each in outcomes if each.failure]
    if failed:
        print(f"the end of seed {failed[0].seed}, commit {git_commit()}")
        print(LEGEND)
        print("\n".join(failed[0].trace))
    print_totals(outcomes, print)
    print(verdict(outcomes))
    return int(bool(failed))


def show_digests(seeds: Iterable[int]) -> int:
    """A line per seed: equal for equal code, whatever the hash seed."""
    for seed in seeds:
        print(f"{seed} {run_seed(seed).digest}", flush=True)
    return 0


def totals(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Counts by kind over all seeds; every kind is there."""
    total: Counter[str] = Counter()
    for kind in (*INJECTED, *FOLLOWED, *ORDERED):
        total[kind] = 0
    for outcome in outcomes:
        total.update(outcome.counts)
    return total


def print_totals(outcomes: list[Outcome], show: Callable[[str], object]) -> None:
    """One line per kind."""
    total = totals(outcomes)
    for kind in (*INJECTED, *FOLLOWED, *ORDERED):
        show(f"simulation: {kind:<30} {total[kind]:>7}")


def verdict(outcomes: list[Outcome]) -> str:
    """The last line."""
    failed = [each.seed for each in outcomes if each.failure]
    total = totals(outcomes)
    injected = sum(total[kind] for kind in INJECTED)
    commits = sum(each.commits for each in outcomes)
    size = f"{len(outcomes)} seeds, {commits} commits, {injected} faults"
    size += f", {total['conflict']} conflicts, {total['take-over']} take-overs"
    if failed:
        return f"simulation: FAULT: {len(failed)} of {size}; failing: {failed[:20]}"
    return f"simulation: ok: {size}"


def git_commit() -> str:
    """The commit of the tree, with a plus where it was changed since; a copy has none."""
    ran = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.strip() or "unknown"
