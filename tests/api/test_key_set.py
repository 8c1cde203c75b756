"""The issuer's keys from an address: asked for seldom, kept for a while, never open."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from aiohttp import web

from podium.api.credentials import AuthSettingInvalid, CredentialsInvalid
from podium.api.key_set import ASK_AGAIN_MS, FRESH_MS, KEPT_MS, KeyFile, KeyUrl, key_set_of
from podium.api.token import SignedTokens, TokenSettings
from tests.api.credentials import AUDIENCE, ISSUER, Issuer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

EVENT_S = 10


class Endpoint:
    """Answers with `body`, or with `status`; counts who asks."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.again = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.again.set()
        return web.Response(text=self.body, status=self.status, headers=self.headers)


@asynccontextmanager
async def endpoint(body: str) -> AsyncIterator[Endpoint]:
    found = Endpoint(body)
    application = web.Application()
    application.router.add_get("/keys", found.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    sockets: Any = site._server
    found.url = f"http://127.0.0.1:{sockets.sockets[0].getsockname()[1]}/keys"
    try:
        yield found
    finally:
        await runner.cleanup()


class Hand:
    """A clock moved by hand, far behind: to it, no token of these tests expires."""

    def __init__(self) -> None:
        self.ms = 10_000_000

    def now_ms(self) -> int:
        return self.ms


async def test_keys_are_asked_for_once_and_again_when_they_are_old(tmp_path: Path) -> None:
    issuer, clock = Issuer(tmp_path), Hand()
    async with endpoint(json.dumps(issuer.key_set())) as served:
        keys = KeyUrl(served.url, now_ms=clock.now_ms)
        for _ in range(3):
            await keys.refresh()
            assert (await keys.find("rsa-1") or {})["kid"] == "rsa-1"
        assert served.asked == 1
        generation = keys.generation
        served.body = json.dumps(issuer.key_set("rsa-2"))
        clock.ms += FRESH_MS + 1
        served.again.clear()
        await keys.refresh()
        async with asyncio.timeout(EVENT_S):
            await served.again.wait()
        assert await keys.find("rsa-2") is not None
        assert await keys.find("rsa-1") is None
        assert keys.generation == generation + 1


async def test_unknown_names_are_asked_for_once_a_minute(tmp_path: Path) -> None:
    issuer, clock = Issuer(tmp_path), Hand()
    async with endpoint(json.dumps(issuer.key_set())) as served:
        keys = KeyUrl(served.url, now_ms=clock.now_ms)
        found = await asyncio.gather(*(keys.find(f"unknown-{n}") for n in range(200)))
        assert set(found) == {None}
        assert served.asked == 1
        clock.ms += ASK_AGAIN_MS
        assert await keys.find("unknown") is None
        assert served.asked == 2


@pytest.mark.parametrize(
    ("status", "body"), [(500, ""), (404, ""), (302, ""), (200, "{"), (200, "{" + " " * 300_000)]
)
async def test_keys_that_cannot_be_had_let_nobody_in(
    tmp_path: Path, status: int, body: str
) -> None:
    issuer, clock = Issuer(tmp_path), Hand()
    async with endpoint(body) as served:
        served.status, served.headers = status, {"Location": served.url} if status == 302 else {}
        settings = TokenSettings(ISSUER, AUDIENCE, ("RS256",), "roles")
        tokens = SignedTokens(
            settings, KeyUrl(served.url, now_ms=clock.now_ms), now_ms=clock.now_ms
        )
        for _ in range(3):
            with pytest.raises(CredentialsInvalid) as refusal:
                await tokens.principal_of(issuer.token())
            # Not the caller's fault: it may come again.
            assert refusal.value.code is grpc.StatusCode.UNAVAILABLE
        assert served.asked == 1


async def test_known_keys_last_an_hour_without_the_endpoint(tmp_path: Path) -> None:
    issuer, clock = Issuer(tmp_path), Hand()
    settings = TokenSettings(ISSUER, AUDIENCE, ("RS256",), "roles")
    async with endpoint(json.dumps(issuer.key_set())) as served:
        tokens = SignedTokens(
            settings, KeyUrl(served.url, now_ms=clock.now_ms), now_ms=clock.now_ms
        )
        token, another = issuer.token(), issuer.token(sub="another")
        assert await tokens.principal_of(token)
    clock.ms += KEPT_MS
    assert await tokens.principal_of(token)
    assert await tokens.principal_of(another)
    clock.ms += 1
    for shown in (token, another):  # also what was verified before
        with pytest.raises(CredentialsInvalid) as refusal:
            await tokens.principal_of(shown)
        assert refusal.value.code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "place",
    ["http://issuer.example/keys", "ftp://127.0.0.1/keys", "https://", "http://[::1", "file:///x"],
)
def test_only_safe_addresses_are_asked(place: str) -> None:
    with pytest.raises(AuthSettingInvalid, match=r"auth.jwt_jwks: expected a path, an https://"):
        key_set_of(place, now_ms=Hand().now_ms)


def test_a_path_and_addresses_are_told_apart(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    assert isinstance(key_set_of(str(issuer.file), now_ms=Hand().now_ms), KeyFile)
    for place in ("https://issuer.example/keys", "http://127.0.0.1:1/keys", "http://[::1]/keys"):
        assert isinstance(key_set_of(place, now_ms=Hand().now_ms), KeyUrl)
