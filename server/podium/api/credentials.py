"""Who a caller is: by API key, by token (JWT), or by the certificate of its connection.

Rules: a bearer that is shown decides alone, so a wrong one is never made good by a certificate; of
metadata nothing but `authorization` is read, so a header that names a principal means nothing; keys
are known by their SHA-256 only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import grpc
import grpc.aio
import msgspec

from podium.api.watched_file import WatchedFile
from podium.app.caller import Principal, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    Context = grpc.aio.ServicerContext[object, object]

BEARER: Final = re.compile(r"bearer +(?P<shown>[!-~]+)", re.IGNORECASE)
TOKEN_DOTS: Final = 2
KEY_WORDS: Final = (3, 4)
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
NAME: Final = re.compile(r"[\w.@:/-]{1,255}", re.ASCII)
IDENTITIES: Final = {
    "uri": "peer_uri",
    "dns": "peer_dns",
    "email": "peer_email",
    "cn": "x509_common_name",
}
"""What names a certificate in `auth.clients`, in the order in which it is looked for → gRPC's name
of it."""
SECURE: Final = b"ssl"
TOLD: Final = "expected valid credentials (metadata authorization: Bearer ...), found {found}"
NONE: Final = "none"
WRONG: Final = "some that are not valid"


class CredentialsInvalid(Exception):
    """The text is for the log; `told` is for the caller."""

    def __init__(
        self,
        text: str,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNAUTHENTICATED,
        told: str = TOLD.format(found=WRONG),
    ) -> None:
        super().__init__(text)
        self.code = code
        self.told = told


class AuthSettingInvalid(Exception):
    """A setting of `[auth]` that cannot be used; the text says where, expected and found."""


class Key(msgspec.Struct, frozen=True):
    """An API key as it is known: who shows it, what that one may do, the SHA-256 of its text."""

    principal: Principal
    digest: bytes


class Keys:
    """The keys of the settings and of a file, which is read again when it changes."""

    def __init__(self, lines: Iterable[str], file: Path | None) -> None:
        """Raises AuthSettingInvalid."""
        self._fixed = [read_key(f"auth.keys[{number}]", line) for number, line in enumerate(lines)]
        self._file = None if file is None else WatchedFile("auth.keys_file", file, read_keys)

    def find(self, shown: str, now_ms: int) -> Principal:
        """Raises CredentialsInvalid. Every key is compared, in constant time."""
        digest = hashlib.sha256(shown.encode()).digest()
        found: Principal | None = None
        for key in [*self._fixed, *(self._file.content() if self._file else ())]:
            if hmac.compare_digest(key.digest, digest):
                found = key.principal
        if found is None:
            raise CredentialsInvalid("expected a known API key, found another")
        if found.expires_ms is not None and found.expires_ms <= now_ms:
            raise CredentialsInvalid(f"expected a valid API key, found the expired {found.name}")
        return found


class Tokens(Protocol):
    """Verifies tokens (api/token.py)."""

    async def principal_of(self, token: str) -> Principal:
        """Raises CredentialsInvalid."""
        ...


class Credentials:
    """All that a server accepts. `clients`: roles by "cn:name", "dns:name", ..., or "*"."""

    def __init__(
        self,
        *,
        keys: Keys,
        clients: Mapping[str, str],
        tokens: Tokens | None,
        now_ms: Callable[[], int],
    ) -> None:
        """Raises AuthSettingInvalid."""
        self._keys = keys
        self._clients = {name: _client(name, roles) for name, roles in clients.items()}
        self._tokens = tokens
        self._now_ms = now_ms

    async def principal_of(self, context: Context) -> Principal:
        """Raises CredentialsInvalid."""
        shown = _bearer(context)
        if shown is None:
            return self._certified(context)
        if shown.count(".") != TOKEN_DOTS:
            return self._keys.find(shown, self._now_ms())
        if self._tokens is None:
            raise CredentialsInvalid("expected an API key, found a token; auth.jwt_jwks is not set")
        return await self._tokens.principal_of(shown)

    def _certified(self, context: Context) -> Principal:
        """By the certificate of the connection, which its handshake has verified."""
        properties: Mapping[str, Iterable[bytes]] = context.auth_context()
        if SECURE not in properties.get("transport_security_type", ()):
            raise CredentialsInvalid("found none", told=TOLD.format(found=NONE))
        names = [
            f"{kind}:{name.decode('utf-8', 'replace')}"
            for kind, known_as in IDENTITIES.items()
            for name in properties.get(known_as, ())
        ]
        if not names:
            raise CredentialsInvalid("found none", told=TOLD.format(found=NONE))
        for name in names:
            if name in self._clients:
                return Principal("certificate", name, self._clients[name])
        return Principal("certificate", names[0], self._clients.get("*", frozenset()))


def _bearer(context: Context) -> str | None:
    """What `authorization` shows; None where there is none. Raises CredentialsInvalid."""
    given = [
        value for name, value in context.invocation_metadata() or () if name == "authorization"
    ]
    if not given:
        return None
    match = BEARER.fullmatch(given[0]) if len(given) == 1 and isinstance(given[0], str) else None
    if match is None:
        raise CredentialsInvalid(f"expected one `authorization: Bearer ...`, found {len(given)}")
    return match["shown"]


def read_keys(place: str, data: bytes) -> list[Key]:
    """A file of keys, one a line; # begins a comment. Raises AuthSettingInvalid."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise AuthSettingInvalid(f"{place}: expected UTF-8, found other bytes") from None
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [
        read_key(f"{place}:{number}", line) for number, line in enumerate(lines, start=1) if line
    ]


