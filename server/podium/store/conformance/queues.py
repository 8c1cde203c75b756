"""Conformance: order, claims and their end, waiting servers, limits, slots."""

# ruff: noqa: D103, PLR2004 - the name of a check is its sentence, an expected number the statement

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.queue import Limits, Queue, Ready, ready_score
from podium.store.conformance.subject import (
    OTHER,
    QUEUE,
    SERVER,
    assigned,
    claimed,
    lease,
    make_ready,
    ready,
    task,
    unlease,
    want,
)
from podium.store.port import CLAIM_MS, Release, Settle, Waiting

if TYPE_CHECKING:
    from podium.store.conformance.subject import Subject

ONE_AT_A_TIME: Final = Limits(concurrent=1)
WINDOW_MS: Final = 4_000
"""Shorter than a claim."""
TWO_A_WINDOW: Final = Limits(rate=2, rate_window_ms=WINDOW_MS)
EU: Final = Queue(QUEUE.task_type, "eu")


async def tasks_come_by_priority_then_age_then_id(subject: Subject) -> None:
    old, urgent = ready_score(0, 1_000), ready_score(5, 9_000)
    tasks = (
        Ready(task(1), QUEUE, old + 1),
        Ready(task(3), QUEUE, old),
        Ready(task(2), QUEUE, old),
        Ready(task(4), QUEUE, urgent),
    )
    assert await make_ready(subject, *tasks) == [Waiting("backlog")] * 4
    result = await want(subject, 9)
    assert claimed(result) == [task(4), task(2), task(3), task(1)]
    assert result.claims[0].score == urgent
    assert not result.backlog


async def a_want_takes_no_more_than_its_count(subject: Subject) -> None:
    await make_ready(subject, ready(0), ready(1), ready(2))
    result = await want(subject, 2)
    assert (claimed(result), result.backlog) == ([task(0), task(1)], True)
    assert claimed(await want(subject, 2, OTHER)) == [task(2)]


async def a_push_is_idempotent_and_may_move(subject: Subject) -> None:
    await make_ready(subject, ready(0), ready(1))
    await subject.store.push_assign([ready(0), ready(0)])
    assert await subject.store.queue_size(QUEUE) == 2
    await make_ready(subject, ready(0, score=5_000))
    assert claimed(await want(subject, 9)) == [task(1), task(0)]


async def a_waiting_server_gets_the_pushed_task(subject: Subject) -> None:
    assert claimed(await want(subject, 1)) == []
    found = assigned((await make_ready(subject, ready(0)))[0])
    assert (found.task_id, found.server, found.kind) == (task(0), SERVER, "stream")
    assert (found.queue, found.score) == (QUEUE, ready(0).score)
    assert await make_ready(subject, ready(1)) == [Waiting("backlog")]


async def the_rest_of_a_want_is_noted_and_counted_down(subject: Subject) -> None:
    await make_ready(subject, ready(0))
    assert claimed(await want(subject, 3)) == [task(0)]
    results = await make_ready(subject, ready(1), ready(2), ready(3))
    assert [assigned(each).task_id for each in results[:2]] == [task(1), task(2)]
    assert results[2] == Waiting("backlog")


async def a_want_replaces_the_former_and_zero_withdraws(subject: Subject) -> None:
    await want(subject, 5)
    await want(subject, 1)
    results = await make_ready(subject, ready(0), ready(1))
    assert assigned(results[0]).server == SERVER
    assert results[1] == Waiting("backlog")
    await want(subject, 9)
    await want(subject, 0)
    assert await make_ready(subject, ready(2)) == [Waiting("backlog")]


async def kinds_of_a_server_are_wishes_of_their_own(subject: Subject) -> None:
    await want(subject, 1, kind="stream")
    await want(subject, 1, kind="poll")
    results = await make_ready(subject, ready(0), ready(1), ready(2))
    assert {assigned(each).kind for each in results[:2]} == {"stream", "poll"}
    assert results[2] == Waiting("backlog")


async def servers_are_served_in_turn(subject: Subject) -> None:
    await want(subject, 3, SERVER)
    await want(subject, 3, OTHER)
    results = await make_ready(subject, *(ready(number) for number in range(4)))
    assert [assigned(each).server for each in results] == [SERVER, OTHER, SERVER, OTHER]


