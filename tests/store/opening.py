"""Opening a store on the Redis protocol, and what it says where it refuses to."""

from __future__ import annotations

import asyncio

import pytest

from podium.runtime.clock import SystemClock
from podium.store.port import StoreUnavailable
from podium.store.redis.address import read_address
from podium.store.redis.durability import LOCAL, Durability
from podium.store.redis.store import RedisStore


async def closed() -> None:
    """redis-py does not wait for a refused connection to close; TLS takes turns of the loop."""
    await asyncio.sleep(0.02)


async def opens(url: str, durability: Durability = LOCAL) -> None:
    store = RedisStore(read_address(url), SystemClock().now_ms, durability=durability)
    await store.open()
    await store.close()


async def refused(url: str, durability: Durability = LOCAL) -> str:
    """One line, for people."""
    with pytest.raises(StoreUnavailable) as refusal:
        await opens(url, durability)
    words = str(refusal.value)
    assert "expected" in words
    assert "found" in words or "user and password" in words
    assert "\n" not in words
    assert "object at 0x" not in words
    return words
