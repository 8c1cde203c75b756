"""Conformance: slots for what is in no queue, and looking up the keys of starts."""

# ruff: noqa: D103 - the name of a check is its sentence, an expected number the statement

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.queue import Limits
from podium.store.conformance.starts import keyed
from podium.store.conformance.subject import (
    NEIGHBOUR,
    QUEUE,
    STRANGER,
    WORKFLOW,
    change,
    claimed,
    committed,
    make_ready,
    ready,
    task,
    want,
)
from podium.store.port import CLAIM_MS, Commit, Idempotency, Release, Settle

if TYPE_CHECKING:
    from podium.store.conformance.subject import Subject

TWO: Final = Limits(concurrent=2)
OF_NEIGHBOUR: Final = task(0, NEIGHBOUR)
OF_STRANGER: Final = task(0, STRANGER)


async def admit(subject: Subject, task_id: str, limits: Limits = TWO) -> bool:
    return await subject.store.admit(task_id, QUEUE, limits)


async def store_slot(subject: Subject, workflow_id: str, task_id: str) -> None:
    await change(subject, Commit(workflow_id=workflow_id, version=0, slots=((task_id, QUEUE),)))
    await subject.store.settle([Settle(task_id, QUEUE, hold=True)])


async def no_more_are_admitted_than_the_limit(subject: Subject) -> None:
    assert await admit(subject, task(0))
    assert await admit(subject, OF_NEIGHBOUR)
    assert not await admit(subject, OF_STRANGER)
    assert await admit(subject, task(0))  # asked again: it has its claim
    assert not await admit(subject, OF_STRANGER)


async def a_claim_that_is_not_stored_ends_and_puts_nothing_into_the_queue(subject: Subject) -> None:
    await admit(subject, task(0))
    await admit(subject, OF_NEIGHBOUR)
    await subject.advance(CLAIM_MS)
    assert await admit(subject, OF_STRANGER)
    assert await subject.store.queue_size(QUEUE) == 1  # that claim
    assert claimed(await want(subject, 1, limits=TWO)) == []


async def an_unclaimed_slot_is_free_at_once(subject: Subject) -> None:
    await admit(subject, task(0))
    await admit(subject, OF_NEIGHBOUR)
    await subject.store.unclaim(OF_NEIGHBOUR, QUEUE)
    assert await admit(subject, OF_STRANGER)
    assert not await admit(subject, OF_NEIGHBOUR)


async def a_stored_slot_counts_until_it_is_released(subject: Subject) -> None:
    await admit(subject, task(0))
    await store_slot(subject, WORKFLOW, task(0))
    await admit(subject, OF_NEIGHBOUR)
    await store_slot(subject, NEIGHBOUR, OF_NEIGHBOUR)
    await subject.advance(CLAIM_MS)
    assert not await admit(subject, OF_STRANGER)
    assert await admit(subject, task(0))
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, unslotted=(task(0),)))
    await subject.store.release([Release(task(0), QUEUE, TWO)])
    assert await admit(subject, OF_STRANGER)


async def who_waits_in_the_queue_comes_first(subject: Subject) -> None:
    await make_ready(subject, ready(0, limits=TWO))
    assert not await admit(subject, OF_STRANGER)
    assert claimed(await want(subject, 1, limits=TWO)) == [task(0)]
    assert await admit(subject, OF_STRANGER)
    assert not await admit(subject, OF_NEIGHBOUR)


async def claims_of_the_queue_and_of_admissions_count_together(subject: Subject) -> None:
    await admit(subject, OF_STRANGER)
    await make_ready(subject, ready(0, limits=TWO), ready(1, limits=TWO))
    result = await want(subject, 2, limits=TWO)
    assert claimed(result) == [task(0)]
    assert result.backlog


async def a_key_is_found_as_its_commit_would_find_it(subject: Subject) -> None:
    key = Idempotency("orders", "key", "RETURN_EXISTING")
    running = Idempotency("orders", "key", "FAIL_ON_RUNNING")
    assert await subject.store.recorded(NEIGHBOUR, key) is None
    await committed(subject, keyed(WORKFLOW))
    assert await subject.store.recorded(NEIGHBOUR, key) == WORKFLOW
    assert await subject.store.recorded(NEIGHBOUR, running) == WORKFLOW
    assert await subject.store.recorded(NEIGHBOUR, Idempotency("orders", "other", "FAIL")) is None
    assert await subject.store.recorded(NEIGHBOUR, Idempotency("bills", "key", "FAIL")) is None
    await committed(subject, Commit(workflow_id=WORKFLOW, version=1, running=False))
    assert await subject.store.recorded(NEIGHBOUR, key) == WORKFLOW
    assert await subject.store.recorded(NEIGHBOUR, running) is None


CHECKS: Final = (
    no_more_are_admitted_than_the_limit,
    a_claim_that_is_not_stored_ends_and_puts_nothing_into_the_queue,
    an_unclaimed_slot_is_free_at_once,
    a_stored_slot_counts_until_it_is_released,
    who_waits_in_the_queue_comes_first,
    claims_of_the_queue_and_of_admissions_count_together,
    a_key_is_found_as_its_commit_would_find_it,
)
