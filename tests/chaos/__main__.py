"""`python -m tests.chaos --store sqlite --kills N [--seed S]`: one run, its verdict, exit status;
`--hits N`: killed at each of its failpoints, the first N times that it comes there;
`--store redis --minutes N` (or `dynomite`, `sentinel`, `cluster`): of two servers, under all of
their faults.

Exit 1 where there are faults, or where the load was too small to prove anything.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chaos.failpoints import SITES, points_of, survive
from tests.chaos.run import chaos
from tests.chaos.storm import STORES, storm

FAULTS_SHOWN = 20


def main() -> int:
    """Run and print the faults, then the verdict line last."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--store", choices=["sqlite", *STORES], default="sqlite")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--hits", type=int, default=0, help="of each failpoint, on sqlite")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--minutes", type=float, default=2, help="and the rest of a round")
    options = parser.parse_args()
    if options.hits:
        return _failpoints(options.hits)
    if options.store in STORES:
        return _storm(options.store, options.minutes, options.seed)
    print(f"chaos: store {options.store}, {options.kills} kills, seed {options.seed}", flush=True)
    found = asyncio.run(chaos(kills=options.kills, seed=options.seed))
    for fault in found.verdict.faults[:FAULTS_SHOWN]:
        print(f"fault: {fault}")
    print(found.line())
    return 0 if found.valid and not found.verdict.faults else 1


def _failpoints(hits: int) -> int:
    points = points_of(SITES, range(1, hits + 1))
    print(f"failpoints: {len(points)} kills, at {', '.join(SITES)}", flush=True)
    with TemporaryDirectory(prefix="podium-failpoints-") as folder:
        survived = asyncio.run(survive(Path(folder), points))
    found = survived.verdict
    for fault in found.faults[:FAULTS_SHOWN]:
        print(f"fault: {fault}")
    for point in survived.missed:
        print(f"not reached: {point}")
    print(
        f"failpoints: {len(survived.reached)} kills, {found.acknowledged} starts acknowledged,"
        f" {found.completed} completed, {len(found.faults)} faults"
    )
    return 1 if found.faults or survived.missed else 0


def _storm(store: str, minutes: float, seed: int) -> int:
    print(f"chaos: store {store}, {minutes} minutes, seed {seed}", flush=True)
    found = asyncio.run(storm(store, minutes=minutes, seed=seed))
    for violation in found.violations[:FAULTS_SHOWN]:
        print(f"violation: {violation}")
    for line in found.lines():
        print(line)
    return 1 if found.violations else 0


if __name__ == "__main__":
    sys.exit(main())
