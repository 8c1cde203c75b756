"""The issuer's keys (a JSON Web Key Set) from a file or a URL.

Of a URL the keys are asked for again every ten minutes, and when a token names a key that is not
known, but never more than once a minute, so that a flood of unknown names does not become a flood
of requests. A set that cannot be had leaves the former one in use for an hour; then no token is
accepted: it never fails open.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import aiohttp
import grpc
import msgspec

from podium.api.credentials import AuthSettingInvalid, CredentialsInvalid
from podium.api.watched_file import WatchedFile
from podium.runtime.clock import spawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.model.payload import JsonObject

LOG = logging.getLogger("podium.access")
FRESH_MS: Final = 600_000
ASK_AGAIN_MS: Final = 60_000
KEPT_MS: Final = 3_600_000
ASK_S: Final = 5.0
SET_BYTES_MAX: Final = 256 * 1024
KEYS_MAX: Final = 100
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
MISSING: Final = "expected the keys of the tokens' issuer, found none for now"


class KeySet(Protocol):
    """`generation` rises whenever the keys change."""

    @property
    def generation(self) -> int: ...

    async def refresh(self) -> None:
        """Take notice of changes, without waiting for anything remote while keys are known."""
        ...

    async def find(self, kid: str | None) -> JsonObject | None:
        """The key of this id; without an id, the only one. Raises CredentialsInvalid."""
        ...


class KeyFile:
    """Keys of a file, which is looked at with each call."""

    def __init__(self, path: Path) -> None:
        """Raises AuthSettingInvalid, FileUnsound."""
        self._file = WatchedFile("auth.jwt_jwks", path, read_key_set)
        self._keys = self._file.content()
        self.generation = 1

    async def refresh(self) -> None:
        keys = self._file.content()
        if keys is not self._keys:
            self._keys = keys
            self.generation += 1

    async def find(self, kid: str | None) -> JsonObject | None:
        return _chosen(self._keys, kid)


class KeyUrl:
    """Keys of an address."""

    def __init__(self, url: str, *, now_ms: Callable[[], int]) -> None:
        self._url = url
        self._now_ms = now_ms
        self._keys: list[JsonObject] = []
        self._asked_ms: int | None = None
        self._had_ms = 0
        self._asking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.generation = 0

    async def refresh(self) -> None:
        age_ms = self._now_ms() - self._had_ms
        if self._keys and age_ms > KEPT_MS:
            self._keys = []
            self.generation += 1
        if self._keys and age_ms > FRESH_MS and self._may_ask() and not self._asking.locked():
            spawn(self._tasks, self._ask())

    async def find(self, kid: str | None) -> JsonObject | None:
        found = _chosen(self._keys, kid)
        if found is None:
            await self._ask()
            found = _chosen(self._keys, kid)
        if not self._keys:
            raise CredentialsInvalid(MISSING, code=grpc.StatusCode.UNAVAILABLE, told=MISSING)
        return found

    async def _ask(self) -> None:
        async with self._asking:
            if not self._may_ask():
                return
            self._asked_ms = self._now_ms()
            try:
                keys = read_key_set(self._url, await _fetched(self._url))
            except (aiohttp.ClientError, AuthSettingInvalid, TimeoutError, OSError) as problem:
                noted = {"event": "keys_unreachable", "url": self._url}
                LOG.warning("auth.jwt_jwks: no keys: %s", problem, extra=noted)
                return
            self._had_ms = self._now_ms()
            if keys != self._keys:
                self._keys = keys
                self.generation += 1

    def _may_ask(self) -> bool:
        return self._asked_ms is None or self._now_ms() - self._asked_ms >= ASK_AGAIN_MS


def key_set_of(place: str, *, now_ms: Callable[[], int]) -> KeySet:
    """Of a path or a URL. Raises AuthSettingInvalid, FileUnsound."""
    if "://" not in place:
        return KeyFile(Path(place))
    try:
        parts = urlsplit(place)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)):
        raise AuthSettingInvalid(
            "auth.jwt_jwks: expected a path, an https:// address, or http:// on this machine, found"
            f" {place[:200]!r}"
        )
    return KeyUrl(place, now_ms=now_ms)


def read_key_set(place: str, data: bytes) -> list[JsonObject]:
    """The keys of a set. Raises AuthSettingInvalid."""
    try:
        found = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        keys = msgspec.json.decode(found.get("keys", b"[]"), type=list[dict[str, object]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        keys = []
    if not 0 < len(keys) <= KEYS_MAX:
        raise AuthSettingInvalid(
            f"{place}: expected a JSON object with 1 to {KEYS_MAX} keys in `keys`"
        )
    return keys  # pyright: ignore[reportReturnType] - parsed from JSON


def _chosen(keys: list[JsonObject], kid: str | None) -> JsonObject | None:
    fitting = keys if kid is None else [key for key in keys if key.get("kid") == kid]
    return fitting[0] if len(fitting) == 1 else None


async def _fetched(url: str) -> bytes:
    """Raises ClientError, TimeoutError, AuthSettingInvalid."""
    limit = aiohttp.ClientTimeout(total=ASK_S)
    async with (
        aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
            raise AuthSettingInvalid(f"{url}: expected status 200, found {answer.status}")
        data = await answer.content.read(SET_BYTES_MAX + 1)
        while len(data) <= SET_BYTES_MAX and (more := await answer.content.read(SET_BYTES_MAX)):
            data += more
    if len(data) > SET_BYTES_MAX:
        raise AuthSettingInvalid(f"{url}: expected at most {SET_BYTES_MAX} bytes")
    return data
