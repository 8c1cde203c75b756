"""The version before this one: the newest tag before this commit, or the commit of previous.txt
where that is newer (before it, stores over Redis had a format that is not read any more) or where
there is no tag (a shallow clone has none). Its server runs with the packages of this one.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.parts import PREVIOUS

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).resolve().parents[2]


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)


def previous() -> str:
    """A name of its commit, which is here (tests/parts.py)."""
    tag = git("describe", "--tags", "--abbrev=0", "HEAD^").stdout.decode().strip()
    if tag and git("merge-base", "--is-ancestor", PREVIOUS, tag).returncode == 0:
        return tag
    return PREVIOUS


def previous_server(folder: Path) -> Mapping[str, str]:
    """The environment in which `podium serve` is the previous version's, put into a folder."""
    made = git("archive", previous(), "server")
    assert made.returncode == 0, made.stderr
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return {"PYTHONPATH": str(folder / "server")}
