"""The shipped conformance suite, on every backend of this repository."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from podium.store.conformance import CHECKS
from podium.store.conformance.subject import Subject
from tests.store.subjects import distant, opened

Check = Callable[[Subject], Awaitable[None]]


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


def test_every_check_is_run() -> None:
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS) > 60
