"""Asking AdminService.Explain, and planting what it should find."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import task_service_pb2 as task
from podium.v1 import admin_explain_pb2 as pb

if TYPE_CHECKING:
    from tests.api.edge import Edge

EVENT_S = 15


async def explain(edge: Edge, workflow_id: str) -> pb.Explanation:
    answer = await edge.admin.Explain(pb.ExplainRequest(workflow_id=workflow_id))
    found = answer.explanation
    assert found.workflow_id == workflow_id
    assert found.causes
    for cause in found.causes:
        assert cause.message.endswith((".", "?", "!")), cause.message
        assert cause.remedy
    return found


def kinds(found: pb.Explanation) -> list[str]:
    return [kind_of(each) for each in found.causes]


def kind_of(cause: pb.Cause) -> str:
    return pb.CauseKind.Name(cause.kind).removeprefix("CAUSE_KIND_")


def the(found: pb.Explanation, kind: str) -> pb.Cause:
    """The one cause of that kind."""
    [cause] = [each for each in found.causes if kind_of(each) == kind]
    return cause


async def until(edge: Edge, workflow_id: str, kind: str) -> pb.Explanation:
    """The first explanation with a cause of that kind."""
    async with asyncio.timeout(EVENT_S):
        while True:
            found = await explain(edge, workflow_id)
            if kind in kinds(found):
                return found
            await asyncio.sleep(0.02)


async def typed(edge: Edge, name: str, **fields: object) -> None:
    """Register a task definition."""
    given = definition.TaskDef(name=name, **fields)  # pyright: ignore[reportArgumentType]
    await edge.metadata.CreateTasks(metadata.CreateTasksRequest(defs=[given]))


async def asked_for(edge: Edge, task_type: str, domain: str = "") -> None:
    """A worker polls, and gets nothing or something, which is not looked at."""
    poll = task.PollRequest(task_type=task_type, worker_id="passer-by", domain=domain)
    await edge.tasks.Poll(poll)
