"""The simulation's checker finds nothing on any store: after each commit, at each hand-out and at
the end, with two servers where a store takes them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from podium.runtime.clock import SystemClock
from podium.store.memory import MemoryStore
from podium.store.sqlite import SqliteStore
from tests.corpus.driver import VARIANTS
from tests.corpus.running import EXPECTATIONS
from tests.store.checked import corpus_is_run_by_the_rules, two_servers_keep_the_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from podium.store.port import Store
    from tests.corpus.apart import Case

pytestmark = pytest.mark.timeout(180)

CASES: tuple[Case, ...] = tuple(
    (name, variant)
    for name, expected in EXPECTATIONS.items()
    if '"HTTP"' not in json.dumps(expected.document())  # carried out by a worker beside the runtime
    for variant in VARIANTS
)
COMMITS_MIN = 3 * len(CASES)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_embedded_store_keeps_the_rules(kind: str, tmp_path: Path) -> None:
    now_ms = SystemClock().now_ms
    store: Store
    store = MemoryStore(now_ms) if kind == "memory" else SqliteStore(tmp_path / "p.db", now_ms)
    assert await corpus_is_run_by_the_rules(store, [store], CASES) > COMMITS_MIN


@pytest.mark.part("redis-server")
@pytest.mark.parametrize("kind", ["redis", "cluster", "sentinel", "secured-redis"])
async def test_redis_keeps_the_rules(kind: str, url_of: Callable[[str], str]) -> None:
    assert await two_servers_keep_the_rules(url_of(kind), CASES) > COMMITS_MIN
