"""Nodes on the Redis protocol, started once per worker process of pytest when a test asks."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest

from tests.store.nodes import DURABLE, Cluster, Node, Replicated, Watched
from tests.store.secured import Secured, SecuredCluster, SecuredWatched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


STARTED: Final[dict[str, Callable[[Path], Node | Cluster | Watched | Replicated]]] = {
    "redis": lambda folder: Node(folder, *DURABLE),
    "cluster": lambda folder: Cluster(folder, *DURABLE),
    "sentinel": Watched,
    "replicated": Replicated,
    "secured-redis": Secured,
    "secured-cluster": SecuredCluster,
    "secured-sentinel": SecuredWatched,
}


@pytest.fixture(scope="session")
def url_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The URL of a running `redis`, `cluster`, `sentinel` or `replicated`; `secured-` comes before
    the name of the first three for TLS and an ACL user.
    """
    with ExitStack() as stack:

        @cache
        def url(kind: str) -> str:
            folder = tmp_path_factory.mktemp(kind)
            made = STARTED[kind](folder)
            return stack.enter_context(made).url

        yield url
