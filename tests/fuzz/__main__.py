"""`make fuzz MINUTES=n`: each target as long, by atheris; what it finds stays in the corpus.

`python -m tests.fuzz` starts a process for each target, as many at once as there are cores;
`--target NAME` is such a process. A new input that reaches something is kept in .fuzz/NAME, one
that breaks something in tests/fuzz/corpus/NAME, where `make test` finds it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

# The targets are imported later, under atheris, which instruments what they import.
NAMES: Final = ("requests", "definitions", "frames")
FOLDER: Final = Path(__file__).resolve().parent / "corpus"
ROOT: Final = Path(__file__).resolve().parents[2]
FOUND: Final = ROOT / ".fuzz"
INPUT_BYTES_MAX: Final = 65_536
MEMORY_MB_MAX: Final = 2_048
RUN_S_MAX: Final = 10


def fuzz(name: str, seconds: int) -> None:
    """One target, in this process; it ends by itself."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["podium"], enable_loader_override=False):
        targets: Any = importlib.import_module("tests.fuzz.targets")
    target = targets.TARGETS[name]()
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    atheris.Setup(
        [
            "fuzz",
            str(FOUND / name),
            str(FOLDER / name),
            f"-max_total_time={seconds}",
            f"-max_len={INPUT_BYTES_MAX}",
            f"-rss_limit_mb={MEMORY_MB_MAX}",
            f"-timeout={RUN_S_MAX}",
            f"-artifact_prefix={FOLDER / name}/",
            "-print_final_stats=1",
        ],
        target.run,
    )
    atheris.Fuzz()


def main() -> int:
    """How many targets broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--target", choices=NAMES)
    arguments = parser.parse_args()
    seconds = max(int(arguments.minutes * 60), 1)
    if arguments.target:
        fuzz(arguments.target, seconds)
        return 0
    with ThreadPoolExecutor(os.cpu_count()) as beside:
        found = list(beside.map(lambda name: _run(name, arguments.minutes), NAMES))
    for name, whole in zip(NAMES, found, strict=True):
        print(f"{name}: {'nothing found' if whole else 'FOUND'}", flush=True)
    return found.count(False)


def _run(name: str, minutes: float) -> bool:
    """In a process of its own; whether nothing broke."""
    command = (sys.executable, "-m", "tests.fuzz", "--target", name, "--minutes", str(minutes))
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
