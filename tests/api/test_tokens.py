"""Tokens: what is accepted, and everything that looks like a token and is none."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from podium.api.credentials import AuthSettingInvalid, CredentialsInvalid
from podium.api.key_set import KeyFile
from podium.api.token import SignedTokens, TokenSettings
from podium.app.caller import Principal, Role
from podium.runtime.clock import SystemClock
from tests.api.credentials import AUDIENCE, HOUR_S, ISSUER, Issuer

if TYPE_CHECKING:
    from pathlib import Path

MINUTE_S = 60


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


def tokens_of(issuer: Issuer, *algorithms: str) -> SignedTokens:
    settings = TokenSettings(ISSUER, AUDIENCE, algorithms or ("RS256", "ES256"), "roles")
    return SignedTokens(settings, KeyFile(issuer.file), now_ms=SystemClock().now_ms)


def now_s() -> int:
    return int(time.time())


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


async def test_a_token_tells_who_and_what(issuer: Issuer) -> None:
    exp = now_s() + 100
    found = await tokens_of(issuer).principal_of(
        issuer.token(sub="ada", roles=["worker", "x", 7], exp=exp)
    )
    assert found == Principal("token", "ada", frozenset({Role.WORKER}), (exp + 30) * 1000)


async def test_clocks_may_differ_a_little(issuer: Issuer) -> None:
    tokens = tokens_of(issuer)
    assert await tokens.principal_of(issuer.token(exp=now_s() - 5))
    assert await tokens.principal_of(issuer.token(nbf=now_s() + 20))


async def test_an_elliptic_key_signs_as_well(issuer: Issuer) -> None:
    headers = {"kid": "ec-1", "alg": "ES256"}
    assert await tokens_of(issuer).principal_of(issuer.token(key=issuer.ec, headers=headers))


async def test_an_array_of_audiences_may_name_us(issuer: Issuer) -> None:
    assert await tokens_of(issuer).principal_of(issuer.token(aud=["others", AUDIENCE]))


# Times are told from now.
@pytest.mark.parametrize(
    "claims",
    [
        {"exp": -MINUTE_S},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": HOUR_S},
        {"iat": HOUR_S},
        {"aud": None},
        {"aud": "others"},
        {"aud": ["others"]},
        {"aud": "podіum"},  # noqa: RUF001 - a Cyrillic letter, on purpose
        {"iss": None},
        {"iss": "https://others.example"},
        {"iss": f"{ISSUER}/"},
        {"sub": None},
        {"sub": ""},
    ],
    ids="-".join,
)
async def test_claims_that_are_not_for_us_are_refused(
    issuer: Issuer, claims: dict[str, Any]
) -> None:
    given: dict[str, Any] = {
        name: value + now_s() if type(value) is int else value for name, value in claims.items()
    }
    with pytest.raises(CredentialsInvalid):
        await tokens_of(issuer).principal_of(issuer.token(**given))


async def test_an_unsigned_token_is_refused(issuer: Issuer) -> None:
    good = issuer.token()
    claims = good.split(".")[1]
    for algorithm in ("none", "None", "NONE", ""):
        forged = f"{encoded({'alg': algorithm, 'kid': 'rsa-1', 'typ': 'JWT'})}.{claims}."
        with pytest.raises(CredentialsInvalid):
            await tokens_of(issuer).principal_of(forged)


async def test_the_public_key_is_no_shared_secret(issuer: Issuer) -> None:
    """Signed with HMAC, the issuer's public key as secret."""
    claims = issuer.token().split(".")[1]
    public = issuer.rsa.public_key()
    for encoding in (Encoding.DER, Encoding.PEM):
        secret = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        signed = f"{encoded({'alg': 'HS256', 'kid': 'rsa-1'})}.{claims}"
        mac = hmac.digest(secret, signed.encode(), "sha256")
        forged = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        with pytest.raises(CredentialsInvalid, match="HS256"):
            await tokens_of(issuer).principal_of(forged)


async def test_critical_extensions_are_refused(issuer: Issuer) -> None:
    """CVE-2026-32597: `crit` names an extension that nobody here understands."""
    for crit in (["exp2"], ["b64"], [], "exp2"):
        token = issuer.token(headers={"crit": crit, "exp2": 1})
        with pytest.raises(CredentialsInvalid, match=r"(?i)crit"):
            await tokens_of(issuer).principal_of(token)


async def test_the_key_does_not_choose_the_algorithm(issuer: Issuer) -> None:
    """CVE-2026-48523: the list of algorithms holds, whatever a key of the set says of itself."""
    with pytest.raises(CredentialsInvalid, match="RS256"):
        await tokens_of(issuer, "ES256").principal_of(issuer.token())
    with pytest.raises(CredentialsInvalid, match="RS512"):
        await tokens_of(issuer, "RS256").principal_of(issuer.token(headers={"alg": "RS512"}))


async def test_a_key_for_one_algorithm_serves_no_other(issuer: Issuer, tmp_path: Path) -> None:
    public: Any = RSAAlgorithm.to_jwk(issuer.rsa.public_key(), as_dict=True)
    for about in ({"alg": "RS512"}, {"use": "enc"}, {"alg": "HS256"}):
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps({"keys": [{**public, "kid": "rsa-1", **about}]}))
        settings = TokenSettings(ISSUER, AUDIENCE, ("RS256", "RS512"), "roles")
        tokens = SignedTokens(settings, KeyFile(file), now_ms=SystemClock().now_ms)
        with pytest.raises(CredentialsInvalid, match="expected a key for RS256"):
            await tokens.principal_of(issuer.token())


