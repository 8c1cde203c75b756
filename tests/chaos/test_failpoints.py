"""The server is killed before and after each step towards the store: nothing acknowledged is lost.

Here the first time that it comes to a step; `make chaos STORE=sqlite HITS=n` for the first n times
of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.failpoints import points_of, survive

if TYPE_CHECKING:
    from pathlib import Path

POINTS = [
    *points_of(("commit",), (1, 3)),
    *points_of(("push_assign", "want", "settle", "ready", "outbox", "heartbeat"), (1,)),
]


@pytest.mark.timeout(600)
async def test_a_kill_before_and_after_each_step_loses_nothing(tmp_path: Path) -> None:
    survived = await survive(tmp_path, POINTS)
    assert survived.missed == []
    assert survived.verdict.faults == []
    assert survived.verdict.acknowledged == survived.verdict.completed > 0
