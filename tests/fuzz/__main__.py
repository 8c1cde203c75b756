"""`make fuzz MINUTES=n`: each target as long, by atheris; what it finds stays in the corpus.

`python -m tests.fuzz` starts a process for each target; `--target NAME` is such a process. A new
input that reaches something is kept in .fuzz/NAME, one that breaks something in
tests/fuzz/corpus/NAME, where `make test` finds it.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
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
    broken = 0
    for name in NAMES:
        command = (sys.executable, "-m", "tests.fuzz", "--target", name)
        done = subprocess.run((*command, "--minutes", str(arguments.minutes)), check=False)
        print(f"{name}: {'nothing found' if done.returncode == 0 else 'FOUND'}", flush=True)
        broken += done.returncode != 0
    return broken


if __name__ == "__main__":
    sys.exit(main())
