"""AdminService.Explain: causes as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.method_table import Context, Served
from podium.app.explain import Explainer
from podium.v1 import admin_explain_pb2 as pb

if TYPE_CHECKING:
    from podium.app.cause import Cause, Explanation
    from podium.app.services import Services


class AdminExplain:
    """One method."""

    def __init__(self, services: Services) -> None:
        self._explainer = Explainer(services)

    def served(self) -> dict[str, Served]:
        """By method name."""
        return {"Explain": Served(self.explain, pb.ExplainRequest)}

    async def explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        del context
        found = await self._explainer.explain(request.workflow_id)
        return pb.ExplainResponse(explanation=explanation_of(found))


def explanation_of(found: Explanation) -> pb.Explanation:
    """The message of an explanation, those within included."""
    return pb.Explanation(
        workflow_id=found.workflow_id,
        workflow_name=found.name,
        status=found.status,
        since_ms=found.since_ms,
        causes=[cause_of(each) for each in found.causes],
        more_open=found.more,
    )


def cause_of(cause: Cause) -> pb.Cause:
    """The message of a cause."""
    return pb.Cause(
        kind=pb.CauseKind.Value(f"CAUSE_KIND_{cause.kind}"),
        message=cause.text,
        remedy=cause.remedy,
        since_ms=cause.since_ms,
        until_ms=cause.until_ms,
        tasks=[
            pb.CauseTask(
                reference=each.ref,
                task_id=each.task_id,
                task_type=each.task_type,
                status=each.status,
            )
            for each in cause.tasks
        ],
        more_tasks=cause.more_tasks,
        task_type=cause.queue.task_type if cause.queue is not None else "",
        domain=cause.queue.domain if cause.queue is not None else "",
        domains=cause.domains,
        workers=cause.workers,
        limit=cause.limit,
        in_use=cause.in_use,
        holders=cause.holders,
        queue_size=cause.ahead,
        worker_id=cause.worker_id,
        session=cause.session,
        deadline_ms=cause.deadline_ms,
        attempts=cause.attempts,
        reason=cause.reason,
        actor=cause.actor,
        workflow_id=cause.workflow_id,
        place=cause.place,
        explanation=None if cause.inner is None else explanation_of(cause.inner),
    )
