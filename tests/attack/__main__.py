"""`make attack MINUTES=n`: every attack in turn on one server; a line each, 1 when others suffered.

The figures are those of a machine that attacks itself; `make bench` judges them.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Final

import grpc.aio

from tests.attack.attacks import ATTACKS
from tests.attack.siege import Healthy, attacking
from tests.bench.figures import percentile
from tests.bench.processes import resident_mb
from tests.cli.serving import serving

REST_S: Final = 1.0


async def run(minutes: float) -> int:
    """How many attacks did harm."""
    harmed = 0
    each_s = minutes * 60 / len(ATTACKS)
    async with (
        serving("--store", "memory://", "--http", "") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        healthy = Healthy(channel)
        await healthy.prepare()
        for name in ATTACKS:
            before_mb = resident_mb(server.process.pid)
            async with attacking(name, server.target) as siege:
                await healthy.calls(siege, until_s=time.perf_counter() + each_s)
            grown_mb = resident_mb(server.process.pid) - before_mb
            alive = server.process.returncode is None
            harm = bool(siege.failed) or not alive
            harmed += harm
            p99_ms = percentile(siege.took_ms, 99) if siege.took_ms else float("nan")
            print(
                f"{name:<20}{siege.tally['acts']:>10} acts{siege.tally['sent_away']:>7} sent away"
                f"{p99_ms:>9.1f} ms p99{grown_mb:>8.1f} MB{len(siege.failed):>5} failed"
                f"  {'HARM' if harm else 'ok'}",
                flush=True,
            )
            if not alive:
                break
            await asyncio.sleep(REST_S)
    return harmed


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2)
    harmed = asyncio.run(run(parser.parse_args().minutes))
    print(f"{harmed} attacks did harm" if harmed else "nobody else was harmed", flush=True)
    return 1 if harmed else 0


if __name__ == "__main__":
    sys.exit(main())