def read_key(place: str, line: str) -> Key:
    """`NAME ROLE[+ROLE...] SHA256 [EXPIRES]`. Raises AuthSettingInvalid."""
    words = line.split()
    if (
        len(words) not in KEY_WORDS
        or not NAME.fullmatch(words[0])
        or not DIGEST.fullmatch(words[2])
    ):
        raise AuthSettingInvalid(
            f"{place}: expected NAME ROLE[+ROLE] SHA256 [EXPIRES], NAME of letters, digits and"
            f" _.@:/-, SHA256 of 64 hexadecimal digits in lower case, found {len(words)} words"
        )
    expires_ms = read_instant(place, words[3]) if len(words) == max(KEY_WORDS) else None
    roles = read_roles(place, words[1])
    return Key(Principal("key", words[0], roles, expires_ms), bytes.fromhex(words[2]))


def key_line(shown: str, name: str, roles: str, expires: str = "") -> str:
    """The line by which a server knows the key."""
    digest = hashlib.sha256(shown.encode()).hexdigest()
    return " ".join(filter(None, (name, roles, digest, expires)))


def read_roles(place: str, text: str) -> frozenset[Role]:
    """Roles with + between them. Raises AuthSettingInvalid."""
    try:
        return frozenset(Role(word.strip()) for word in text.split("+"))
    except ValueError:
        known = ", ".join(Role)
        raise AuthSettingInvalid(
            f"{place}: expected roles of {known} with + between them, found {text[:80]!r}"
        ) from None


def read_instant(place: str, text: str) -> int:
    """Epoch ms of an ISO date or time, UTC where no zone is named. Raises AuthSettingInvalid."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise AuthSettingInvalid(
            f"{place}: expected a date or a time like 2027-01-31T12:00:00Z, found {text[:80]!r}"
        ) from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return int(instant.timestamp() * 1000)


def _client(name: str, roles: str) -> frozenset[Role]:
    kind, colon, value = name.partition(":")
    if name != "*" and not (kind in IDENTITIES and colon and value):
        kinds = ", ".join(f"{each}:NAME" for each in IDENTITIES)
        raise AuthSettingInvalid(f"auth.clients: expected one of {kinds} or *, found {name[:80]!r}")
    return read_roles(f"auth.clients: {name}", roles)
