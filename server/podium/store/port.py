"""The store port: few verbs, each one atomic, that every backend implements (distribution.md §2).

Rules: values are bytes (store/codec.py makes them), never model records; every verb is safe to
repeat after an unknown outcome; a verb that fails raises `StoreUnavailable` (outcome unknown) or
`StoreFull` (nothing was written). Time is the store's own, in epoch ms. What one group decided
travels together: `commit` and the queue verbs take batches, each element atomic by itself.

Partition = `partition_of(workflow_id)`. The `ready`, `slot` and `held` entries of a partition are
the truth; queues (`r`, `f`, `w`, `lim` of distribution.md §1) are a cache made from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias
from zlib import crc32

import msgspec

from podium.model.queue import UNLIMITED, Deadline, LeaseKind, Limits, Outstanding, Queue, Ready
from podium.store.audit import AuditTrail
from podium.store.inspection import Inspection
from podium.store.port_starts import Idempotency, StartStore
from podium.store.queue_view import QueueView
from podium.store.task_log import TaskLogs

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTITIONS: Final = 256
CLAIM_MS: Final = 5_000
"""How long a claimed, unsettled task stays invisible before it returns to its place."""
BOUND: Final = "bound"
PARKED: Final = "parked"
INDEX: Final = "index"
UNCOUNTED: Final = frozenset({BOUND, PARKED, INDEX})
"""Kinds of documents that no definition in the registry depends on."""
TOMBSTONE_MS: Final = 24 * 3_600_000
"""How long a start that is still on its way to an execution that was removed is kept out."""
OUTBOX_DONE_LIMIT: Final = 64
HISTORY_ROWS_LIMIT: Final = 20_000

HEX: Final = frozenset("0123456789abcdef")
UUID_LENGTH: Final = 36


def partition_of(workflow_id: str) -> int:
    """First byte of a UUID in hex; crc32 & 255 of any other id."""
    if len(workflow_id) == UUID_LENGTH and workflow_id[0] in HEX and workflow_id[1] in HEX:
        return int(workflow_id[:2], 16)
    return crc32(workflow_id.encode("utf-8", "surrogatepass")) & 255


def workflow_of(task_id: str) -> str:
    """A task id is `<workflow id>.<key>.<attempt>`."""
    return task_id.rsplit(".", 2)[0]


class StoreError(Exception):
    """Base of what a store verb may raise."""


class StoreUnavailable(StoreError):
    """The verb may or may not have happened; repeat it."""


class Unreplicated(StoreUnavailable):
    """The store may have it, but fewer replicas than asked for do: a failover may take it back."""


class Forbidden(StoreUnavailable):
    """The store refuses this server a right, until somebody grants it."""


class StoreFull(StoreError):
    """No space or read-only: nothing was written; repeat when there is space."""


class StoreClosed(StoreError):
    """The store was closed or taken by another process."""


class Capabilities(msgspec.Struct, frozen=True):
    """What a backend can do; differences are stated, never silent."""

    shared: bool
    """Several servers may use it at once."""
    durable: bool
    """Acknowledged commits survive the death of every process."""
    replicated: bool = False
    """Verbs raise Unreplicated, and what `load` finds may be taken back: ask `kept`."""


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One atomic change of one execution. `version` is what the caller saw; 0 = must not exist."""

    workflow_id: str
    version: int
    fields: dict[str, bytes | None] = {}
    """Field name → value; None deletes. Names: see store/codec.py."""
    armed: tuple[Deadline, ...] = ()
    disarmed: tuple[tuple[str, str], ...] = ()
    """(task id or "", kind). Arming replaces an entry of the same task and kind."""
    ready: tuple[Ready, ...] = ()
    unready: tuple[str, ...] = ()
    slots: tuple[tuple[str, Queue], ...] = ()
    unslotted: tuple[str, ...] = ()
    held: tuple[tuple[str, str], ...] = ()
    """(incarnation, task id)."""
    unheld: tuple[tuple[str, str], ...] = ()
    outstanding: tuple[tuple[str, Outstanding], ...] = ()
    """Tasks of queues that are neither ready nor ended; `returned` = those that are no more."""
    returned: tuple[str, ...] = ()
    logs: tuple[tuple[str, int, str], ...] = ()
    """(task id, epoch ms, text)."""
    outbox: tuple[bytes, ...] = ()
    """Effects, kept under `incarnation` until done; sequences are given by the store, ascending."""
    incarnation: str = ""
    """The writing server; names the outbox list."""
    outbox_done: tuple[tuple[str, int], ...] = ()
    """(incarnation, sequence) of the same partition, carried out; at most OUTBOX_DONE_LIMIT."""
    history: bytes | None = None
    history_position: int = 0
    idempotency: Idempotency | None = None
    running: bool = True
    """Whether the execution is not terminal after this commit (read by FAIL_ON_RUNNING)."""
    read_on_conflict: tuple[str, ...] = ()
    """Field names whose present values a Conflict carries (no second trip)."""


