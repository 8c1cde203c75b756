"""What work costs a Redis, counted: the figures of the benchmark that are counts, on less work."""

import pytest

from tests.bench.plan import QUICK
from tests.bench.shared_costs import measure_forks, measure_scripts

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(180)]


async def test_scripts_per_task_keep_their_bars() -> None:
    for each in await measure_scripts(QUICK):
        assert each.met, each


async def test_scripts_per_branch_do_not_grow_with_the_fork() -> None:
    for each in await measure_forks(50, 500):
        assert each.met, each
