"""Authorities of the tests: certificates, API keys and an issuer of tokens, and their settings."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import jwt
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from podium import config

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = "https://issuer.example"
AUDIENCE = "podium"
ROLES = ("reader", "worker", "writer", "admin")
HOUR_S = 3_600


class Certified:
    """A CA whose server certificate stands in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.issue_server()
        (folder / "clients.pem").write_bytes(self.ca.cert_pem.bytes())

    def issue_server(self) -> None:
        """A new certificate and key in the place of the former."""
        issued = self.ca.issue_cert("localhost", "127.0.0.1")
        issued.private_key_pem.write_to_path(str(self.folder / "server.key"))
        (self.folder / "server.pem").write_bytes(chain_of(issued))

    def settings(self, *, clients: bool) -> config.Tls:
        return config.Tls(
            certificate=str(self.folder / "server.pem"),
            key=str(self.folder / "server.key"),
            client_ca=str(self.folder / "clients.pem") if clients else "",
        )

    def channel(
        self, address: str, client: trustme.LeafCert | None = None, **metadata: str
    ) -> grpc.aio.Channel:
        """A channel that trusts the CA and shows the client's certificate."""
        roots = self.ca.cert_pem.bytes()
        credentials = (
            grpc.ssl_channel_credentials(roots)
            if client is None
            else grpc.ssl_channel_credentials(
                roots, client.private_key_pem.bytes(), chain_of(client)
            )
        )
        return grpc.aio.secure_channel(
            address, credentials, options=[("grpc.use_local_subchannel_pool", 1)]
        )


def chain_of(issued: trustme.LeafCert) -> bytes:
    return b"".join(each.bytes() for each in issued.cert_chain_pems)


class Keys:
    """API keys, one for each role, and their lines for the server."""

    def __init__(self) -> None:
        self.shown = {role: secrets.token_urlsafe(32) for role in (*ROLES, "expired")}

    def lines(self) -> tuple[str, ...]:
        return (
            *(self.line(role, role) for role in ROLES),
            f"{self.line('expired', 'admin')} 2020-01-01",
        )

    def line(self, name: str, roles: str) -> str:
        return f"{name} {roles} {hashlib.sha256(self.shown[name].encode()).hexdigest()}"


class Issuer:
    """Signs tokens; its key set is a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "jwks.json"
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.publish()

    def publish(self, *, kid: str = "rsa-1") -> None:
        """Write the set: an RSA key of that id, and an elliptic one."""
        self.file.write_text(json.dumps(self.key_set(kid)))

    def key_set(self, kid: str = "rsa-1") -> dict[str, Any]:
        elliptic: Any = ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True)
        plain: Any = RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True)
        return {
            "keys": [
                {**plain, "kid": kid, "use": "sig"},
                {**elliptic, "kid": "ec-1", "alg": "ES256"},
            ]
        }

    def token(
        self, *, headers: dict[str, Any] | None = None, key: Any = None, **claims: Any
    ) -> str:
        """An admin's token of the issuer, but for what is given; a claim of None is left out."""
        headers = {"kid": "rsa-1", "alg": "RS256", **(headers or {})}
        now_s = int(time.time())
        whole: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "somebody",
            "exp": now_s + HOUR_S,
            "roles": ["admin"],
            **claims,
        }
        whole = {name: value for name, value in whole.items() if value is not None}
        key = self.rsa if key is None else key
        return jwt.encode(whole, key, algorithm=headers["alg"], headers=headers)

    def settings(self, **others: Any) -> config.Auth:
        return config.Auth(
            jwt_jwks=str(self.file), jwt_issuer=ISSUER, jwt_audience=AUDIENCE, **others
        )


def bearer(shown: str) -> tuple[tuple[str, str], ...]:
    """The metadata that shows a key or a token."""
    return (("authorization", f"Bearer {shown}"),)


def settings_of(auth: config.Auth, tls: config.Tls | None = None) -> config.Settings:
    """On a free port of the loopback."""
    return config.Settings(
        grpc=config.Grpc(listen="127.0.0.1:0"), tls=tls or config.Tls(), auth=auth
    )
