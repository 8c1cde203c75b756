"""Every input of the corpora again: the seeds, and what fuzzing has found."""

from __future__ import annotations

import pytest

from tests.fuzz.seeds import FOLDER
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_declared_failures_comes_out(name: str) -> None:
    target = TARGETS[name]()
    inputs = sorted((FOLDER / name).iterdir())
    assert inputs
    try:
        for path in inputs:
            try:
                target.run(path.read_bytes())
            except Exception as error:
                error.add_note(f"input: {path}")
                raise
    finally:
        target.close()
