"""Programs outside Python that single tests need: what is absent is said, never passed over.

A test names its parts: `@pytest.mark.part("strace")`. Where a part is absent the test fails with
the line that installs it. `SKIP=strace make test` leaves such tests out on purpose; they are
skipped, so the last line of pytest counts them. What the parts are used for is not known here.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Part:
    """A program: `probe` exits 0 where it works, `install` is the line that brings it."""

    probe: tuple[str, ...]
    install: str


PREVIOUS = (Path(__file__).parent / "processes/previous.txt").read_text().strip()
"""The commit of the version before this one; a shallow clone lacks it."""
PARTS = {
    # Traces a process of its own: being on PATH is not enough where ptrace is forbidden.
    "strace": Part(("strace", "-o", os.devnull, "true"), "apt-get install -y strace"),
    "redis-server": Part(("redis-server", "--version"), "apt-get install -y redis-server"),
    # Mounted in a namespace of its own, so that the probe leaves nothing behind.
    "tmpfs": Part(
        ("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"),
        "run as root, where mount is permitted",
    ),
    # These are put beside this Python, whatever PATH says.
    "go": Part((f"{BIN}/go", "version"), "make go"),
    "grpcurl": Part((f"{BIN}/grpcurl", "-version"), "make grpcurl"),
    "helm": Part((f"{BIN}/helm", "version"), "make helm"),
    "previous": Part(
        ("git", "cat-file", "-e", f"{PREVIOUS}^{{commit}}"),
        f"git fetch --depth 1 origin {PREVIOUS}",
    ),
    "java": Part((f"{BIN}/javac", "-version"), "make java"),
}
PROBE_S_MAX = 10


@cache
def is_present(name: str) -> bool:
    """Whether the part works here; asked of the machine once per run."""
    try:
        probe = subprocess.run(
            PARTS[name].probe, capture_output=True, timeout=PROBE_S_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def left_out() -> frozenset[str]:
    """The parts named by SKIP=, separated by commas or spaces."""
    names = frozenset(os.environ.get("SKIP", "").replace(",", " ").split())
    if unknown := names - PARTS.keys():
        message = f"SKIP: expected names of {sorted(PARTS)}, found {sorted(unknown)}"
        raise pytest.UsageError(message)
    return names


def parts_of(item: pytest.Item) -> list[str]:
    """The parts that a test names, by all its marks."""
    names = [str(name) for mark in item.iter_markers("part") for name in mark.args]
    if unknown := set(names) - PARTS.keys():
        message = f"{item.nodeid}: expected parts of {sorted(PARTS)}, found {sorted(unknown)}"
        raise pytest.UsageError(message)
    return names


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "part(name, ...): needs programs listed in tests/parts.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what SKIP= names."""
    skipped = left_out()
    for item in items:
        if named := skipped.intersection(parts_of(item)):
            reason = f"left out by SKIP={','.join(sorted(named))}"
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail where a part is absent."""
    for name in parts_of(item):
        if not is_present(name):
            message = (
                f"{PARTS[name].install}: expected a working {name}, found none"
                f" (to leave such tests out: SKIP={name} make test)"
            )
            pytest.fail(message, pytrace=False)
