"""The shipped conformance suite, on every backend of this repository."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from podium.store.conformance import (
    CHECKS,
    admission,
    commits,
    inspection,
    queues,
    registry,
    starts,
)
from podium.store.conformance.subject import Subject
from podium.store.redis.durability import Durability
from tests.store.subjects import distant, opened

Check = Callable[[Subject], Awaitable[None]]

WAITING = (*commits.CHECKS, *starts.CHECKS, *registry.CHECKS, *inspection.CHECKS)
"""Of verbs that wait for replicas where that is asked for; the others travel as they always do."""
CLAIMING = (*admission.CHECKS, *queues.CHECKS)
"""Most of them wait until a claim ends, which takes seconds where nobody moves the clock."""


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


@pytest.mark.part("redis-server")
@pytest.mark.parametrize(
    "check", [each for each in CHECKS if each not in CLAIMING], ids=lambda check: check.__name__
)
async def test_redis_conforms_over_tls_with_an_acl_user(
    check: Check, url_of: Callable[[str], str]
) -> None:
    async with distant(url_of("secured")) as subject:
        await check(subject)


@pytest.mark.part("redis-server")
async def test_redis_claims_over_tls_with_an_acl_user(url_of: Callable[[str], str]) -> None:
    """The rest, some at once: what they test is the same, only the way there is new."""
    url = url_of("secured")
    lanes = asyncio.Semaphore(8)

    async def run(check: Check) -> None:
        async with lanes, distant(url) as subject:
            await check(subject)

    answers = await asyncio.gather(*map(run, CLAIMING), return_exceptions=True)
    failed = {
        check.__name__: answer
        for check, answer in zip(CLAIMING, answers, strict=True)
        if answer is not None
    }
    assert not failed


def test_every_check_is_run() -> None:
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS) > 60
