"""The server is killed with -9 at 20 random moments under load: nothing acknowledged is lost."""

from __future__ import annotations

import pytest

from tests.chaos.run import chaos

KILLS = 20


@pytest.mark.timeout(300)
async def test_every_acknowledged_start_finishes_through_twenty_kills() -> None:
    found = await chaos(kills=KILLS, seed=20261125)
    assert found.verdict.faults == []
    assert found.verdict.acknowledged == found.verdict.completed
    assert found.valid, found.line()
