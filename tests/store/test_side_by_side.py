"""The memory and the sqlite store driven side by side: every answer, and the state after, is equal.

Chance draws commits that are right, stale, doubled and batched, queue verbs in any order, removals,
time, and restarts of the process (both are closed and opened, so queues are rebuilt).
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from podium.model.queue import Deadline, Limits, Outstanding, Queue, Ready
from podium.store.memory import MemoryStore
from podium.store.port import (
    PARTITIONS,
    Assigned,
    Changed,
    Commit,
    Committed,
    DefinitionRow,
    Idempotency,
    Release,
    Settle,
    Store,
    partition_of,
)
from podium.store.sqlite import SqliteStore
from tests.store.dump import FAR_MS, dump
from tests.store.subjects import Clock, unsynced

WORKFLOWS = (
    "11000000-0000-4000-8000-000000000001",
    "11000000-0000-4000-8000-000000000002",
    "22000000-0000-4000-8000-000000000003",
    "plain id",
)
SERVERS = ("server-a", "server-b")
QUEUES = (Queue("resize"), Queue("resize", "eu"), Queue("limited"), Queue("rated"))
LIMITS = {"resize": Limits(), "limited": Limits(concurrent=2), "rated": Limits(0, 2, 1_000)}
TASKS = tuple(f"{each}.key{number}.1" for each in WORKFLOWS for number in range(3))
STATES = ("leased", "delayed", "awaited")
KINDS = ("response", "timeout", "retry")


def queue_of(task_id: str) -> Queue:
    """A task has one queue for life."""
    return QUEUES[TASKS.index(task_id) % len(QUEUES)]


def ready_of(task_id: str, score: int) -> Ready:
    queue = queue_of(task_id)
    return Ready(task_id, queue, score, LIMITS[queue.task_type])


workflows = st.sampled_from(WORKFLOWS)
tasks = st.sampled_from(TASKS)
servers = st.sampled_from(SERVERS)
queues = st.sampled_from(QUEUES)
names = st.sampled_from(("h", "t:a", "t:b", "i:a", "in"))
fields = st.dictionaries(names, st.one_of(st.none(), st.binary(max_size=20)), max_size=4)
scores = st.integers(1, 5)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """The parts of a commit; tasks are of its own execution."""
    workflow_id = draw(workflows)
    own = st.sampled_from([each for each in TASKS if each.startswith(f"{workflow_id}.")])
    some = st.lists(own, max_size=2, unique=True)
    key = st.sampled_from(("k1", "k2"))
    strategy = st.sampled_from(("FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"))
    return {
        "workflow_id": workflow_id,
        "off": draw(st.sampled_from((0, 0, 0, 0, 1, -1))),
        "fields": draw(fields),
        "armed": tuple(
            Deadline(each, draw(st.sampled_from(KINDS)), draw(st.integers(1, 50)))
            for each in draw(some)
        ),
        "disarmed": tuple((each, draw(st.sampled_from(KINDS))) for each in draw(some)),
        "ready": tuple(ready_of(each, draw(scores)) for each in draw(some)),
        "unready": tuple(draw(some)),
        "slots": tuple((each, queue_of(each)) for each in draw(some)),
        "unslotted": tuple(draw(some)),
        "held": tuple((draw(servers), each) for each in draw(some)),
        "unheld": tuple((draw(servers), each) for each in draw(some)),
        "outstanding": tuple(
            (each, Outstanding(queue_of(each), draw(st.sampled_from(STATES))))
            for each in draw(some)
        ),
        "returned": tuple(draw(some)),
        "logs": tuple((each, draw(st.integers(1, 9)), "line") for each in draw(some)),
        "outbox": tuple(draw(st.lists(st.binary(max_size=5), max_size=2))),
        "incarnation": draw(servers),
        "idempotency": draw(
            st.one_of(st.none(), st.builds(Idempotency, st.just("name"), key, strategy))
        ),
        "running": draw(st.booleans()),
        "read_on_conflict": tuple(draw(st.lists(names, max_size=2, unique=True))),
        "history": draw(st.one_of(st.none(), st.binary(min_size=1, max_size=5))),
    }


class SideBySide(RuleBasedStateMachine):
    """Two stores, one clock."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.versions: dict[str, int] = {}
        self.effects: list[tuple[str, str, int]] = []
        self.memory: Store = MemoryStore(self.clock.now_ms)
        self.sqlite: Store = self.new_sqlite()
        self.runner.run(self.memory.open())
        self.runner.run(self.sqlite.open())

    def new_sqlite(self) -> SqliteStore:
        path = Path(self.folder.name) / "podium.db"
        return SqliteStore(path, self.clock.now_ms, sync=unsynced)

    def teardown(self) -> None:
        self.runner.run(self.sqlite.close())
        self.runner.close()
        self.folder.cleanup()

    def both(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        """The answer of both, which must be one."""

        async def asked() -> tuple[Any, Any]:
            return await call(self.memory), await call(self.sqlite)

        of_memory, of_sqlite = self.runner.run(asked())
        assert of_memory == of_sqlite
        return of_memory

    def built(self, change: dict[str, Any], versions: dict[str, int]) -> Commit:
        parts = dict(change)
        off, workflow_id = parts.pop("off"), parts["workflow_id"]
        version = max(versions.get(workflow_id, 0) + off, 0)
        versions[workflow_id] = version + 1
        if version > 0:
            parts["idempotency"] = None
        done = tuple(
            (server, sequence)
            for owner, server, sequence in self.effects[:1]
            if partition_of(owner) == partition_of(workflow_id)
        )
        return Commit(version=version, history_position=version + 1, outbox_done=done, **parts)

    @rule(batch=st.lists(changes(), max_size=3))
    def commit(self, batch: list[dict[str, Any]]) -> None:
        versions = dict(self.versions)
        commits = [self.built(change, versions) for change in batch]
        results = self.both(lambda store: store.commit(commits))
        for commit, result in zip(commits, results, strict=True):
            if isinstance(result, Committed):
                self.versions[commit.workflow_id] = result.version
                self.effects += [
                    (commit.workflow_id, commit.incarnation, each) for each in result.outbox
                ]

    @rule(workflow_id=workflows, asked=st.one_of(st.none(), st.lists(names, unique=True)))
    def load(self, workflow_id: str, asked: list[str] | None) -> None:
        self.both(lambda store: store.load(workflow_id, asked))

    @rule(workflow_id=workflows, off=st.sampled_from((0, 0, 1)), ms=st.integers(0, 2_000))
    def remove(self, workflow_id: str, off: int, ms: int) -> None:
        version = self.versions.get(workflow_id, 0) + off
        until_ms = self.clock.at_ms + ms
        if self.both(lambda store: store.remove(workflow_id, version, until_ms)):
            del self.versions[workflow_id]

    @rule(workflow_id=workflows, off=st.sampled_from((0, 0, 1)))
    def indexed(self, workflow_id: str, off: int) -> None:
        change = Changed(workflow_id, max(self.versions.get(workflow_id, 0) - off, 0))
        self.both(lambda store: store.indexed([change]))

    @rule(workflow_id=workflows, ms=st.integers(0, 2_000))
    def tombstone(self, workflow_id: str, ms: int) -> None:
        until_ms = self.clock.at_ms + ms
        self.both(lambda store: store.tombstone(workflow_id, until_ms))

    @rule(task_ids=st.lists(tasks, min_size=1, max_size=3), score=scores)
    def push(self, task_ids: list[str], score: int) -> None:
        pushes = [ready_of(each, score) for each in task_ids]
        for result in self.both(lambda store: store.push_assign(pushes)):
            if isinstance(result, Assigned):
                assert result.queue == queue_of(result.task_id)

    @rule(
        server=servers,
        queue=queues,
        count=st.integers(0, 3),
        kind=st.sampled_from(("stream", "poll")),
    )
    def want(self, server: str, queue: Queue, count: int, kind: Any) -> None:
        limits = LIMITS[queue.task_type]
        self.both(lambda store: store.want(server, queue, count, kind=kind, limits=limits))

    @rule(task_id=tasks, hold=st.booleans())
    def settle(self, task_id: str, *, hold: bool) -> None:
        settles = [Settle(task_id, queue_of(task_id), hold=hold)]
        self.both(lambda store: store.settle(settles))

    @rule(task_id=tasks)
    def set_aside(self, task_id: str) -> None:
        self.both(lambda store: store.set_aside(task_id, queue_of(task_id)))

    @rule(task_id=tasks)
    def unclaim(self, task_id: str) -> None:
        self.both(lambda store: store.unclaim(task_id, queue_of(task_id)))

    @rule(task_id=tasks)
    def admit(self, task_id: str) -> None:
        queue = queue_of(task_id)
        limits = LIMITS[queue.task_type]
        self.both(lambda store: store.admit(task_id, queue, limits))

    @rule(
        key=st.sampled_from(("k1", "k2")),
        strategy=st.sampled_from(("FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING")),
    )
    def recorded(self, key: str, strategy: Any) -> None:
        self.both(
            lambda store: store.recorded(
                "11000000-0000-4000-8000-000000000001", Idempotency("name", key, strategy)
            )
        )

    @rule(task_id=tasks)
    def release(self, task_id: str) -> None:
        queue = queue_of(task_id)
        releases = [Release(task_id, queue, LIMITS[queue.task_type])]
        self.both(lambda store: store.release(releases))

    @rule(ms=st.sampled_from((1, 500, 1_000, 5_000)))
    def pass_time(self, ms: int) -> None:
        self.clock.at_ms += ms

    @rule(until_ms=st.integers(0, 60), workflow_id=workflows)
    def due(self, until_ms: int, workflow_id: str) -> None:
        partitions = [partition_of(workflow_id)]
        self.both(lambda store: store.due(partitions, until_ms, 100))

    @precondition(lambda self: self.effects)
    @rule(data=st.data())
    def outbox_done(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.effects) - 1))
        workflow_id, server, sequence = self.effects.pop(index)
        partition = partition_of(workflow_id)
        self.both(lambda store: store.outbox_done(partition, server, [sequence]))

    @rule(server=servers, concerns=st.integers(0, 3))
    def heartbeat(self, server: str, concerns: int) -> None:
        async def beat(store: Store) -> object:
            answer = await store.heartbeat(server, concerns)
            return answer.now_ms, set(answer.members), answer.concerns[server]

        self.both(beat)

    @rule(server=servers)
    def forget(self, server: str) -> None:
        self.both(lambda store: store.forget(server))

    @rule(workflow_id=workflows, server=servers, on=st.booleans())
    def watch(self, workflow_id: str, server: str, *, on: bool) -> None:
        self.both(lambda store: store.watch(workflow_id, server, on=on))

    @rule(
        kind=st.sampled_from(("workflow", "bound")),
        version=st.integers(1, 3),
        value=st.binary(max_size=5),
        overwrite=st.booleans(),
    )
    def put_definition(self, kind: str, version: int, value: bytes, *, overwrite: bool) -> None:
        row = DefinitionRow(kind, "name", version, value)
        self.both(lambda store: store.put_definition(row, overwrite=overwrite))
        self.both(lambda store: store.get_definition(kind, "name", None))

    @rule(kind=st.sampled_from(("workflow", "bound")), version=st.integers(1, 3))
    def delete_definition(self, kind: str, version: int) -> None:
        self.both(lambda store: store.delete_definition(kind, "name", version))

    @rule(task_id=tasks, lines=st.lists(st.tuples(st.integers(0, 9), st.text(max_size=5))))
    def add_logs(self, task_id: str, lines: list[tuple[int, str]]) -> None:
        self.both(lambda store: store.add_logs(task_id, lines))

    @rule(queue=queues)
    def rebuild(self, queue: Queue) -> None:
        self.both(lambda store: store.rebuild_queue(queue.task_type))

    @rule(queue=queues)
    def poll_seen(self, queue: Queue) -> None:
        self.both(lambda store: store.poll_seen(queue, "worker"))

    @rule()
    def restart(self) -> None:
        """State after equals state before; claims are back in their places."""
        self.both(lambda store: store.commit([]))  # hand-outs of rated types are stored by then
        before = self.stored(self.sqlite)
        for store in (self.memory, self.sqlite):
            self.runner.run(store.close())
        self.sqlite = self.new_sqlite()
        for store in (self.memory, self.sqlite):
            self.runner.run(store.open())
        assert self.stored(self.sqlite) == before

    def stored(self, store: Store) -> dict[str, Any]:
        return self.runner.run(dump(store, servers=SERVERS, queues=(), tasks=TASKS))

    @invariant()
    def queues_are_equal(self) -> None:
        for queue in QUEUES:
            self.both(lambda store, queue=queue: store.queue_size(queue))
        self.both(lambda store: store.due(range(PARTITIONS), FAR_MS, 1_000))

    @rule()
    def everything_is_equal(self) -> None:
        self.both(lambda store: dump(store, servers=SERVERS, queues=QUEUES, tasks=TASKS))


SideBySide.TestCase.settings = settings(max_examples=25, stateful_step_count=40)
TestSideBySide = SideBySide.TestCase