async def domains_do_not_mix(subject: Subject) -> None:
    await want(subject, 1)
    in_eu = Ready(task(0), EU, 1_000)
    assert await make_ready(subject, in_eu) == [Waiting("backlog")]
    assert claimed(await want(subject, 1, queue=EU)) == [task(0)]
    assert await subject.store.queue_size(QUEUE) == 0


async def a_claim_that_ends_returns_with_its_old_score(subject: Subject) -> None:
    await make_ready(subject, ready(0), ready(1))
    assert claimed(await want(subject, 1)) == [task(0)]
    result = await want(subject, 1, OTHER)
    assert claimed(result) == [task(1)]
    nothing = await want(subject, 1, OTHER)
    assert nothing.at_ms >= subject.now_ms()
    await subject.advance(CLAIM_MS)
    result = await want(subject, 1, OTHER)
    assert claimed(result) == [task(0)]
    assert result.claims[0].score == ready(0).score


async def a_push_of_a_claimed_task_tells_when_it_ends(subject: Subject) -> None:
    await make_ready(subject, ready(0))
    await want(subject, 1)
    (waiting,) = await subject.store.push_assign([ready(0)])
    assert isinstance(waiting, Waiting)
    assert waiting.reason == "in_flight"
    assert subject.now_ms() < waiting.at_ms <= subject.now_ms() + CLAIM_MS
    await want(subject, 0)
    await subject.advance(waiting.at_ms - subject.now_ms())
    assert await subject.store.push_assign([ready(0)]) == [Waiting("backlog")]
    assert await subject.store.queue_size(QUEUE) == 1


async def a_settled_task_is_gone(subject: Subject) -> None:
    await make_ready(subject, ready(0))
    await want(subject, 1)
    await lease(subject, task(0))
    await subject.store.settle([Settle(task(0), QUEUE), Settle(task(0), QUEUE)])
    assert await subject.store.queue_size(QUEUE) == 0
    await subject.advance(CLAIM_MS)
    assert claimed(await want(subject, 1)) == []


async def an_unclaimed_task_that_is_still_ready_is_back_in_its_place(subject: Subject) -> None:
    """A claim that nobody can use must not wait for its end."""
    await make_ready(subject, ready(0))
    first = await want(subject, 1)
    await subject.store.unclaim(task(0), QUEUE)
    second = await want(subject, 1, OTHER)
    assert first.claims == second.claims
    assert claimed(second) == [task(0)]


async def an_unclaimed_task_is_gone(subject: Subject) -> None:
    await make_ready(subject, ready(0))
    await want(subject, 1)
    await lease(subject, task(0))
    await subject.store.unclaim(task(0), QUEUE)
    await subject.store.unclaim(task(0), QUEUE)
    await subject.advance(CLAIM_MS)
    assert claimed(await want(subject, 1)) == []


async def a_task_set_aside_lets_others_pass_until_it_is_pushed(subject: Subject) -> None:
    tasks = [ready(number, limits=ONE_AT_A_TIME) for number in range(3)]
    await make_ready(subject, *tasks)
    assert claimed(await want(subject, 1, limits=ONE_AT_A_TIME)) == [task(0)]
    for _ in range(2):
        await subject.store.set_aside(task(0), QUEUE)
    assert await subject.store.queue_size(QUEUE) == 2
    assert claimed(await want(subject, 1, limits=ONE_AT_A_TIME)) == [task(1)]
    await subject.advance(CLAIM_MS)
    await want(subject, 0)
    await subject.store.push_assign([tasks[0]])
    assert await subject.store.queue_size(QUEUE) == 3
    assert claimed(await want(subject, 1, limits=ONE_AT_A_TIME)) == [task(0)]


async def a_task_that_ended_leaves_its_queue(subject: Subject) -> None:
    await make_ready(subject, ready(0), ready(1), ready(2))
    await lease(subject, task(0), task(2))  # any commit by which they are ready no more
    await subject.store.leave([ready(0), ready(2)])
    assert await subject.store.queue_size(QUEUE) == 1
    await subject.store.leave([ready(0)])
    assert claimed(await want(subject, 9)) == [task(1)]


