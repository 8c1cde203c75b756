"""The shipped conformance suite, on every backend of this repository."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest

from podium.store import conformance
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

CHECKING = "(subject: 'Subject') -> 'None'"
MODULES = [
    import_module(f"{conformance.__name__}.{each.name}")
    for each in iter_modules(conformance.__path__)
]
WAITING = (*commits.CHECKS, *starts.CHECKS, *registry.CHECKS, *inspection.CHECKS)
"""Of verbs that wait for replicas where that is asked for; the others travel as they always do."""
CLAIMING = (*admission.CHECKS, *queues.CHECKS)
"""Most of them wait until a claim ends, which takes seconds where nobody moves the clock."""
UNCLAIMING = tuple(each for each in CHECKS if each not in CLAIMING)
CARRYING = (*commits.CHECKS, *registry.CHECKS)
"""Each way over a connection: one command, scripts that a node does not know, pipelines over all
nodes, the bus. Of other verbs only the commands differ, and the rights to those are the same as on
one node.
"""


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_check_that_is_written_is_in_the_suite(module: ModuleType) -> None:
    written = {
        found
        for found in vars(module).values()
        if inspect.iscoroutinefunction(found)
        and found.__module__ == module.__name__
        and str(inspect.signature(found)) == CHECKING
    }
    assert written <= set(CHECKS)


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
@pytest.mark.parametrize("check", UNCLAIMING, ids=lambda check: check.__name__)
async def test_redis_conforms_over_tls_with_an_acl_user(
    check: Check, url_of: Callable[[str], str]
) -> None:
    async with distant(url_of("secured-redis")) as subject:
        await check(subject)


@pytest.mark.part("redis-server")
@pytest.mark.timeout(60)  # of six nodes, each of which answers a handshake for each test
@pytest.mark.parametrize("kind", ["secured-cluster", "secured-sentinel"])
@pytest.mark.parametrize("check", CARRYING, ids=lambda check: check.__name__)
async def test_several_nodes_conform_over_tls_with_an_acl_user(
    check: Check, kind: str, url_of: Callable[[str], str]
) -> None:
    async with distant(url_of(kind)) as subject:
        await check(subject)


@pytest.mark.part("redis-server")
async def test_redis_claims_over_tls_with_an_acl_user(url_of: Callable[[str], str]) -> None:
    """The rest, some at once: what they test is the same, only the way there is new."""
    url = url_of("secured-redis")
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
