"""JSON Web Tokens: signed by a key of the issuer's set, for this audience, not expired.

Rules: the algorithm is one of the settings' and fits the key's type, whatever header or key say
(CVE-2026-48523); a header with `crit` is refused, since no extension is understood
(CVE-2026-32597); keys come from the set alone, never from the token. A token that was verified is
remembered until it expires or the set changes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import jwt
import msgspec

from podium.api.credentials import AuthSettingInvalid, CredentialsInvalid
from podium.app.caller import Principal, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from podium.api.key_set import KeySet
    from podium.model.payload import JsonObject, JsonValue

TOKEN_CHARS_MAX: Final = 8_192
LEEWAY_MS: Final = 30_000
"""How far the issuer's clock may be off."""
KNOWN_MAX: Final = 10_000
FITTING: Final[Mapping[str, tuple[str, str | None]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", None),
}
"""Algorithm → type and curve of its keys. No shared secrets: they would be readable here."""
ROLES: Final = frozenset[str](Role)
REQUIRED: Final = ("exp", "iss", "aud", "sub")


class TokenSettings(msgspec.Struct, frozen=True):
    """`roles_claim`: a list, or a text with spaces, of role names; others in it mean nothing."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    roles_claim: str


class SignedTokens:
    """Verifies tokens."""

    def __init__(
        self, settings: TokenSettings, key_set: KeySet, *, now_ms: Callable[[], int]
    ) -> None:
        """Raises AuthSettingInvalid."""
        for name in ("issuer", "audience", "algorithms", "roles_claim"):
            if not getattr(settings, name):
                raise AuthSettingInvalid(f"auth.jwt_{name}: expected a value, found none")
        if unfit := [each for each in settings.algorithms if each not in FITTING]:
            known = ", ".join(FITTING)
            raise AuthSettingInvalid(
                f"auth.jwt_algorithms: expected some of {known}, found {unfit}"
            )
        self._settings = settings
        self._key_set = key_set
        self._now_ms = now_ms
        self._known: dict[bytes, Principal] = {}
        self._generation = 0

    async def principal_of(self, token: str) -> Principal:
        """Raises CredentialsInvalid."""
        if len(token) > TOKEN_CHARS_MAX:
            raise CredentialsInvalid(f"expected at most {TOKEN_CHARS_MAX} characters")
        await self._key_set.refresh()
        if self._generation != self._key_set.generation or len(self._known) > KNOWN_MAX:
            self._known.clear()
            self._generation = self._key_set.generation
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = await self._verified(token)
        if known.expires_ms is None or known.expires_ms <= self._now_ms():
            raise CredentialsInvalid("expected a valid token, found that it has expired")
        return known

    async def _verified(self, token: str) -> Principal:
        algorithm, kid = self._header(token)
        key = await self._key_set.find(kid)
        if key is None:
            raise CredentialsInvalid("expected a key of the issuer's set, found another kid")
        try:
            claims: JsonObject = jwt.decode(
                token,
                key=_key_of(key, algorithm),
                algorithms=[algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_MS / 1000,
                options={"require": list(REQUIRED)},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as problem:
            raise CredentialsInvalid(f"{type(problem).__name__}: {problem}") from None
        return self._principal(claims)

    def _header(self, token: str) -> tuple[str, str | None]:
        """Algorithm and key id. Raises CredentialsInvalid."""
        try:
            header: JsonObject = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError) as problem:
            raise CredentialsInvalid(f"expected a token, found {problem}") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._settings.algorithms:
            expected = ", ".join(self._settings.algorithms)
            raise CredentialsInvalid(f"expected an algorithm of {expected}, found {algorithm!r}")
        if "crit" in header:
            raise CredentialsInvalid("expected no critical extensions, found crit")
        if kid is not None and not isinstance(kid, str):
            raise CredentialsInvalid("expected a text as kid, found something else")
        return algorithm, kid

    def _principal(self, claims: JsonObject) -> Principal:
        subject, expires_s = claims["sub"], claims["exp"]
        if not isinstance(subject, str) or not subject or not isinstance(expires_s, int | float):
            raise CredentialsInvalid("expected a subject, found none")
        given = claims.get(self._settings.roles_claim)
        words = given.split() if isinstance(given, str) else given
        roles = {
            Role(word) for word in (words if isinstance(words, list) else ()) if _is_role(word)
        }
        return Principal(
            "token", subject[:255], frozenset(roles), int(expires_s * 1000) + LEEWAY_MS
        )


def _key_of(key: JsonObject, algorithm: str) -> jwt.PyJWK:
    """The key for this algorithm. Raises CredentialsInvalid, PyJWTError."""
    kind, curve = FITTING[algorithm]
    fits = key.get("kty") == kind and (curve is None or key.get("crv") == curve)
    meant = key.get("alg", algorithm) == algorithm and key.get("use", "sig") == "sig"
    if not fits or not meant:
        raise CredentialsInvalid(f"expected a key for {algorithm}, found one for something else")
    return jwt.PyJWK(key, algorithm=algorithm)


def _is_role(word: JsonValue) -> bool:
    return isinstance(word, str) and word in ROLES
