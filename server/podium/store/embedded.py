"""What the memory and sqlite stores share: everything that lives in this process.

The `ready`, `slot` and `held` entries are mirrored here by partition, so that queues follow them at
once: a commit that takes a task's ready entry away takes the task out of its queue, a stored slot
counts, a deleted one does not. A push, `settle`, `unclaim` and `release` are therefore harmless in
any order and any number of times: the truth stands beside the cache, and the truth wins.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from itertools import islice
from typing import TYPE_CHECKING

from podium.store.embedded_view import EmbeddedView, Part, discount
from podium.store.inspection import Entries
from podium.store.port import Waiting, partition_of, workflow_of
from podium.store.queue_state import is_queued, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.model.queue import Deadline, LeaseKind, Limits, Queue, Ready
    from podium.store.inspection import QueueState
    from podium.store.port import (
        Commit,
        Deliver,
        Loaded,
        PushResult,
        Release,
        Settle,
        WantResult,
    )
    from podium.store.queues import Start


class EmbeddedStore(EmbeddedView, ABC):
    """Base of the stores that one process holds. `now_ms` is the store's clock."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__(now_ms)
        self._watchers: dict[str, dict[str, None]] = {}
        self._subscribers: dict[str, Deliver] = {}
        self._concerns: dict[str, int] = {}

    def rebuild(self, starts: Sequence[Start] = ()) -> None:
        """Make the queues anew from the mirrored truth."""
        ready = [each for part in self.parts for each in part.ready.values()]
        slots = [each for part in self.parts for each in part.slots.items()]
        self.queues.rebuild(ready, slots, starts)
        self.count()

    def take_in(self, commit: Commit) -> None:
        """Mirror a commit that succeeded."""
        part = self.parts[partition_of(commit.workflow_id)]
        for task_id in commit.unready:
            self._take_unready(part, task_id)
        for ready in commit.ready:
            self.ready_counts[ready.queue] += ready.task_id not in part.ready
            part.ready[ready.task_id] = ready
        for task_id in commit.unslotted:
            self._take_unslotted(part, task_id)
        for task_id, queue in commit.slots:
            part.slots[task_id] = queue
            self.queues.hold(task_id, queue)
        for incarnation, task_id in commit.unheld:
            self._take_unheld(part, incarnation, task_id)
        for incarnation, task_id in commit.held:
            part.held.setdefault(incarnation, {})[task_id] = None
        self._take_outstanding(part, commit)

    def _take_outstanding(self, part: Part, commit: Commit) -> None:
        for task_id in commit.returned:
            self._take_returned(part, task_id)
        for task_id, outstanding in commit.outstanding:
            self._take_returned(part, task_id)
            part.outstanding[task_id] = outstanding
            self.outstanding[outstanding] += 1

    def take_out(self, workflow_id: str) -> None:
        """Mirror the removal of an execution."""
        part = self.parts[partition_of(workflow_id)]
        prefix = f"{workflow_id}."
        for task_id in [each for each in part.ready if each.startswith(prefix)]:
            self._take_unready(part, task_id)
        for task_id in [each for each in part.slots if each.startswith(prefix)]:
            self._take_unslotted(part, task_id)
        for incarnation, tasks in list(part.held.items()):
            for task_id in [each for each in tasks if each.startswith(prefix)]:
                self._take_unheld(part, incarnation, task_id)
        for task_id in [each for each in part.outstanding if each.startswith(prefix)]:
            self._take_returned(part, task_id)
        self._watchers.pop(workflow_id, None)

    @property
    def unsuitable_nodes(self) -> int:
        return 0

    @abstractmethod
    async def load(self, workflow_id: str, names: Sequence[str] | None) -> Loaded | None: ...

    async def kept(self, workflow_id: str, version: int) -> bool:
        """What can be read is as durable as it will be."""
        loaded = await self.load(workflow_id, ())
        return loaded is not None and loaded.version >= version

    @property
    def watched(self) -> bool:
        """Whether anything is watched at all."""
        return bool(self._watchers)

    def watchers(self, workflow_id: str) -> tuple[str, ...]:
        return tuple(self._watchers.get(workflow_id, ()))

    def _take_unready(self, part: Part, task_id: str) -> None:
        ready = part.ready.pop(task_id, None)
        if ready is not None:
            discount(self.ready_counts, ready.queue)
            self.queues.drop(task_id, ready.queue)

    def _take_returned(self, part: Part, task_id: str) -> None:
        outstanding = part.outstanding.pop(task_id, None)
        if outstanding is not None:
            discount(self.outstanding, outstanding)

    def _take_unslotted(self, part: Part, task_id: str) -> None:
        queue = part.slots.pop(task_id, None)
        if queue is not None:
            self.queues.free(task_id, queue)

    def _take_unheld(self, part: Part, incarnation: str, task_id: str) -> None:
        tasks = part.held.get(incarnation)
        if tasks is not None:
            tasks.pop(task_id, None)
            if not tasks:
                del part.held[incarnation]

    def _part_of(self, task_id: str) -> Part:
        return self.parts[partition_of(workflow_of(task_id))]

    # Queues

    async def push_assign(self, pushes: Sequence[Ready]) -> list[PushResult]:
        self.check_open()
        now_ms = self.now_ms()
        return [self._push(each, now_ms) for each in pushes]

    def _push(self, pushed: Ready, now_ms: int) -> PushResult:
        """What is stored counts (a late push may know an old score, or no limits)."""
        stored = self._part_of(pushed.task_id).ready.get(pushed.task_id)
        if stored is None:  # it was handed out or ended meanwhile
            return Waiting("backlog")
        return self.queues.push_assign(stored, now_ms)

    async def want(
        self, server: str, queue: Queue, count: int, *, kind: LeaseKind, limits: Limits
    ) -> WantResult:
        self.check_open()
        return self.queues.want((server, kind), queue, count, limits=limits, now_ms=self.now_ms())

    async def admit(self, task_id: str, queue: Queue, limits: Limits) -> bool:
        self.check_open()
        return self.queues.admit(task_id, queue, limits, self.now_ms())

    async def settle(self, settles: Sequence[Settle]) -> None:
        self.check_open()
        for each in settles:
            part = self._part_of(each.task_id)
            if each.task_id not in part.ready:  # else it is ready again: not this claim's business
                self.queues.drop(each.task_id, each.queue)
            if each.hold and each.task_id in part.slots:
                self.queues.hold(each.task_id, each.queue)

    async def unclaim(self, task_id: str, queue: Queue) -> None:
        self.check_open()
        self.queues.drop(task_id, queue)
        ready = self._part_of(task_id).ready.get(task_id)
        if ready is not None:
            self.queues.place(ready)

    async def set_aside(self, task_id: str, queue: Queue) -> None:
        self.check_open()
        self.queues.land(task_id, queue)

    async def leave(self, ended: Sequence[Ready]) -> None:
        """The commit that ended them took them out."""
        del ended
        self.check_open()

    async def release(self, releases: Sequence[Release]) -> list[PushResult | None]:
        self.check_open()
        now_ms = self.now_ms()
        results: list[PushResult | None] = []
        for each in releases:
            if each.task_id not in self._part_of(each.task_id).slots:
                self.queues.free(each.task_id, each.queue)
            results.append(self.queues.advance(each.queue, each.limits, now_ms))
        return results

    # The truth

    async def ready(self, partitions: Sequence[int]) -> list[Ready]:
        self.check_open()
        found = [each for part in partitions for each in self.parts[part].ready.values()]
        return sorted(found, key=lambda each: each.task_id)

    async def slots(self, partition: int) -> list[tuple[str, Queue]]:
        self.check_open()
        return sorted(self.parts[partition].slots.items(), key=lambda each: each[0])

    async def held(self, partitions: Sequence[int], incarnation: str) -> list[str]:
        self.check_open()
        return sorted(
            each for part in partitions for each in self.parts[part].held.get(incarnation, ())
        )

    async def holders(self, partitions: Sequence[int]) -> set[str]:
        self.check_open()
        return {each for part in partitions for each in self.parts[part].held}

    # Looking

    @abstractmethod
    def beside(self, workflow_id: str, limit: int) -> tuple[list[Deadline], int]:
        """Deadlines of an execution, the earliest first, and how many effects of it wait."""

    @abstractmethod
    def due_owners(self, partition: int) -> set[str]:
        """Executions with a deadline in the partition."""

    async def entries(self, workflow_id: str, limit: int) -> Entries:
        self.check_open()
        part = self.parts[partition_of(workflow_id)]
        prefix, most = f"{workflow_id}.", limit or None
        ready = sorted(each for each in part.ready if each.startswith(prefix))
        slots = sorted(each for each in part.slots if each.startswith(prefix))
        held = [
            (task_id, incarnation)
            for incarnation, tasks in part.held.items()
            for task_id in tasks
            if task_id.startswith(prefix)
        ]
        outstanding = sorted(each for each in part.outstanding if each.startswith(prefix))
        due, outbox = self.beside(workflow_id, limit)
        return Entries(
            ready=tuple(part.ready[each] for each in islice(ready, most)),
            slots=tuple((each, part.slots[each]) for each in islice(slots, most)),
            held=tuple((incarnation, each) for each, incarnation in islice(sorted(held), most)),
            outstanding=tuple((each, part.outstanding[each]) for each in islice(outstanding, most)),
            due=tuple(due),
            outbox=outbox,
        )

    async def owners(self, partition: int) -> list[str]:
        self.check_open()
        part = self.parts[partition]
        held = (each for tasks in part.held.values() for each in tasks)
        tasks = {*part.ready, *part.slots, *part.outstanding, *held}
        return sorted({workflow_of(task_id) for task_id in tasks} | self.due_owners(partition))

    async def queue_state(self, queue: Queue, limits: Limits) -> QueueState:
        self.check_open()
        return state_of(self.queues, queue, limits, self.now_ms())

    async def queued(self, tasks: Sequence[Ready]) -> list[bool]:
        self.check_open()
        return [is_queued(self.queues, each.task_id, each.queue) for each in tasks]

    # Watchers and bus

    async def watch(self, workflow_id: str, server: str, *, on: bool) -> None:
        self.check_open()
        if on:
            self._watchers.setdefault(workflow_id, {})[server] = None
            return
        watchers = self._watchers.get(workflow_id)
        if watchers is not None:
            watchers.pop(server, None)
            if not watchers:
                del self._watchers[workflow_id]

    async def publish(self, server: str, message: bytes) -> None:
        self.check_open()
        if server in self._subscribers:
            asyncio.get_running_loop().call_soon(self._deliver, server, message)

    def subscribe(self, server: str, deliver: Deliver | None) -> None:
        if deliver is None:
            self._subscribers.pop(server, None)
        else:
            self._subscribers[server] = deliver

    def _deliver(self, server: str, message: bytes) -> None:
        """To who subscribes when it arrives: a server that left in between is told nothing."""
        deliver = self._subscribers.get(server)
        if deliver is not None:
            deliver(message)

    def told(self, incarnation: str, concerns: int | None) -> dict[str, int]:
        """What all members told of their concerns, with this one's."""
        if concerns is not None:
            self._concerns[incarnation] = concerns
        return dict(self._concerns)

    def forget_server(self, incarnation: str) -> None:
        """A member that left waits for nothing and watches nothing."""
        self._concerns.pop(incarnation, None)
        self.queues.forget_server(incarnation)
        for workflow_id in [each for each, by in self._watchers.items() if incarnation in by]:
            watchers = self._watchers[workflow_id]
            del watchers[incarnation]
            if not watchers:
                del self._watchers[workflow_id]
