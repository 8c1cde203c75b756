"""The shipped conformance suite, on every backend of this repository."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from podium.store.conformance import CHECKS, commits, inspection, registry, starts
from podium.store.conformance.subject import Subject
from podium.store.redis.durability import Durability
from tests.store.subjects import distant, opened

Check = Callable[[Subject], Awaitable[None]]

WAITING = (*commits.CHECKS, *starts.CHECKS, *registry.CHECKS, *inspection.CHECKS)
"""Of verbs that wait for replicas where that is asked for; the others travel as they always do."""


@pytest.mark.parametrize("backend", ["memory", "sqlite", "memory+faulty", "sqlite+faulty"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_backend_conforms(check: Check, backend: str, tmp_path: Path) -> None:
    async with opened(backend, tmp_path) as subject:
        await check(subject)


@pytest.mark.part("redis-server")
@pytest.mark.parametrize("kind", ["redis", "cluster", "sentinel"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_redis_conforms(check: Check, kind: str, url_of: Callable[[str], str]) -> None:
    async with distant(url_of(kind)) as subject:
        await check(subject)


@pytest.mark.part("redis-server")
@pytest.mark.parametrize("kind", ["replicated", "cluster", "sentinel"])
@pytest.mark.parametrize("check", WAITING, ids=lambda check: check.__name__)
async def test_redis_conforms_with_replicas(
    check: Check, kind: str, url_of: Callable[[str], str]
) -> None:
    async with distant(url_of(kind), Durability("replica")) as subject:
        await check(subject)


def test_every_check_is_run() -> None:
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS) > 60
