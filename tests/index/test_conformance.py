"""The shipped conformance suite, on every backend of this repository."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from podium.index.conformance import CHECKS
from podium.index.port import Index
from podium.index.sqlite import SqliteIndex

Check = Callable[[Index], Awaitable[None]]


def now_ms() -> int:
    return 0


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_backend_conforms(check: Check, backend: str, tmp_path: Path) -> None:
    path = tmp_path / "index" if backend == "sqlite" else None
    index = SqliteIndex(path, now_ms)
    await index.open()
    try:
        await check(index)
    finally:
        await index.close()


def test_every_check_is_run() -> None:
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS) > 20
