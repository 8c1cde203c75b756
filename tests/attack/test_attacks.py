"""Each attack for a moment: the server lives, others are served, memory stays bounded."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import grpc.aio
import pytest

from tests.attack.attacks import ATTACKS
from tests.attack.siege import Healthy, attacking
from tests.bench.processes import resident_mb
from tests.cli.serving import serving

pytestmark = pytest.mark.timeout(90)

ATTACK_S: Final = 1.5
GROWTH_MB_MAX: Final = 300
"""Generous: `make bench` judges the figure."""
STUBBORN: Final = ("continuation-flood", "ping-flood", "slow-read")
"""What keeps the core's connections busy, or their answers waiting."""


@pytest.mark.parametrize("name", ATTACKS)
async def test_others_are_served_during_an_attack_and_after_it(name: str) -> None:
    async with (
        serving("--store", "memory://", "--http", "") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        healthy = Healthy(channel)
        await healthy.prepare()
        await healthy.call()
        before_mb = resident_mb(server.process.pid)
        async with attacking(name, server.target) as siege:
            await healthy.calls(siege, until_s=time.perf_counter() + ATTACK_S)
        assert siege.tally["acts"] > 0, "the attack did nothing"
        assert siege.failed == []
        assert siege.took_ms
        await healthy.call()
        assert server.process.returncode is None
        assert resident_mb(server.process.pid) - before_mb < GROWTH_MB_MAX
        code, complaints = await server.end()
        assert code == 0
        assert "Traceback" not in complaints, complaints


@pytest.mark.parametrize("name", STUBBORN)
async def test_a_server_ends_in_order_during_an_attack(name: str) -> None:
    async with (
        serving("--store", "memory://", "--http", "") as server,
        attacking(name, server.target) as siege,
    ):
        await asyncio.sleep(ATTACK_S)
        code, complaints = await server.end()
        assert code == 0
        assert "Traceback" not in complaints, complaints
    assert siege.tally["acts"] > 0, "the attack did nothing"