async def test_a_curve_serves_its_own_algorithm_only(issuer: Issuer) -> None:
    headers = {"kid": "ec-1", "alg": "ES384"}
    token = issuer.token(key=ec.generate_private_key(ec.SECP384R1()), headers=headers)
    with pytest.raises(CredentialsInvalid, match="expected a key for ES384"):
        await tokens_of(issuer, "ES256", "ES384").principal_of(token)


async def test_a_token_brings_no_key_of_its_own(issuer: Issuer) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk: Any = RSAAlgorithm.to_jwk(own.public_key(), as_dict=True)
    for headers in (
        {"jwk": jwk},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/chain", "kid": "own"},
    ):
        with pytest.raises(CredentialsInvalid):
            await tokens_of(issuer).principal_of(issuer.token(key=own, headers=headers))


@pytest.mark.parametrize(
    "kid", ["../../etc/passwd", "rsa-1'; DROP TABLE keys; --", "", "rsa-1\0", 7, ["rsa-1"], {}]
)
async def test_only_the_very_key_id_counts(issuer: Issuer, kid: object) -> None:
    good = issuer.token().split(".")
    forged = ".".join((encoded({"alg": "RS256", "kid": kid}), *good[1:]))
    with pytest.raises(CredentialsInvalid):
        await tokens_of(issuer).principal_of(forged)


async def test_without_a_key_id_one_key_is_tried_not_many(issuer: Issuer, tmp_path: Path) -> None:
    token = jwt.encode(
        {"iss": ISSUER, "aud": AUDIENCE, "sub": "s", "exp": now_s() + MINUTE_S, "roles": "admin"},
        issuer.rsa,
        algorithm="RS256",
    )
    with pytest.raises(CredentialsInvalid):
        await tokens_of(issuer).principal_of(token)
    file = tmp_path / "one.json"
    file.write_text(json.dumps({"keys": issuer.key_set()["keys"][:1]}))
    settings = TokenSettings(ISSUER, AUDIENCE, ("RS256",), "roles")
    tokens = SignedTokens(settings, KeyFile(file), now_ms=SystemClock().now_ms)
    assert (await tokens.principal_of(token)).roles == {Role.ADMIN}


@pytest.mark.parametrize(
    "text",
    [
        "..",
        "a.b.c",
        "ä.ö.ü",
        f"{encoded([])}.{encoded({})}.AAAA",
        f"{encoded({'alg': 'RS256', 'kid': 'rsa-1'})}.{encoded([1])}.AAAA",
        f"{encoded({'alg': 7})}.{encoded({})}.AAAA",
        "A" * 50_000 + "." + "A" * 50_000 + ".A",
    ],
    ids=lambda text: text[:30],
)
async def test_what_is_no_token_is_refused(issuer: Issuer, text: str) -> None:
    with pytest.raises(CredentialsInvalid):
        await tokens_of(issuer).principal_of(text)


async def test_every_cut_and_every_flipped_bit_is_refused(issuer: Issuer) -> None:
    good = issuer.token()
    tokens = tokens_of(issuer)
    for place in range(0, len(good) - 4, 7):
        flipped = "B" if good[place] != "B" else "C"
        if good[place] == ".":
            continue
        for forged in (good[:place] + flipped + good[place + 1 :], good[:place]):
            with pytest.raises(CredentialsInvalid):
                await tokens.principal_of(forged)
    assert await tokens.principal_of(good)


async def test_a_key_that_left_the_set_signs_nothing_any_more(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    tokens, token = tokens_of(issuer), issuer.token()
    assert await tokens.principal_of(token)
    issuer.publish(kid="rsa-2-with-a-longer-name")
    with pytest.raises(CredentialsInvalid):
        await tokens.principal_of(token)
    headers = {"kid": "rsa-2-with-a-longer-name"}
    assert await tokens.principal_of(issuer.token(headers=headers))


async def test_a_set_that_cannot_be_read_leaves_the_former_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer(tmp_path)
    tokens = tokens_of(issuer)
    issuer.file.write_text("{")
    assert await tokens.principal_of(issuer.token())
    assert "the former content stays in use" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"keys": []}', '{"keys": [1]}', "\xff"])
def test_a_set_without_keys_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(AuthSettingInvalid, match="1 to 100 keys"):
        KeyFile(file)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (TokenSettings("", AUDIENCE, ("RS256",), "roles"), "auth.jwt_issuer: expected a value"),
        (TokenSettings(ISSUER, "", ("RS256",), "roles"), "auth.jwt_audience: expected a value"),
        (TokenSettings(ISSUER, AUDIENCE, (), "roles"), "auth.jwt_algorithms: expected a value"),
        (TokenSettings(ISSUER, AUDIENCE, ("HS256",), "roles"), "found ['HS256']"),
        (TokenSettings(ISSUER, AUDIENCE, ("none",), "roles"), "found ['none']"),
    ],
)
def test_settings_that_would_let_others_in_are_refused(
    issuer: Issuer, settings: TokenSettings, words: str
) -> None:
    with pytest.raises(AuthSettingInvalid) as problem:
        SignedTokens(settings, KeyFile(issuer.file), now_ms=SystemClock().now_ms)
    assert words in str(problem.value)
