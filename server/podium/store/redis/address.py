"""The URL of a store on the Redis protocol.

Shapes: `redis://`, `rediss://` (TLS), `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE`,
`redis+cluster://HOST:PORT,HOST:PORT`, `dynomite://HOST:PORT`; before the hosts `USER:PASSWORD@` or
`:PASSWORD@`, percent-encoded; after them `/DATABASE` (not with cluster and Dynomite). Parameters:
`prefix` of every key (default `podium:`), `tls=1` with sentinel and cluster, `tls_ca`, `tls_cert`
and `tls_key` (files, PEM), `sentinel_user` and `sentinel_password`.

Failures: AddressInvalid (what was expected, what was found; never a password).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["redis", "sentinel", "cluster", "dynomite"]
KINDS: Final[dict[str, Kind]] = {
    "redis": "redis",
    "rediss": "redis",
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "dynomite": "dynomite",
}
PORTS: Final[dict[Kind, int]] = {
    "redis": 6379,
    "sentinel": 26379,
    "cluster": 6379,
    "dynomite": 8102,
}
PARAMETERS: Final = frozenset(
    {"prefix", "tls", "tls_ca", "tls_cert", "tls_key", "sentinel_user", "sentinel_password"}
)
PREFIX: Final = "podium:"


class AddressInvalid(Exception):
    """The URL cannot be used."""


class Address(msgspec.Struct, frozen=True):
    """Where the store is. `hosts`: all nodes to begin with, one of redis and dynomite."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    user: str | None = None
    password: str | None = None
    database: int = 0
    service: str = ""
    prefix: str = PREFIX
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    sentinel_user: str | None = None
    sentinel_password: str | None = None

    @property
    def shown(self) -> str:
        """For people; without passwords."""
        scheme = next(name for name, kind in KINDS.items() if kind == self.kind)
        if self.tls and self.kind == "redis":
            scheme = "rediss"
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{scheme}://{hosts}"


def is_address(url: str) -> bool:
    """Whether a URL is of this kind of store."""
    return url.partition("://")[0] in KINDS


def read_address(url: str) -> Address:
    """Raises AddressInvalid."""
    parts = urlsplit(url)
    kind = KINDS[parts.scheme]
    login, at, places = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := parameters.keys() - PARAMETERS:
        raise AddressInvalid(f"expected parameters of {sorted(PARAMETERS)}, found {min(unknown)}")
    hosts = tuple(_place(each, PORTS[kind]) for each in places.split(","))
    if kind in {"redis", "dynomite"} and len(hosts) != 1:
        raise AddressInvalid(f"expected one host, found {len(hosts)}")
    if kind == "dynomite" and at:
        raise AddressInvalid("expected no user and no password for Dynomite, found one")
    service, database = _path(kind, parts.path)
    prefix = parameters.get("prefix", PREFIX)
    if set(prefix) & set("{}") or not prefix.isprintable():
        raise AddressInvalid(f"prefix: expected text without braces, found {prefix!r}")
    return Address(
        kind=kind,
        hosts=hosts,
        user=unquote(user) or None,
        password=unquote(password) if colon else None,
        database=database,
        service=service,
        prefix=prefix,
        tls=parts.scheme == "rediss" or _flag(parameters, "tls"),
        tls_ca=parameters.get("tls_ca"),
        tls_cert=parameters.get("tls_cert"),
        tls_key=parameters.get("tls_key"),
        sentinel_user=parameters.get("sentinel_user"),
        sentinel_password=parameters.get("sentinel_password"),
    )


def _place(text: str, default_port: int) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{text}")
        host, port = found.hostname, found.port
    except ValueError:
        raise AddressInvalid(f"expected HOST:PORT, found {text!r}") from None
    if not host:
        raise AddressInvalid(f"expected HOST:PORT, found {text!r}")
    return host, default_port if port is None else port


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """Service and database."""
    names = [unquote(each) for each in path.strip("/").split("/") if each]
    service = ""
    if kind == "sentinel":
        if not names:
            raise AddressInvalid("expected the name of the service after the hosts, found none")
        service = names.pop(0)
    if not names:
        return service, 0
    if kind in {"cluster", "dynomite"}:
        raise AddressInvalid(f"expected no database for {kind}, found {names[0]!r}")
    if len(names) > 1 or not (names[0].isascii() and names[0].isdigit()):
        raise AddressInvalid(f"expected the number of a database, found {'/'.join(names)!r}")
    return service, int(names[0])


def _flag(parameters: Mapping[str, str], name: str) -> bool:
    text = parameters.get(name, "0")
    if text not in {"0", "1"}:
        raise AddressInvalid(f"{name}: expected 0 or 1, found {text!r}")
    return text == "1"
