"""`python -m` of the simulation: ranges of seeds, one with its trace, digests, planted bugs."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.planting import find_planted
from tests.simulation.report import show_digests, show_seed, show_seeds


def main() -> int:
    """0 = every rule held (or every planted bug was found)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (200)")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first (1)")
    parser.add_argument("--seed", type=int, help="only this one, with its whole trace")
    parser.add_argument("--stop", action="store_true", help="stop at the first failing seed")
    parser.add_argument("--digest", action="store_true", help="print a sha256 of each trace")
    parser.add_argument("--planted", action="store_true", help="find the planted bugs")
    asked = parser.parse_args()
    if asked.planted:
        return find_planted()
    if asked.seed is not None and not asked.digest:
        return show_seed(asked.seed)
    first, count = (asked.first, asked.seeds) if asked.seed is None else (asked.seed, 1)
    seeds = range(first, first + count)
    return show_digests(seeds) if asked.digest else show_seeds(seeds, stop=asked.stop)


if __name__ == "__main__":
    sys.exit(main())
