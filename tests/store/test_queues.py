"""Queues of the embedded stores: limits hold in any order of events, and the truth wins."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from podium.model.queue import UNLIMITED, Limits, Queue, Ready, ready_score
from podium.store.domain_queue import STALE_HEAP_FACTOR, STALE_HEAP_MIN, DomainQueue
from podium.store.memory import MemoryStore
from podium.store.port import CLAIM_MS, Assigned, Commit, PushResult, Release, Settle, Waiting
from podium.store.queue_view import POLL_DATA_MS, Rebuilt
from podium.store.queues import Queues
from tests.store.subjects import Clock

QUEUE = Queue("resize")
WORKFLOW = "11000000-0000-4000-8000-000000000001"
ONE = Limits(concurrent=1)


def task(number: int) -> str:
    return f"{WORKFLOW}.key{number}.1"


def ready(number: int, limits: Limits = UNLIMITED, queue: Queue = QUEUE) -> Ready:
    return Ready(task(number), queue, number, limits)


@given(
    st.integers(1, 4),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=5, max_size=60),
)
def test_no_window_holds_more_starts_than_the_rate(
    rate: int, window_ms: int, steps: list[tuple[int, bool]]
) -> None:
    # Given more work than the rate admits
    limits = Limits(rate=rate, rate_window_ms=window_ms)
    queues, now_ms, starts = Queues(), 0, list[int]()
    # When servers ask and tasks are pushed at any times
    for number, (delay_ms, asks) in enumerate(steps):
        now_ms += delay_ms
        pushed = queues.push_assign(ready(number, limits), now_ms)
        starts += [now_ms] * isinstance(pushed, Assigned)
        if asks:
            result = queues.want(("a", "stream"), QUEUE, 3, limits=limits, now_ms=now_ms)
            starts += [now_ms] * len(result.claims)
            # Then whoever is told to come back later is told exactly when
            if result.backlog and len(result.claims) < 3:
                inside = [each for each in starts if each > now_ms - window_ms]
                assert result.at_ms == inside[-rate] + window_ms
    # And no window holds too many
    for index in range(len(starts) - rate):
        assert starts[index + rate] - starts[index] >= window_ms


class Slots:
    """A memory store with a limit of two, driven through the life of leases."""

    limits = Limits(concurrent=2)

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock.now_ms)
        self.version = 0
        self.claimed: set[str] = set()
        self.leased: set[str] = set()

    async def commit(self, **parts: object) -> None:
        change = structs.replace(Commit(workflow_id=WORKFLOW, version=self.version), **parts)
        await self.store.commit([change])
        self.version += 1

    async def claim(self, queue: Queue) -> None:
        result = await self.store.want("a", queue, 9, kind="stream", limits=self.limits)
        self.claimed |= {claim.task_id for claim in result.claims}

    def take(self, result: PushResult | None) -> None:
        if isinstance(result, Assigned):
            self.claimed.add(result.task_id)

    async def step(self, what: str, number: int) -> None:
        name, queue = task(number), Queue("resize", "eu" if number % 2 else "")
        if what == "ready" and name not in self.leased:
            await self.commit(ready=(ready(number, self.limits, queue),))
            (result,) = await self.store.push_assign([ready(number, self.limits, queue)])
            self.take(result)
        elif what == "claim":
            await self.claim(queue)
        elif what == "lease" and name in self.claimed:
            self.claimed.discard(name)
            self.leased.add(name)
            await self.commit(unready=(name,), slots=((name, queue),))
        elif what == "settle" and name in self.leased:
            await self.store.settle([Settle(name, queue, hold=True)])
        elif what == "end" and name in self.leased:
            self.leased.discard(name)
            await self.commit(unslotted=(name,))
        elif what == "release":
            (result,) = await self.store.release([Release(name, queue, self.limits)])
            self.take(result)
        elif what == "wait":
            self.clock.at_ms += CLAIM_MS
            self.claimed.clear()


STEPS = ("ready", "claim", "lease", "settle", "end", "release", "wait")


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=60))
async def test_slots_never_admit_one_too_many(steps: list[tuple[str, int]]) -> None:
    slots = Slots()
    for what, number in steps:
        await slots.step(what, number)
        assert len(slots.leased | slots.claimed) <= 2
        assert slots.store.queues.slots() == slots.leased


async def claimed_task(limits: Limits = UNLIMITED) -> tuple[MemoryStore, Clock]:
    """Task 0 is ready, claimed and leased; its settle is on the way."""
    clock = Clock()
    store = MemoryStore(clock.now_ms)
    await store.commit([Commit(workflow_id=WORKFLOW, version=0, ready=(ready(0, limits),))])
    await store.push_assign([ready(0, limits)])
    await store.want("a", QUEUE, 1, kind="stream", limits=limits)
    slots = ((task(0), QUEUE),) if limits.limited else ()
    await store.commit([Commit(workflow_id=WORKFLOW, version=1, unready=(task(0),), slots=slots)])
    return store, clock


async def test_a_crash_between_lease_and_settle_keeps_the_slot() -> None:
    # Given a stored lease of a limited type, whose server died before it settled
    store, clock = await claimed_task(ONE)
    # When the claim's time is over
    clock.at_ms += CLAIM_MS
    # Then another task is not admitted, and the leased one is not handed out again
    await store.commit([Commit(workflow_id=WORKFLOW, version=2, ready=(ready(1, ONE),))])
    assert await store.push_assign([ready(1, ONE)]) == [Waiting("backlog")]
    result = await store.want("b", QUEUE, 2, kind="stream", limits=ONE)
    assert (result.claims, result.backlog) == ((), True)


async def test_a_settle_that_comes_late_does_not_lose_the_task() -> None:
    # Given a task whose lease ended, so that it is ready and queued again
    store, _ = await claimed_task()
    await store.commit([Commit(workflow_id=WORKFLOW, version=2, ready=(ready(0),))])
    await store.push_assign([ready(0)])
    # When the settle and the unclaim of the former lease arrive
    await store.settle([Settle(task(0), QUEUE)])
    await store.unclaim(task(0), QUEUE)
    # Then it is still queued
    result = await store.want("b", QUEUE, 1, kind="stream", limits=UNLIMITED)
    assert [claim.task_id for claim in result.claims] == [task(0)]


async def test_a_push_that_comes_late_queues_nothing() -> None:
    # Given a task that was handed out
    store, _ = await claimed_task()
    # When it is pushed once more
    assert await store.push_assign([ready(0)]) == [Waiting("backlog")]
    # Then it is in no queue
    assert store.queues.placed() == {}


async def test_a_push_that_knows_no_limits_is_limited() -> None:
    # Given a limited type whose only slot is taken, a ready task, and a server that waits
    store, _ = await claimed_task(ONE)
    await store.commit([Commit(workflow_id=WORKFLOW, version=2, ready=(ready(1, ONE),))])
    await store.want("a", QUEUE, 1, kind="stream", limits=ONE)
    # When the task is pushed by somebody who knows neither score nor limits
    (result,) = await store.push_assign([Ready(task(1), QUEUE, 0)])
    # Then it waits
    assert isinstance(result, Waiting)
    assert result.reason == "limited"


async def test_a_settle_after_the_release_leaks_no_slot() -> None:
    store, _ = await claimed_task(ONE)
    await store.commit([Commit(workflow_id=WORKFLOW, version=2, unslotted=(task(0),))])
    await store.release([Release(task(0), QUEUE, ONE)])
    await store.settle([Settle(task(0), QUEUE, hold=True)])
    assert store.queues.slots() == set()


async def test_a_release_of_a_former_lease_frees_no_later_one() -> None:
    # Given a task that was released and leased again
    store, _ = await claimed_task(ONE)
    await store.commit([Commit(workflow_id=WORKFLOW, version=2, unslotted=(task(0),))])
    again = ((task(0), QUEUE),)
    await store.commit([Commit(workflow_id=WORKFLOW, version=3, slots=again)])
    # When the first release arrives (once more)
    await store.release([Release(task(0), QUEUE, ONE)])
    # Then the slot is still taken
    assert store.queues.slots() == {task(0)}


def test_a_claimed_task_that_occupies_a_slot_counts_once() -> None:
    # Given a limit of two, and a task with a slot that is claimed again
    queues, limits = Queues(), Limits(concurrent=2)
    queues.hold(task(0), QUEUE)
    queues.push_assign(ready(0, limits), 0)
    queues.want(("a", "stream"), QUEUE, 1, limits=limits, now_ms=0)
    queues.push_assign(ready(1, limits), 0)
    # Then one more is admitted, and no third
    queues.push_assign(ready(2, limits), 0)
    result = queues.want(("a", "stream"), QUEUE, 3, limits=limits, now_ms=0)
    assert [claim.task_id for claim in result.claims] == [task(1)]
    # And the end of the slot, then of the claim, each leave the count right
    queues.free(task(0), QUEUE)
    assert queues.want(("a", "stream"), QUEUE, 3, limits=limits, now_ms=0).claims == ()
    queues.drop(task(0), QUEUE)
    result = queues.want(("a", "stream"), QUEUE, 3, limits=limits, now_ms=0)
    assert [claim.task_id for claim in result.claims] == [task(2)]


async def test_queues_are_what_the_truth_says_after_a_rebuild() -> None:
    # Given ready tasks, one of them claimed, and one that was never pushed
    clock = Clock()
    store = MemoryStore(clock.now_ms)
    tasks = tuple(ready(number) for number in range(3))
    await store.commit([Commit(workflow_id=WORKFLOW, version=0, ready=tasks)])
    await store.push_assign(tasks[:2])
    await store.want("a", QUEUE, 1, kind="stream", limits=UNLIMITED)
    # When the process starts anew
    await store.close()
    await store.open()
    # Then all are queued
    assert store.queues.placed() == dict.fromkeys((each.task_id for each in tasks), QUEUE)


def test_a_task_that_moves_often_does_not_grow_its_heap() -> None:
    queue = DomainQueue()
    for score in range(10_000):
        queue.place("moving", score)
        queue.place("other", score)
        queue.drop("other")
    assert queue.head() == (9_999, "moving")
    assert queue.entries <= STALE_HEAP_FACTOR * 2 + STALE_HEAP_MIN + 2


def test_a_type_of_which_nothing_is_left_takes_no_room() -> None:
    # Given a type of which a task holds a slot, and a wish for more
    queues = Queues()
    queues.push_assign(ready(1, ONE), 0)
    queues.want(("a", "poll"), QUEUE, 5, limits=ONE, now_ms=0)
    queues.hold(task(1), QUEUE)
    queues.drop(task(1), QUEUE)
    # When the wish is withdrawn, then only once the slot is free it is forgotten
    queues.want(("a", "poll"), QUEUE, 0, limits=UNLIMITED, now_ms=0)
    assert len(queues._types) == 1
    assert queues.push_assign(ready(2, ONE), 0) == Waiting("backlog")
    assert queues.want(("a", "poll"), QUEUE, 5, limits=ONE, now_ms=0).claims == ()
    queues.drop(task(2), QUEUE)
    queues.free(task(1), QUEUE)
    queues.want(("a", "poll"), QUEUE, 0, limits=UNLIMITED, now_ms=0)
    assert len(queues._types) == 0


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 50)), max_size=30), st.data())
def test_head_and_oldest_are_those_of_a_sorted_list(
    given_tasks: list[tuple[int, int]], data: st.DataObject
) -> None:
    queue = DomainQueue()
    expected: dict[str, tuple[int, int]] = {}
    for number, (priority, ready_ms) in enumerate(given_tasks):
        expected[f"t{number}"] = (ready_score(priority, ready_ms), ready_ms)
        queue.place(f"t{number}", ready_score(priority, ready_ms))
    for task_id in data.draw(st.lists(st.sampled_from(sorted(expected)))) if expected else []:
        expected.pop(task_id, None)
        queue.drop(task_id)
    heads = sorted((score, task_id) for task_id, (score, _) in expected.items())
    assert queue.head() == (heads[0] if heads else None)
    assert queue.oldest_ms() == min((ms for _, ms in expected.values()), default=0)


async def test_a_rebuilt_queue_loses_what_is_not_ready_and_keeps_its_claims() -> None:
    # Given a queue with a claim and a place, and one place more that nothing is stored of
    clock = Clock()
    store = MemoryStore(clock.now_ms)
    queue, other = Queue("t"), Queue("t", "eu")
    tasks = [Ready(f"w.k{number}.0", queue, number + 1) for number in range(3)]
    await store.commit([Commit(workflow_id="w", version=0, ready=tuple(tasks))])
    await store.push_assign(tasks[:2])
    await store.want("server", queue, 1, kind="stream", limits=UNLIMITED)
    store.queues.place(Ready("w.gone.0", other, 1))
    # When the queues of the type are made anew
    rebuilt = await store.rebuild_queue("t")
    # Then they hold what is ready, the claim once
    assert rebuilt == [Rebuilt(queue, 2, 3), Rebuilt(other, 1, 0)]
    assert await store.rebuild_queue("t") == [Rebuilt(queue, 3, 3)]
    [counted] = await store.queue_counts("t")
    assert (counted.ready, counted.claimed) == (2, 1)


async def test_asking_for_queues_makes_none() -> None:
    store = MemoryStore(Clock().now_ms)
    assert await store.queue_size(Queue("never")) == 0
    assert await store.queue_counts("never") == []
    assert await store.rebuild_queue("never") == []
    assert not store.queues._types


async def test_poll_data_is_forgotten_after_a_day() -> None:
    clock = Clock()
    store = MemoryStore(clock.now_ms)
    for domain, after_ms in (("", POLL_DATA_MS - 1), ("eu", 1)):
        await store.poll_seen(Queue("t", domain), "worker")
        clock.at_ms += after_ms
    assert set(await store.poll_data("t")) == {("eu", "worker")}
    await store.heartbeat("server")
    assert set(store.seen["t"]) == {("eu", "worker")}
