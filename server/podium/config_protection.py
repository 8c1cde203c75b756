"""The settings of the gRPC edge: TLS, callers' credentials, limits; config.py reads them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Grpc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[grpc]`. `listen`: HOST:PORT, IPv6 in brackets; port 0 = a free one."""

    listen: str = "127.0.0.1:8090"
    insecure: bool = False
    """Whether it may be served without TLS and credentials where others can reach it."""
    streams_per_connection: Count = 100
    """Calls of one connection that are open at once; more wait in the client."""
    processes: Count = 1
    """Server processes on the port, with one supervisor (processes/supervisor.py)."""


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tls]`: paths of PEM files, read again when they change. `client_ca`: who signs clients'
    certificates; set, every client needs one.
    """

    certificate: str = ""
    key: str = ""
    client_ca: str = ""


class Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[auth]`: whose calls are accepted, as what (docs/security.md). Nothing set = anybody's."""

    keys: tuple[str, ...] = ()
    """Each "NAME ROLE[+ROLE] SHA256 [EXPIRES]"."""
    keys_file: str = ""
    """A file with one such line for each key."""
    clients: dict[str, str] = {}
    """Roles by what names a certificate: "cn:NAME", "dns:NAME", "uri:...", "email:...", "*"."""
    jwt_jwks: str = ""
    """The path or address of the token issuer's keys."""
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    jwt_roles_claim: str = "roles"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[limits]`: what one server process keeps in memory, and how much it takes at once."""

    cache_bytes: Count = 64 * 1024 * 1024
    """Hot executions."""
    mailbox_bytes: Count = 256 * 1024 * 1024
    """Commands that wait to be decided and stored; with more no start is taken."""
    calls_max: Count = 1_000
    """Unary calls in flight; a tenth is kept for results."""
    streams_max: Count = 5_000
    """Worker streams."""
