"""Two servers over a store, under its faults: nothing acknowledged is lost, all goes on.

Redis has every fault; the others those of their own, and some of which the store's part differs
(`make chaos STORE=` has all of them on each).
"""

import pytest

from tests.chaos.faults import NODE_FAULTS
from tests.chaos.storm import storm

FAULTS = {
    "redis": {each.name for each in NODE_FAULTS},
    "dynomite": {"kill_server", "kill_store", "restart_store", "lost_answers"},
    "sentinel": {"two_owners", "replace_master", "kill_master", "kill_sentinel"},
    "cluster": {"answers_held", "replace_one", "kill_node", "kill_pair", "move_slots"},
}


@pytest.mark.part("redis-server")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", FAULTS)
async def test_two_servers_survive_faults_of_them_and_their_store(store: str) -> None:
    found = await storm(store, minutes=0, seed=20261126, only=frozenset(FAULTS[store]))
    assert found.violations == [], found.lines()
    assert set(found.faults) == FAULTS[store]
    assert found.doubled
    assert found.late_results
    assert found.verdict.acknowledged == found.verdict.completed
