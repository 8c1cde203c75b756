"""Two servers over a Redis, under each fault once: nothing acknowledged is lost, all goes on."""

import pytest

from tests.chaos.storm import storm


@pytest.mark.part("redis-server")
@pytest.mark.timeout(400)
async def test_two_servers_survive_every_fault_of_them_and_their_store() -> None:
    found = await storm(minutes=0.5, seed=20261126)
    assert found.violations == [], found.lines()
    assert found.verdict.acknowledged == found.verdict.completed