async def a_task_that_is_ready_again_or_claimed_does_not_leave(subject: Subject) -> None:
    await make_ready(subject, ready(0), ready(1))
    assert claimed(await want(subject, 1)) == [task(0)]
    again = ready(1, score=5_000)
    await make_ready(subject, again)
    await subject.store.leave([ready(0), ready(1)])
    await subject.store.unclaim(task(0), QUEUE)
    assert claimed(await want(subject, 9)) == [task(0), task(1)]


async def what_nobody_claims_is_not_set_aside(subject: Subject) -> None:
    """Its claim ended, and it was pushed again meanwhile."""
    await make_ready(subject, ready(0))
    assert claimed(await want(subject, 1)) == [task(0)]
    await subject.advance(CLAIM_MS)
    await subject.store.push_assign([ready(0)])
    await want(subject, 0)
    await subject.store.set_aside(task(0), QUEUE)
    assert claimed(await want(subject, 1)) == [task(0)]


async def a_lease_that_ended_makes_the_task_ready_again(subject: Subject) -> None:
    await make_ready(subject, ready(0), ready(1))
    await want(subject, 1)
    await lease(subject, task(0))
    await subject.store.settle([Settle(task(0), QUEUE)])
    await want(subject, 0)
    assert await make_ready(subject, ready(0)) == [Waiting("backlog")]
    assert claimed(await want(subject, 2)) == [task(0), task(1)]


async def concurrency_counts_claims_and_slots_over_all_domains(subject: Subject) -> None:
    limits = Limits(concurrent=2)
    tasks = [ready(number, limits=limits) for number in range(3)]
    await make_ready(subject, *tasks, Ready(task(9), EU, 1, limits))
    assert claimed(await want(subject, 1, queue=EU, limits=limits)) == [task(9)]
    assert claimed(await want(subject, 9, limits=limits)) == [task(0)]
    await lease(subject, task(9), slot=EU)
    await lease(subject, task(0), slot=QUEUE)
    await subject.store.settle([Settle(task(9), EU, hold=True), Settle(task(0), QUEUE, hold=True)])
    await subject.advance(CLAIM_MS)
    result = await want(subject, 9, limits=limits)
    assert (claimed(result), result.backlog) == ([], True)


async def a_release_hands_the_slot_to_who_waits(subject: Subject) -> None:
    tasks = [ready(number, limits=ONE_AT_A_TIME) for number in range(3)]
    await make_ready(subject, *tasks)
    assert claimed(await want(subject, 2, limits=ONE_AT_A_TIME)) == [task(0)]
    await lease(subject, task(0), slot=QUEUE)
    await subject.store.settle([Settle(task(0), QUEUE, hold=True)])
    (waiting,) = await subject.store.push_assign([tasks[1]])
    assert isinstance(waiting, Waiting)
    assert waiting.reason == "limited"
    await unlease(subject, task(0))
    (result,) = await subject.store.release([Release(task(0), QUEUE, ONE_AT_A_TIME)])
    assert assigned(result).task_id == task(1)


async def a_release_without_work_or_wish_says_so(subject: Subject) -> None:
    store = subject.store
    assert await store.release([Release(task(0), QUEUE, ONE_AT_A_TIME)]) == [None]
    await make_ready(subject, ready(0, limits=ONE_AT_A_TIME))
    result = await store.release([Release(task(1), QUEUE, ONE_AT_A_TIME)])
    assert result == [Waiting("backlog")]


async def a_release_told_twice_frees_one_slot(subject: Subject) -> None:
    limits = Limits(concurrent=2)
    tasks = [ready(number, limits=limits) for number in range(4)]
    await make_ready(subject, *tasks)
    await want(subject, 2, limits=limits)
    await lease(subject, task(0), task(1), slot=QUEUE)
    holds = [Settle(task(number), QUEUE, hold=True) for number in (0, 1)]
    await subject.store.settle(holds)
    await unlease(subject, task(0))
    await subject.store.release([Release(task(0), QUEUE, limits)])
    await subject.store.release([Release(task(0), QUEUE, limits)])
    assert claimed(await want(subject, 2, limits=limits)) == [task(2)]


