"""Executions of the corpus that begin at one server while whoever works on them is at another."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import grpc

from podium.conductor.task_service_pb2_grpc import TaskServiceStub
from tests.corpus.driver import Conductor, Variant
from tests.corpus.running import EXPECTATIONS, comes_to_what_is_expected, make_known

if TYPE_CHECKING:
    from collections.abc import Iterable

Case: TypeAlias = tuple[str, Variant]
CASES: tuple[Case, ...] = (
    ("simple_workflow_3_integration_test", "ok"),
    ("simple_workflow_3_integration_test", "retry"),
    ("simple_workflow_3_integration_test", "terminal"),
    ("fork_join_integration_test", "ok"),
    ("fork_join_sub_workflow", "ok"),
    ("dynamic_fork_join_integration_test", "ok"),
    ("do_while_integration_test", "ok"),
)


class Apart(Conductor):
    """Starts and looks at one server, polls and reports at another."""

    def __init__(self, starts: str, works: str) -> None:
        super().__init__(starts)
        self._other = grpc.insecure_channel(works)
        self._tasks = TaskServiceStub(self._other)

    def close(self) -> None:
        self._other.close()
        super().close()


def run_all(client: Apart, cases: Iterable[Case] = CASES) -> None:
    """All come to what is expected; the client is closed then."""
    try:
        make_known(client)
        for name, variant in cases:
            comes_to_what_is_expected(client, EXPECTATIONS[name], variant)
    finally:
        client.close()
