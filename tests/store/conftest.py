"""Nodes on the Redis protocol, started once per worker process of pytest when a test asks."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.store.nodes import DURABLE, Cluster, Node, Replicated, Watched
from tests.store.secured import Secured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def url_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The URL of a running `redis`, `cluster`, `sentinel`, `replicated` or `secured`."""
    with ExitStack() as stack:

        @cache
        def url(kind: str) -> str:
            folder = tmp_path_factory.mktemp(kind)
            if kind == "cluster":
                return stack.enter_context(Cluster(folder, *DURABLE)).url
            if kind == "sentinel":
                return stack.enter_context(Watched(folder)).url
            if kind == "secured":
                return stack.enter_context(Secured(folder)).url
            if kind == "replicated":
                return stack.enter_context(Replicated(folder)).url
            return stack.enter_context(Node(folder, *DURABLE)).url

        yield url
