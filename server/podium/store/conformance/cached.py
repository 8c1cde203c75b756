"""Conformance: outputs of tasks, kept for equal calls."""

# ruff: noqa: D103 - the name of a check is its sentence

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from podium.store.conformance.subject import Subject

NAME: Final = "c" * 64


async def what_was_kept_is_found_until_its_time_is_over(subject: Subject) -> None:
    store, now_ms = subject.store, subject.now_ms()
    assert await store.cached(NAME, 0) is None
    await store.put_cached(NAME, b"one", at_ms=now_ms, until_ms=now_ms + 2_000)
    assert await store.cached(NAME, 0) == b"one"
    assert await store.cached("another", 0) is None
    await subject.advance(2_001)
    assert await store.cached(NAME, 0) is None
    await store.put_cached(NAME, b"", at_ms=now_ms + 2_001, until_ms=now_ms + 100_000)
    assert await store.cached(NAME, 0) == b""


async def what_came_out_too_early_is_not_found(subject: Subject) -> None:
    store, now_ms = subject.store, subject.now_ms()
    await store.put_cached(NAME, b"one", at_ms=now_ms, until_ms=now_ms + 100_000)
    assert await store.cached(NAME, now_ms - 1) == b"one"
    assert await store.cached(NAME, now_ms) is None


async def the_later_output_stays_in_whatever_order_they_come(subject: Subject) -> None:
    store, now_ms = subject.store, subject.now_ms()
    for value, at_ms in ((b"old", now_ms), (b"new", now_ms + 1), (b"old", now_ms)):
        await store.put_cached(NAME, value, at_ms=at_ms, until_ms=now_ms + 100_000)
        await store.put_cached(NAME, value, at_ms=at_ms, until_ms=now_ms + 100_000)
    assert await store.cached(NAME, now_ms) == b"new"


async def a_heartbeat_takes_only_what_is_over(subject: Subject) -> None:
    store, now_ms = subject.store, subject.now_ms()
    await store.put_cached("short", b"short", at_ms=now_ms, until_ms=now_ms + 10)
    await store.put_cached("long", b"long", at_ms=now_ms, until_ms=now_ms + 100_000)
    await subject.advance(11)
    await store.heartbeat("server")
    assert await store.cached("short", 0) is None
    assert await store.cached("long", 0) == b"long"


CHECKS: Final = (
    what_was_kept_is_found_until_its_time_is_over,
    what_came_out_too_early_is_not_found,
    the_later_output_stays_in_whatever_order_they_come,
    a_heartbeat_takes_only_what_is_over,
)
