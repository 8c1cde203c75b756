"""The Dynomite under test: the stand-in, or a real one whose place the environment gives."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.dynomite.standin import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

REAL = "PODIUM_TEST_DYNOMITE"


@dataclass(frozen=True, slots=True)
class Dynomite:
    """`offences`: what the stand-in refused or mangled; a real one tells nobody."""

    url: str
    offences: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def dynomite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dynomite]:
    """One for all tests of a process; every store in it has a prefix of its own."""
    if real := os.environ.get(REAL):
        yield Dynomite(f"dynomite://{real}")
        return
    with StandIn(tmp_path_factory.mktemp("dynomite")) as standin:
        yield Dynomite(standin.url, standin.offences)
