"""The store over Dynomite: it conforms, asks nothing that is refused, and says what it lacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from podium.runtime.clock import SystemClock
from podium.store.conformance import CHECKS, admission, queues
from podium.store.conformance.subject import OTHER, SERVER
from podium.store.port import StoreUnavailable
from podium.store.redis.address import read_address
from podium.store.redis.bus import MAIL_PART
from podium.store.redis.store import RedisStore
from tests.cli.serving import refused
from tests.dynomite.standin import StandIn
from tests.store.subjects import distant

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from podium.store.conformance.subject import Subject
    from tests.dynomite.conftest import Dynomite

    Check = Callable[[Subject], Awaitable[None]]

pytestmark = pytest.mark.part("redis-server")

CLAIMING = (*admission.CHECKS, *queues.CHECKS)
"""Most of them wait until a claim ends; so they wait together."""


@pytest.mark.parametrize(
    "check", [each for each in CHECKS if each not in CLAIMING], ids=lambda check: check.__name__
)
async def test_dynomite_conforms(check: Check, dynomite: Dynomite) -> None:
    async with distant(dynomite.url) as subject:
        await check(subject)
    assert dynomite.offences == []


async def test_dynomite_conforms_where_claims_take_their_time(dynomite: Dynomite) -> None:
    lanes = asyncio.Semaphore(8)

    async def run(check: Check) -> None:
        async with lanes, distant(dynomite.url) as subject:
            await check(subject)

    answers = await asyncio.gather(*map(run, CLAIMING), return_exceptions=True)
    ended = zip(CLAIMING, answers, strict=True)
    assert not {check.__name__: answer for check, answer in ended if answer is not None}
    assert dynomite.offences == []


async def test_more_mail_than_one_look_takes_arrives_in_order(dynomite: Dynomite) -> None:
    async with distant(dynomite.url) as subject:
        store = subject.store
        sent = [b"%d" % number for number in range(2 * MAIL_PART + 3)]
        for message in sent:
            await store.publish(SERVER, message)
            await store.publish(OTHER, b"for somebody else")
        arrived: list[bytes] = []
        complete = asyncio.Event()

        def deliver(message: bytes) -> None:
            arrived.append(message)
            if len(arrived) == len(sent):
                complete.set()

        store.subscribe(SERVER, deliver)
        await asyncio.wait_for(complete.wait(), 20)
        assert arrived == sent


async def test_mail_that_nobody_takes_goes_by_itself(dynomite: Dynomite) -> None:
    async with distant(dynomite.url) as subject:
        store = cast("RedisStore", subject.store)
        await store.publish(SERVER, b"lost")
        left_ms = await store.link.one(("PTTL", store.keys.mail(SERVER)))
        assert 0 < cast("int", left_ms) <= 30_000


async def test_a_ring_without_hash_tags_is_refused(tmp_path: Path) -> None:
    with StandIn(tmp_path, hash_tag="") as plain:
        store = RedisStore(read_address(plain.url), SystemClock().now_ms)
        with pytest.raises(StoreUnavailable) as refusal:
            await store.open()
        words = str(refusal.value)
        assert words.startswith(f'{plain.url}: expected hash_tag "{{}}" on every node of Dynomite')
        assert "found that keys of one tag lie on several nodes: set it in each node's" in words
        assert [each.ask("DBSIZE") for each in plain.nodes] == [0, 0]
        code, said = await refused(
            *("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--store", plain.url)
        )
        assert code == 2
        assert said.splitlines()[-1] == f"podium: store.url: {words}"
