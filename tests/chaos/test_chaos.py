"""The server is killed with -9 at 20 random moments under load: nothing acknowledged is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.load import Ledgers
from tests.chaos.run import chaos
from tests.chaos.verdict import judge

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 20
WORKFLOW = "0123456789abcdef0123456789abcdef"
TASK = f"{WORKFLOW}.chaos_first.0"


@pytest.mark.timeout(300)
async def test_every_acknowledged_start_finishes_through_twenty_kills() -> None:
    found = await chaos(kills=KILLS, seed=20261125)
    assert found.verdict.faults == []
    assert found.verdict.acknowledged == found.verdict.completed
    assert found.valid, found.line()
    assert found.doubled
    assert found.late_results


async def test_the_verdict_misses_what_a_ledger_has_and_the_store_has_not(tmp_path: Path) -> None:
    # Given clients that were told of a start and of two results, one of them
    # told otherwise when it came again, and an empty store
    ledgers = Ledgers()
    ledgers.sent["run-1"] = WORKFLOW
    ledgers.worker.accepted[TASK] = {1: b'{"number":1}', 2: b'{"number":2}'}
    ledgers.worker.refused[TASK, 2] = 2
    # Then each is a fault
    verdict = await judge(tmp_path / "podium.db", ledgers)
    assert verdict.faults == [
        f"{WORKFLOW} was acknowledged and is not stored",
        f"{TASK} was acknowledged for the epochs [1, 2]",
        f"{TASK} was acknowledged and its workflow is not stored",
        f"{TASK} epoch 2 was acknowledged and refused",
    ]
