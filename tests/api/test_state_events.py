"""Events of changing tasks, from a JSON document to a Watch, on a real channel (S-044)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson

from podium.v1 import metadata_pb2 as pb
from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as podium
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, started
from tests.api.waiting import ended

CHANGE: dict[str, Any] = {
    "onStart": [{"type": "begun", "payload": {"n": "${workflow.input.n}"}}],
    "onSuccess": [{"type": "done", "payload": {"pin": "${step.output.pin}", "x": 1}}],
}
DOCUMENT: dict[str, Any] = {
    "name": "one",
    "maskedFields": ["pin"],
    "tasks": [{"name": "step", "taskReferenceName": "step", "onStateChange": CHANGE}],
}


async def watched(edge: Edge, workflow_id: str, from_position: int = 0) -> list[podium.Change]:
    asked = podium.WatchRequest(workflow_id=workflow_id, from_position=from_position)
    return [change async for some in edge.podium.Watch(asked) for change in some.changes]


def json(text: bytes) -> worker_pb2.Payload:
    return worker_pb2.Payload(json=text)


async def test_a_watch_has_each_event_at_its_change_and_masks_it() -> None:
    async with Edge() as edge:
        document = orjson.dumps(DOCUMENT)
        await edge.definitions.RegisterWorkflow(pb.RegisterWorkflowRequest(json=document))
        workflow_id = await started(edge, n=4)
        await completed(edge, await polled(edge), pin="1234")
        await ended(edge, workflow_id)
        changes = await watched(edge, workflow_id)
        found = [
            (change.reference_name, change.task_status, event.moment, event.type, event.payload)
            for change in changes
            for event in change.events
        ]
        assert found == [
            ("step", "IN_PROGRESS", "onStart", "begun", json(b'{"n":4}')),
            (
                "step",
                "COMPLETED",
                "onSuccess",
                "done",
                json(b'{"pin":"***","x":1}'),
            ),
        ]
        # A watch that goes on behind an event does not have it again
        last = next(each.position for each in changes if each.task_status == "COMPLETED")
        rest = await watched(edge, workflow_id, last + 1)
        assert not any(change.events for change in rest)


async def test_responses_are_cut_between_commits_where_events_are_large() -> None:
    def big(when: str, name: str) -> dict[str, Any]:
        event = {"type": "big", "payload": {"x": "${workflow.input.x}"}}
        return {"name": name, "taskReferenceName": name, "onStateChange": {when: [event] * 10}}

    forks = [[big("onScheduled,onSuccess", f"t{index}")] for index in range(4)]
    tasks = [
        {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": forks},
        {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["t0", "t1", "t2", "t3"]},
    ]
    async with Edge() as edge:
        document = orjson.dumps({"name": "one", "tasks": tasks})
        await edge.definitions.RegisterWorkflow(pb.RegisterWorkflowRequest(json=document))
        workflow_id = await started(edge, x="x" * 65_000)
        for index in range(4):
            await completed(edge, await polled(edge, f"t{index}"))
        await ended(edge, workflow_id)
        asked = podium.WatchRequest(workflow_id=workflow_id)
        answers = [each async for each in edge.podium.Watch(asked)]
        events = [len(each.events) for some in answers for each in some.changes]
        positions = [{change.position for change in some.changes} for some in answers]
        assert sum(events) == 80
        assert max(each.ByteSize() for each in answers) < 5 * 1024 * 1024
        assert all(not (one & two) for one, two in pairwise(positions))
