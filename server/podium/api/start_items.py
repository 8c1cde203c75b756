"""Batches of starts: all items of one at once, so that they share commits; each for itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from podium.api.item import item_status
from podium.api.json_payload import payload_of
from podium.api.off_loop import convert
from podium.api.value import ValueUnsound
from podium.app.start import StartRequest
from podium.v1 import workflow_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podium.app.start import IdempotencyStrategy, StartWorkflow
    from podium.model.definition import WorkflowDef

ITEMS_MAX: Final = 1_000
STRATEGIES: Final[Mapping[int, IdempotencyStrategy]] = {
    pb.IDEMPOTENCY_STRATEGY_UNSPECIFIED: "RETURN_EXISTING",
    pb.IDEMPOTENCY_STRATEGY_FAIL: "FAIL",
    pb.IDEMPOTENCY_STRATEGY_RETURN_EXISTING: "RETURN_EXISTING",
    pb.IDEMPOTENCY_STRATEGY_FAIL_ON_RUNNING: "FAIL_ON_RUNNING",
}


class StartItems:
    """Starts what batches ask for."""

    def __init__(self, starts: StartWorkflow) -> None:
        self._starts = starts

    async def start_all(self, items: Sequence[pb.StartItem]) -> list[pb.StartResult]:
        """One result per item, in order, once each is durably stored or refused."""
        async with asyncio.TaskGroup() as group:
            started = [
                group.create_task(self._start(f"items[{index}]", item))
                for index, item in enumerate(items)
            ]
        return [each.result() for each in started]

    async def _start(self, place: str, item: pb.StartItem) -> pb.StartResult:
        try:
            asked = await convert(len(item.input.json), start_request_of, place, item)
            started = await self._starts.start(asked)
        except Exception as error:  # noqa: BLE001 - items stand for themselves: none harms another
            code, message = item_status(place, error)
            return pb.StartResult(error=pb.StartError(code=code, message=message))
        return pb.StartResult(workflow_id=started.workflow_id, existing=started.existing)


def check_count(place: str, items: Sequence[pb.StartItem]) -> None:
    """Raises ValueUnsound where the batch is empty or too long."""
    if not 0 < len(items) <= ITEMS_MAX:
        raise ValueUnsound(f"{place}: expected 1 to {ITEMS_MAX}, found {len(items)}")


def refused_results(error: Exception, items: Sequence[pb.StartItem]) -> list[pb.StartResult]:
    """The same refusal for each."""
    code, message = item_status("items", error)
    return [pb.StartResult(error=pb.StartError(code=code, message=message)) for _ in items]


def start_request_of(
    place: str, item: pb.StartItem, definition: WorkflowDef | None = None
) -> StartRequest:
    """Raises ValueUnsound."""
    strategy = STRATEGIES.get(item.idempotency_strategy)
    if strategy is None:
        raise ValueUnsound(
            f"{place}.idempotency_strategy: expected one of {', '.join(map(str, STRATEGIES))}, "
            f"found {item.idempotency_strategy}"
        )
    return StartRequest(
        name=item.name,
        version=item.version,
        definition=definition,
        input=payload_of(f"{place}.input", item.input),
        correlation_id=item.correlation_id,
        priority=item.priority,
        task_to_domain=dict(item.task_to_domain),
        idempotency_key=item.idempotency_key,
        idempotency_strategy=strategy,
    )