class Committed(msgspec.Struct, frozen=True):
    """Durable when the call returns. `outbox` = sequences given to Commit.outbox, in order."""

    version: int
    outbox: tuple[int, ...] = ()
    watchers: tuple[str, ...] = ()


class Conflict(msgspec.Struct, frozen=True):
    """Another version is stored: nothing changed. 0 = no such execution (or a tombstone)."""

    version: int
    fields: dict[str, bytes | None] = {}
    tombstoned: bool = False


class Exists(msgspec.Struct, frozen=True):
    """The idempotency key points at this run: nothing changed."""

    workflow_id: str


CommitResult: TypeAlias = Committed | Conflict | Exists


class Loaded(msgspec.Struct, frozen=True):
    """Fields of an execution at one version; a name that is not stored maps to None."""

    version: int
    fields: dict[str, bytes | None]


class Assigned(msgspec.Struct, frozen=True):
    """A claim: `task_id` is invisible for CLAIM_MS, for `server`, which wants it by `kind`."""

    task_id: str
    queue: Queue
    server: str
    kind: LeaseKind
    score: int


class Waiting(msgspec.Struct, frozen=True):
    """Nothing was handed out: "backlog" (work waits for a worker), or a limit admits the head at
    `at_ms`, or the pushed task is in flight until `at_ms` (push again then).
    """

    reason: Literal["backlog", "limited", "in_flight"]
    at_ms: int = 0


PushResult: TypeAlias = Assigned | Waiting


class Claim(msgspec.Struct, frozen=True):
    """One task claimed by `want`."""

    task_id: str
    score: int


class WantResult(msgspec.Struct, frozen=True):
    """Claimed tasks in order. `backlog` = more are ready; `at_ms` > 0 = a limit or a claim of
    another server ends then (want again).
    """

    claims: tuple[Claim, ...]
    backlog: bool = False
    at_ms: int = 0


class DueEntry(msgspec.Struct, frozen=True):
    """One armed deadline in the store's time index."""

    workflow_id: str
    deadline: Deadline


class OutboxEntry(msgspec.Struct, frozen=True):
    """One effect not yet carried out; execute in ascending `sequence` per partition."""

    partition: int
    incarnation: str
    sequence: int
    workflow_id: str
    effect: bytes


class Changed(msgspec.Struct, frozen=True):
    """An execution that the index does not hold as it is; version 0 = it, or its archived copy, was
    removed.
    """

    workflow_id: str
    version: int


class Heartbeat(msgspec.Struct, frozen=True):
    """Members by incarnation → store ms of their last heartbeat (dead ones stay until `forget`);
    `concerns` by incarnation as they told them.
    """

    now_ms: int
    members: dict[str, int]
    concerns: dict[str, int] = {}


class Settle(msgspec.Struct, frozen=True):
    """The lease of a claimed task is stored. `hold` = it occupies a limited slot until released."""

    task_id: str
    queue: Queue
    hold: bool = False


class Release(msgspec.Struct, frozen=True):
    """A limited task's slot is free; then the queue goes on as after a push."""

    task_id: str
    queue: Queue
    limits: Limits = UNLIMITED


class DefinitionRow(msgspec.Struct, frozen=True):
    """A stored document: kind ∈ workflow, task, bound, event_handler, parked (by workflow id),
    index (what the search index is recognized by).
    """

    kind: str
    name: str
    version: int
    value: bytes


