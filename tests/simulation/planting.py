"""Testing the tests: each patch of planted/ puts one bug in, and the seeds must find it.

The tree is copied, the patch applied to the copy, and the seeds run there in a process of their
own. A patch that no longer applies is a failure too: it must follow the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.simulation.report import ROOT

PATCHES = sorted((Path(__file__).resolve().parent / "planted").glob("*.patch"))
SEEDS_MAX = 300
FIRST = 1
COPIED = ("server", "workers", "tests")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache")


PATHS = "import podium, tests.simulation as own; print(*podium.__path__, *own.__path__)"
"""Prints where the copied packages are imported from."""


def find_planted() -> int:
    """Exit code: 0 where every planted bug is found."""
    missed = [patch.stem for patch in PATCHES if not find(patch)]
    if missed or not PATCHES:
        print(f"planted: FAULT: {len(missed)} of {len(PATCHES)} not found: {missed}")
        return 1
    print(f"planted: ok: {len(PATCHES)} of {len(PATCHES)} found within {SEEDS_MAX} seeds")
    return 0


def applies(patch: Path, root: Path = ROOT, *, really: bool = False) -> str:
    """Apply the patch, or only see whether it would; returns what is wrong."""
    check = () if really else ("--check",)
    ran = subprocess.run(
        ["git", "apply", *check, str(patch)], cwd=root, capture_output=True, text=True, check=False
    )
    return ran.stderr.strip() if ran.returncode else ""


def find(patch: Path) -> bool:
    """Say at which seed the bug shows, if it does."""
    with tempfile.TemporaryDirectory(prefix="podium-planted-") as folder:
        copy = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, copy / name, ignore=LEFT_OUT)
        wrong = applies(patch, copy, really=True)
        if wrong:
            print(f"planted {patch.stem}: expected a patch that applies, found {wrong}")
            return False
        ran = run_seeds(copy)
    faults = [line for line in ran.stdout.splitlines() if line.startswith("FAULT seed ")]
    if ran.returncode != 1 or not faults:
        print(f"planted {patch.stem}: NOT found within {SEEDS_MAX} seeds {ran.stderr[-500:]}")
        return False
    seed, rule = faults[0].removeprefix("FAULT seed ").split(": ", 1)
    tried = int(seed) - FIRST + 1
    print(
        f"planted {patch.stem}: found at seed {seed} after {tried} seeds: {rule[:160]}", flush=True
    )
    return True


def run_seeds(copy: Path) -> subprocess.CompletedProcess[str]:
    """Run the copy, and make sure that it is the copy that runs."""
    paths = [str(copy / "server"), str(copy / "workers" / "python"), str(copy)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    start = [sys.executable, "-P"]
    where = subprocess.run(
        [
            *start,
            "-c",
            "import podium, tests.simulation; print(*podium.__path__, *tests.simulation.__path__)",
        ],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    for path in where.stdout.split():
        assert path.startswith(str(copy)), path
    package = __package__ or ""
    return subprocess.run(
        [*start, "-m", package, "--seeds", str(SEEDS_MAX), "--from", str(FIRST), "--stop"],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
