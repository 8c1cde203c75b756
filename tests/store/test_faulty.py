"""The faulty store: it plants what the port allows, a seed repeats it, and repeating heals it."""

import inspect
import random
from collections.abc import Awaitable, Callable

import pytest

from podium.model.queue import UNLIMITED, Queue
from podium.store.conformance.subject import QUEUE, SERVER, WORKFLOW, first, ready, task
from podium.store.faulty import NO_FAULTS, FaultSettings, FaultyStore
from podium.store.memory import MemoryStore
from podium.store.port import (
    Claim,
    Commit,
    Committed,
    Conflict,
    Release,
    Settle,
    Store,
    StoreUnavailable,
    Waiting,
)
from tests.store.subjects import Clock

ALWAYS_LOST = FaultSettings(answer_lost=1.0)


class Pair:
    """A memory store, and the faulty one before it."""

    def __init__(self, settings: FaultSettings, seed: int = 1) -> None:
        self.slept: list[int] = []
        self.memory = MemoryStore(Clock().now_ms)
        self.faulty = FaultyStore(
            self.memory, settings, chance=random.Random(seed), sleep_ms=self.sleep
        )

    async def sleep(self, delay_ms: int) -> None:
        self.slept.append(delay_ms)


def test_it_wraps_every_verb_of_the_port() -> None:
    verbs = {name for name, _ in inspect.getmembers(Store) if not name.startswith("_")}
    assert verbs <= {name for name, _ in inspect.getmembers(FaultyStore)}


async def test_unavailable_means_that_nothing_happened() -> None:
    pair = Pair(FaultSettings(unavailable=1.0))
    with pytest.raises(StoreUnavailable):
        await pair.faulty.commit([first()])
    assert await pair.memory.load(WORKFLOW, None) is None
    assert pair.faulty.counts == {("commit", "unavailable"): 1}


async def test_a_lost_answer_means_that_it_happened() -> None:
    pair = Pair(ALWAYS_LOST)
    with pytest.raises(StoreUnavailable):
        await pair.faulty.commit([first()])
    loaded = await pair.memory.load(WORKFLOW, None)
    assert loaded is not None
    assert loaded.version == 1
    assert pair.faulty.counts == {("commit", "answer_lost"): 1}


async def test_delays_are_drawn_within_their_limit() -> None:
    pair = Pair(FaultSettings(delay=1.0, delay_ms_max=9))
    for _ in range(50):
        await pair.faulty.load(WORKFLOW, None)
    assert len(pair.slept) == pair.faulty.counts["load", "delay"] == 100
    assert set(pair.slept) == set(range(10))


async def test_messages_are_lost_and_doubled() -> None:
    lost, doubled = Pair(FaultSettings(message_lost=1.0)), Pair(FaultSettings(message_doubled=1.0))
    for pair in (lost, doubled):
        await pair.faulty.publish("nobody", b"message")
    assert lost.faulty.counts == {("publish", "message_lost"): 1}
    assert doubled.faulty.counts == {("publish", "message_doubled"): 1}


async def faults_of(seed: int) -> list[bool]:
    pair = Pair(FaultSettings(unavailable=0.3, answer_lost=0.3, delay=0.3), seed)
    failed: list[bool] = []
    for _ in range(40):
        try:
            await pair.faulty.load(WORKFLOW, None)
        except StoreUnavailable:
            failed.append(True)
        else:
            failed.append(False)
    return failed


async def test_a_seed_repeats_its_faults() -> None:
    assert await faults_of(5) == await faults_of(5) != await faults_of(6)


async def test_without_faults_nothing_is_drawn_or_counted() -> None:
    pair = Pair(ALWAYS_LOST)
    pair.faulty.settings = NO_FAULTS
    before = random.Random(1).random()
    assert await pair.faulty.commit([first()]) == [Committed(1)]
    assert pair.faulty.counts == {}
    assert random.Random(1).random() == before


async def twice(pair: Pair, call: Callable[[Store], Awaitable[object]]) -> object:
    """The answer of the repeat after an unknown outcome."""
    with pytest.raises(StoreUnavailable):
        await call(pair.faulty)
    return await call(pair.memory)


async def test_every_write_is_safe_to_repeat_after_an_unknown_outcome() -> None:
    # Given a store that does everything and answers nothing
    pair = Pair(ALWAYS_LOST)
    start = Commit(workflow_id=WORKFLOW, version=0, ready=(ready(0),), outbox=(b"e",))
    # When a commit is repeated, then its caller learns that it happened
    repeated = await twice(pair, lambda store: store.commit([start]))
    assert repeated == [Conflict(1)]
    # And a push, a settle, a release, a withdrawal change nothing more
    pushed = await twice(pair, lambda store: store.push_assign([ready(0)]))
    assert pushed == [Waiting("backlog")]
    assert await pair.memory.queue_size(QUEUE) == 1
    lease = Commit(workflow_id=WORKFLOW, version=1, unready=(task(0),))
    await pair.memory.commit([lease])
    await twice(pair, lambda store: store.settle([Settle(task(0), QUEUE)]))
    released = await twice(pair, lambda store: store.release([Release(task(0), QUEUE)]))
    assert released == [None]
    assert await pair.memory.queue_size(QUEUE) == 0


async def test_a_claim_whose_answer_was_lost_comes_back() -> None:
    # Given a claim that nobody knows of
    clock = Clock()
    memory = MemoryStore(clock.now_ms)
    faulty = FaultyStore(
        memory, ALWAYS_LOST, chance=random.Random(1), sleep_ms=Pair(NO_FAULTS).sleep
    )
    await memory.commit([Commit(workflow_id=WORKFLOW, version=0, ready=(ready(0, 5),))])
    await memory.push_assign([ready(0, 5)])
    with pytest.raises(StoreUnavailable):
        await faulty.want(SERVER, QUEUE, 1, kind="stream", limits=UNLIMITED)
    # When its server asks again, then it is told when to ask
    again = await memory.want(SERVER, QUEUE, 1, kind="stream", limits=UNLIMITED)
    assert again.claims == ()
    assert again.at_ms > clock.at_ms
    # And it gets the task then
    clock.at_ms = again.at_ms
    again = await memory.want(SERVER, Queue("resize"), 1, kind="stream", limits=UNLIMITED)
    assert again.claims == (Claim(task(0), 5),)
