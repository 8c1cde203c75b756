"""The changes that Watch streams: commits of an execution into podium.v1 messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from podium.app.executions import Seen
    from podium.model.execution import RaisedEvent

PORTION_BYTES: Final = 4 * 1024 * 1024
"""Payloads of events in one response, far below the message limit; a commit has at most 1 MiB."""


def portions(commits: Iterable[Seen]) -> Iterator[list[Seen]]:
    """The commits in order, as many at a time as a response may hold."""
    portion: list[Seen] = []
    held = 0
    for seen in commits:
        size = sum(len(event.payload) for event in seen.row.events)
        if portion and held + size > PORTION_BYTES:
            yield portion
            portion, held = [], 0
        portion.append(seen)
        held += size
    if portion:
        yield portion


def changes_of(seen: Seen) -> list[pb.Change]:
    """The tasks' changes of one commit; the execution's own where it is news, or all there is."""
    row = seen.row
    changes = {
        change.task_id: pb.Change(
            reference_name=change.ref,
            task_id=change.task_id,
            task_status=change.status_to,
            retry_count=change.retry_count,
        )
        for change in row.changes
    }
    for event in row.events:
        change = changes.get(event.task_id)
        if change is None:  # the task came and went within the commit
            change = pb.Change(reference_name=event.ref, task_id=event.task_id)
            changes[event.task_id] = change
        change.events.append(_event_of(event))
    found = list(changes.values())
    if seen.moved or not found:
        found.append(pb.Change())
    for change in found:
        change.position = row.position
        change.time_ms = row.time_ms
        change.workflow_status = row.workflow_status
        change.commands.extend(row.commands)
        change.actor = row.actor
    return found


def _event_of(event: RaisedEvent) -> pb.StateEvent:
    return pb.StateEvent(
        moment=event.moment,
        type=event.type,
        payload=worker_pb2.Payload(json=event.payload.json),
        error=event.error,
    )
