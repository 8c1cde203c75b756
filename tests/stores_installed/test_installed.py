"""A store of another distribution: found by its scheme, held to the conformance suite, served."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from podium.config import Store
from podium.store.conformance import CHECKS
from podium.store.conformance.subject import Subject
from podium.stores import StoreUnknown, open_store
from tests.cli.serving import serving
from tests.store.subjects import Bench, Clock
from tests.system_tasks.test_example import install

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parent / "example"
Check = Callable[[Subject], Awaitable[None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """With the example package in it, as pip installs it."""
    return install(EXAMPLE, tmp_path_factory.mktemp("installed"))


@pytest.fixture
def installed(folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("podium_example_store", None)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_toy_conforms(check: Check, installed: None) -> None:
    clock = Clock()
    store = open_store(Store(url="toy://here"), clock.now_ms)
    await store.open()
    await check(Bench(store, clock))
    await store.close()


async def test_it_is_the_installed_store_that_worked(installed: None) -> None:
    store = cast("Any", open_store(Store(url="toy://here"), Clock().now_ms))
    assert (type(store).__name__, store.url, store.commits_count) == ("ToyStore", "toy://here", 0)


def test_a_scheme_that_nothing_has_is_refused(installed: None) -> None:
    with pytest.raises(StoreUnknown, match=r"expected memory://.* found other://here"):
        open_store(Store(url="other://here"), Clock().now_ms)


def test_a_store_that_cannot_be_made_is_refused_without_its_words(
    installed: None, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StoreUnknown) as refusal:
        open_store(Store(url="broken://here"), Clock().now_ms)
    assert "expected a store that can be made, found RuntimeError" in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert "secret" in caplog.text


async def test_a_server_serves_over_it(folder: str) -> None:
    async with serving("--store", "toy://here", PYTHONPATH=folder) as server:
        assert server.said["store"] == "toy://here"