class Store(QueueView, TaskLogs, StartStore, Inspection, AuditTrail, Protocol):
    """All verbs. Incarnation = one life of a server process."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def syncs(self) -> int: ...  # to the disk, by this process; for metrics

    @property
    def unsuitable_nodes(self) -> int: ...  # taken though they may lose what is acknowledged

    async def open(self) -> None:
        """Take the store. Raises StoreError with the reason and the remedy."""
        ...

    async def close(self) -> None: ...

    # Executions
    async def load(self, workflow_id: str, names: Sequence[str] | None) -> Loaded | None:
        """Named fields (None = all) at one version, or None where no such execution exists."""
        ...

    async def kept(self, workflow_id: str, version: int) -> bool:
        """Whether this version, or a later one, is stored as durably as `commit` would have it.
        Raises Unreplicated while that is not so yet.
        """
        ...

    async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
        """Each commit atomic by itself, results in order; returns when all are durable."""
        ...

    async def remove(
        self,
        workflow_id: str,
        version: int,
        tombstone_until_ms: int,
        *,
        archive: bytes | None = None,
    ) -> bool:
        """Delete an execution and its entries; a tombstone keeps late ones from restarting it.

        `archive` is kept in its place, in the same step. False where another version is stored, or
        effects of it wait in an outbox: nothing changed.
        """
        ...

    async def archived(self, workflow_id: str) -> bytes | None:
        """What was kept of an execution that was removed."""
        ...

    async def remove_archived(self, workflow_id: str) -> bool:
        """Delete what was kept. False where nothing was."""
        ...

    async def tombstone(self, workflow_id: str, until_ms: int) -> bool:
        """Forbid a child that does not exist yet. False where it exists (terminate it instead)."""
        ...

    async def history(self, workflow_id: str, after: int, limit: int) -> list[bytes]:
        """Rows with position > after, ascending."""
        ...

    async def scan(self, partition: int, after: str, limit: int) -> list[str]:
        """Workflow ids of a partition in order, > after."""
        ...

    async def archived_after(self, after: str, limit: int) -> list[str]:
        """Ids of archived executions in an order of the store's own, those behind `after`, where
        "" is before the first.
        """
        ...

    # What the index has yet to see
    async def changed(self, partitions: Sequence[int], limit: int) -> list[Changed]:
        """What `commit`, `remove` and `remove_archived` noted, in the same atomic step, and
        `indexed` did not take off: of each execution the latest, in an order of the store's own.
        """
        ...

    async def indexed(self, changes: Sequence[Changed]) -> None:
        """Take notes off, those excepted that a later one replaced."""
        ...

    # Outputs of tasks, kept for equal calls
    async def put_cached(self, name: str, value: bytes, *, at_ms: int, until_ms: int) -> None:
        """Keep what came out at `at_ms` until then, in the place of what came out before it."""
        ...

    async def cached(self, name: str, after_ms: int) -> bytes | None:
        """What came out after `after_ms` under that name, if it is to be kept still."""
        ...

    # Queues
    async def push_assign(self, pushes: Sequence[Ready]) -> list[PushResult]:
        """Put each into its queue (same score: idempotent), hand the head to a waiting server."""
        ...

    async def want(
        self, server: str, queue: Queue, count: int, *, kind: LeaseKind, limits: Limits
    ) -> WantResult:
        """Claim up to `count`; the rest is noted as wanted. The count replaces the server's
        former wish of that kind on that queue; 0 withdraws.
        """
        ...

    async def settle(self, settles: Sequence[Settle]) -> None: ...

    async def unclaim(self, task_id: str, queue: Queue) -> None:
        """End a claim early: a task still ready is back in its place, another one is gone."""
        ...

    async def set_aside(self, task_id: str, queue: Queue) -> None:
        """End a claim early; the task is in no queue, though it is ready, until it is pushed again
        (or the queue is made anew). A task that is not claimed stays where it is.
        """
        ...

    async def leave(self, ended: Sequence[Ready]) -> None:
        """Tasks that ended while they stood in a queue are out of it. One that has another score,
        so was made ready again, and one that is claimed stay. Repeating does no harm.
        """
        ...

    async def release(self, releases: Sequence[Release]) -> list[PushResult | None]:
        """Free slots; each answer as push_assign for the queue's head, None for an empty queue."""
        ...

    # Time, effects, members
    async def due(self, partitions: Sequence[int], until_ms: int, limit: int) -> list[DueEntry]:
        """Deadlines ≤ until_ms of these partitions, earliest first."""
        ...

    async def outbox(self, partitions: Sequence[int], incarnation: str) -> list[OutboxEntry]: ...

    async def outbox_done(
        self, partition: int, incarnation: str, sequences: Sequence[int]
    ) -> None: ...

    async def ready(self, partitions: Sequence[int]) -> list[Ready]: ...

    async def slots(self, partition: int) -> list[tuple[str, Queue]]: ...

    async def held(self, partitions: Sequence[int], incarnation: str) -> list[str]: ...

    async def holders(self, partitions: Sequence[int]) -> set[str]:
        """Incarnations with leases there, also those that are on no list any more."""
        ...

    async def heartbeat(self, incarnation: str, concerns: int | None = None) -> Heartbeat:
        """`concerns` counts what this member did that others may have to look at; None = as told
        before.
        """
        ...

    async def forget(self, incarnation: str, seen_ms: int | None = None) -> None:
        """Take a member and its wishes off the list: a clean stop, or nothing of it is left.

        With `seen_ms` only where its last heartbeat is still that one: it may have come back.
        """
        ...

    # Watchers, definitions
    async def watch(self, workflow_id: str, server: str, *, on: bool) -> None: ...

    async def put_definition(self, row: DefinitionRow, *, overwrite: bool) -> bool:
        """False where it exists and overwrite is off. Raises the registry generation."""
        ...

    async def get_definition(
        self, kind: str, name: str, version: int | None
    ) -> DefinitionRow | None:
        """version None = the greatest (S-030)."""
        ...

    async def list_definitions(self, kind: str) -> list[DefinitionRow]: ...

    async def delete_definition(self, kind: str, name: str, version: int) -> bool: ...

    async def registry_generation(self) -> int:
        """Rises with each put or delete of a definition (UNCOUNTED excepted)."""
        ...

    # Bus (loses anything, keeps nothing)
    async def publish(self, server: str, message: bytes) -> None: ...

    def subscribe(self, server: str, deliver: Deliver | None) -> None:
        """`deliver(message)` is called in the loop for each message; None unsubscribes."""
        ...


class Deliver(Protocol):
    """Receiver of bus messages."""

    def __call__(self, message: bytes) -> None: ...
