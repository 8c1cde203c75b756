"""Two servers over a store, under its faults: nothing acknowledged is lost, all goes on."""

import pytest

from tests.chaos.storm import STORES, storm

MINUTES = {"redis": 0.5, "sentinel": 0.4, "cluster": 0.5}


@pytest.mark.part("redis-server")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("store", STORES)
async def test_two_servers_survive_every_fault_of_them_and_their_store(store: str) -> None:
    found = await storm(store, minutes=MINUTES[store], seed=20261126)
    assert found.violations == [], found.lines()
    assert found.verdict.acknowledged == found.verdict.completed
