"""`python -m tests.chaos --store sqlite --kills N [--seed S]`: one run, its verdict, exit status.

Exit 1 where there are faults, or where the load was too small to prove anything.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests.chaos.run import chaos

FAULTS_SHOWN = 20


def main() -> int:
    """Run and print the faults, then the verdict line last."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--store", choices=["sqlite"], default="sqlite")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    print(f"chaos: store {options.store}, {options.kills} kills, seed {options.seed}", flush=True)
    found = asyncio.run(chaos(kills=options.kills, seed=options.seed))
    for fault in found.verdict.faults[:FAULTS_SHOWN]:
        print(f"fault: {fault}")
    print(found.line())
    return 0 if found.valid and not found.verdict.faults else 1


if __name__ == "__main__":
    sys.exit(main())
