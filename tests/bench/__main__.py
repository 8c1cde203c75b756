"""`python -m tests.bench`: measure, print a line per figure, exit 1 when a bar is missed.

`--quick` takes shorter and fewer rounds, `--only NAME` (repeatable) measures some of them. What
cannot be measured is missed as well, with the reason.
"""

import argparse
import asyncio
import os
import sys

import grpc.aio

from tests.bench.figures import Figure
from tests.bench.measurements import OF_STORE, Measurement
from tests.bench.plan import FULL, QUICK, Plan
from tests.bench.processes import Failed


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter and fewer rounds")
    parser.add_argument("--store", choices=OF_STORE, default="sqlite")
    known = "; ".join(f"{store}: {', '.join(names)}" for store, names in OF_STORE.items())
    parser.add_argument(
        "--only", action="append", metavar="NAME", help=f"repeatable, of the store: {known}"
    )
    arguments = parser.parse_args()
    measurements = OF_STORE[arguments.store]
    if unknown := set(arguments.only or ()) - measurements.keys():
        parser.error(f"--only: expected names of {list(measurements)}, found {sorted(unknown)}")
    chosen = {name: measurements[name] for name in arguments.only or measurements}
    misses = asyncio.run(measure(chosen, QUICK if arguments.quick else FULL))
    print(f"{misses} missed" if misses else "all bars met", flush=True)
    return 1 if misses else 0


async def measure(measurements: dict[str, Measurement], plan: Plan) -> int:
    """Print each figure as soon as it is known; the number of misses."""
    misses = 0
    for name, each in measurements.items():
        try:
            figures = await each(plan)
        except (Failed, grpc.aio.AioRpcError, OSError, ExceptionGroup) as error:
            notes = "\n".join(["", *getattr(error, "__notes__", [])])
            print(f"{name}: MISSED, not measured: {error}{notes}", flush=True)
            misses += 1
        else:
            show(figures)
            misses += sum(not each.met for each in figures)
    return misses


def show(figures: list[Figure]) -> None:
    """One line each."""
    cores = len(os.sched_getaffinity(0))
    for each in figures:
        print(each.line(cores), flush=True)


if __name__ == "__main__":
    sys.exit(main())