async def the_rate_is_exact_over_every_window(subject: Subject) -> None:
    tasks = [ready(number, limits=TWO_A_WINDOW) for number in range(4)]
    await make_ready(subject, *tasks)
    assert claimed(await want(subject, 1, limits=TWO_A_WINDOW)) == [task(0)]
    began_ms = subject.now_ms()
    await subject.advance(2_400)
    result = await want(subject, 3, limits=TWO_A_WINDOW)
    assert (claimed(result), result.backlog) == ([task(1)], True)
    assert began_ms < result.at_ms <= began_ms + WINDOW_MS
    await subject.advance(result.at_ms - subject.now_ms())
    result = await want(subject, 3, limits=TWO_A_WINDOW)
    assert claimed(result) == [task(2)]
    assert result.at_ms >= began_ms + WINDOW_MS + 2_400


async def a_limited_push_tells_when_it_is_admitted(subject: Subject) -> None:
    await want(subject, 9, limits=TWO_A_WINDOW)
    tasks = [ready(number, limits=TWO_A_WINDOW) for number in range(3)]
    results = await make_ready(subject, *tasks)
    assert [assigned(each).task_id for each in results[:2]] == [task(0), task(1)]
    last = results[2]
    assert isinstance(last, Waiting)
    assert last.reason == "limited"
    assert subject.now_ms() < last.at_ms <= subject.now_ms() + WINDOW_MS


async def a_server_that_left_waits_for_nothing(subject: Subject) -> None:
    await subject.store.heartbeat(SERVER)
    await want(subject, 5)
    await subject.store.forget(SERVER)
    assert await make_ready(subject, ready(0)) == [Waiting("backlog")]


async def a_server_that_came_back_and_left_waits_for_nothing(subject: Subject) -> None:
    for _ in range(2):
        await subject.store.heartbeat(SERVER)
        await want(subject, 5)
        await subject.store.forget(SERVER)
    assert await make_ready(subject, ready(0)) == [Waiting("backlog")]


async def poll_data_keeps_the_latest_time(subject: Subject) -> None:
    store = subject.store
    await store.poll_seen(QUEUE, "worker-1")
    await subject.advance(100)
    again_ms = subject.now_ms()
    await store.poll_seen(EU, "worker-2")
    await store.poll_seen(QUEUE, "worker-1")
    seen = await store.poll_data(QUEUE.task_type)
    assert set(seen) == {("", "worker-1"), ("eu", "worker-2")}
    assert all(again_ms <= at_ms <= subject.now_ms() for at_ms in seen.values())
    assert await store.poll_data("unheard") == {}


CHECKS: Final = (
    tasks_come_by_priority_then_age_then_id,
    a_want_takes_no_more_than_its_count,
    a_push_is_idempotent_and_may_move,
    a_waiting_server_gets_the_pushed_task,
    the_rest_of_a_want_is_noted_and_counted_down,
    a_want_replaces_the_former_and_zero_withdraws,
    kinds_of_a_server_are_wishes_of_their_own,
    servers_are_served_in_turn,
    domains_do_not_mix,
    a_claim_that_ends_returns_with_its_old_score,
    a_push_of_a_claimed_task_tells_when_it_ends,
    a_settled_task_is_gone,
    an_unclaimed_task_that_is_still_ready_is_back_in_its_place,
    an_unclaimed_task_is_gone,
    a_task_set_aside_lets_others_pass_until_it_is_pushed,
    what_nobody_claims_is_not_set_aside,
    a_task_that_ended_leaves_its_queue,
    a_task_that_is_ready_again_or_claimed_does_not_leave,
    a_lease_that_ended_makes_the_task_ready_again,
    concurrency_counts_claims_and_slots_over_all_domains,
    a_release_hands_the_slot_to_who_waits,
    a_release_without_work_or_wish_says_so,
    a_release_told_twice_frees_one_slot,
    the_rate_is_exact_over_every_window,
    a_limited_push_tells_when_it_is_admitted,
    a_server_that_left_waits_for_nothing,
    a_server_that_came_back_and_left_waits_for_nothing,
    poll_data_keeps_the_latest_time,
)
