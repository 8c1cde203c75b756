"""AdminService: GetConfig, ListMembers, ListWorkers."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from podium.api.method_table import Context, Served
from podium.runtime.away import DEAD_MS
from podium.runtime.members import owned_by
from podium.runtime.stream_view import StreamView, WaitingView, waiting_of
from podium.v1 import admin_view_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.app.config_view import Shown
    from podium.app.services import Services

LEASES_TOLD: Final = 1_000
NAMES_TOLD: Final = 10


class AdminView:
    """Three methods; `streams` gives the connected workers of this server."""

    def __init__(self, services: Services, streams: Callable[[], Sequence[StreamView]]) -> None:
        self._services = services
        self._streams = streams

    def served(self) -> dict[str, Served]:
        """By method name."""
        return {
            "GetConfig": Served(self.get_config, pb.GetConfigRequest),
            "ListMembers": Served(self.list_members, pb.ListMembersRequest),
            "ListWorkers": Served(self.list_workers, pb.ListWorkersRequest),
        }

    async def get_config(
        self, request: pb.GetConfigRequest, context: Context
    ) -> pb.GetConfigResponse:
        del request, context
        return pb.GetConfigResponse(values=[value_of(each) for each in self._services.config])

    async def list_members(
        self, request: pb.ListMembersRequest, context: Context
    ) -> pb.ListMembersResponse:
        del request, context
        runtime = self._services.runtime
        beat = await self._services.store.heartbeat(runtime.incarnation)
        live = runtime.members.live
        members: list[pb.Member] = []
        for incarnation, seen_ms in sorted(beat.members.items()):
            own = incarnation == runtime.incarnation
            alive = (
                own
                or incarnation in live
                or (self._services.store.capabilities.shared and beat.now_ms - seen_ms < DEAD_MS)
            )
            members.append(
                pb.Member(
                    incarnation=incarnation,
                    self=own,
                    address=self._services.place.address if own else "",
                    heartbeat_age_ms=max(beat.now_ms - seen_ms, 0),
                    alive=alive,
                    started_ms=self._services.place.started_ms if own else 0,
                    version=podium_version() if own else "",
                    partitions=len(owned_by(incarnation, live)) if incarnation in live else 0,
                )
            )
        return pb.ListMembersResponse(members=members)

    async def list_workers(
        self, request: pb.ListWorkersRequest, context: Context
    ) -> pb.ListWorkersResponse:
        del request, context
        views = sorted(self._streams(), key=lambda each: (each.worker_id, each.session))
        sessions = frozenset(each.session for each in views)
        waiting = waiting_of(self._services.runtime.dispatcher.known(), sessions)
        return pb.ListWorkersResponse(
            workers=[worker_of(each) for each in views],
            waiting=[waiting_message_of(each) for each in waiting],
        )


def podium_version() -> str:
    """Of the distribution that runs; empty from a bare source tree."""
    try:
        return version("podium")
    except PackageNotFoundError:
        return ""


def value_of(shown: Shown) -> pb.ConfigValue:
    """The message of a setting."""
    return pb.ConfigValue(
        section=shown.section,
        key=shown.key,
        value=shown.value,
        origin=shown.origin,
        redacted=shown.redacted,
    )


def worker_of(view: StreamView) -> pb.ConnectedWorker:
    """The message of a stream."""
    return pb.ConnectedWorker(
        worker_id=view.worker_id,
        session=view.session,
        sdk=view.sdk,
        state=view.state,
        connected_ms=view.connected_ms,
        last_frame_ms=view.heard_ms,
        queues=[
            pb.ServedQueue(
                task_type=each.queue.task_type, domain=each.queue.domain, credit=each.credit
            )
            for each in view.queues
        ],
        leases=[
            pb.HeldLease(task_id=task_id, lease_epoch=epoch)
            for task_id, epoch in view.leases[:LEASES_TOLD]
        ],
        lease_count=len(view.leases),
    )


def waiting_message_of(view: WaitingView) -> pb.WaitingWorkers:
    """The message of those who wait at a queue."""
    return pb.WaitingWorkers(
        task_type=view.queue.task_type,
        domain=view.queue.domain,
        kind="poll" if view.kind == "poll" else "server",
        count=len(view.worker_ids),
        worker_ids=view.worker_ids[:NAMES_TOLD],
        credit=view.credit,
    )
