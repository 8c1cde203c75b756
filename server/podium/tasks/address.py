"""Which addresses an outgoing request may reach: everything global, and what an operator names.

Rules: pure, `ipaddress` only; nothing here looks a name up or opens a socket. What is not known to
be globally routable is refused, so an address this file cannot read is refused too. `is_global`
alone is not enough: on Python 3.11 it lets through multicast, site-local and IPv4-compatible IPv6
addresses and every IPv4 address that is wrapped for a tunnel.

Failures: AddressSettingInvalid (an entry of `http.allow` or `http.resolve` cannot be read).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

PORT_LIMIT: Final = 65_535

# "Global" by the registry of 3.11, but a deprecated relay, a block kept for protocols, and SRv6.
NOT_ROUTED: Final = tuple(
    ipaddress.ip_network(block) for block in ("192.88.99.0/24", "192.0.0.0/24", "5f00::/16")
)
# The only block of IPv6 from which global unicast addresses are given out, and what RFC 9637 took.
UNICAST_6: Final = IPv6Network("2000::/3")
DOCUMENTATION_6: Final = IPv6Network("3fff::/20")
NAT64: Final = IPv6Network("64:ff9b::/96")

LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
# The last label is no number: such a name would be read as an IPv4 address by some resolvers.
NAME: Final = re.compile(rf"(?:{LABEL}\.)*(?!(?:[0-9]+|0x[0-9a-f]*)$){LABEL}")
PLACES: Final = (
    'an address, a network or a host name, each with or without ":port"'
    ' ("10.0.0.0/8", "[fd00::/8]:443", "127.0.0.1:9200", "api.example:8080", "*.example")'
)


class AddressSettingInvalid(Exception):
    """A setting that cannot be read: its name, the entry as written, what was expected."""

    def __init__(self, setting: str, entry: str, expected: str) -> None:
        super().__init__(f'{setting}: expected {expected}, found "{entry}"')
        self.setting: Final = setting
        self.entry: Final = entry


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of `http.allow`. Shape: exactly one of `network` and `name` is given; a name that
    begins with a dot stands for all names that end so; `port` None is every port.
    """

    network: Network | None
    name: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Judges the target of a connection.

    Shape: `places` as allowed; `pinned` maps (host, port) as asked for to the (address, port) to
    connect to, which is by itself permission for that host to reach exactly that target.
    """

    places: tuple[Place, ...]
    pinned: Mapping[tuple[str, int], tuple[Address, int]]

    @classmethod
    def of(cls, allow: tuple[str, ...], resolve: Mapping[str, str]) -> AddressGuard:
        """Read the settings `http.allow` and `http.resolve`.

        Shape: `resolve` is {"name:port": "address:port"}, IPv6 addresses in brackets.

        Raises:
            AddressSettingInvalid: the first entry that cannot be read.
        """
        places = tuple(read_place(entry) for entry in allow)
        return cls(places, dict(read_pin(name, target) for name, target in resolve.items()))

    def target(self, host: str, port: int) -> tuple[str, int] | None:
        """Where `http.resolve` sends this host and port; None leaves the host to the resolver."""
        pinned = self.pinned.get((plain_name(host), port))
        return None if pinned is None else (str(pinned[0]), pinned[1])

    def refusal(self, host: str, address: str, port: int) -> str | None:
        """Why a connection for `host` may not go to `address` and `port`; None where it may.

        The text tells the kind of the address and not the address, so that nobody learns the
        addresses behind inner names from it.
        """
        assert 0 <= port <= PORT_LIMIT, port
        target = read_address(address)
        asked = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if target is None:
            return f"expected an IP address, found another spelling for {asked}"
        name = plain_name(host)
        kind = kind_refused(target)
        if kind is None or self._is_pinned(name, target, port) or self._allows(name, target, port):
            return None
        return (
            f"expected a globally routable address or one named in http.allow,"
            f" found {kind} at {asked}"
        )

    def _is_pinned(self, name: str, target: Address, port: int) -> bool:
        return any(
            asked[0] == name and pinned == (target, port) for asked, pinned in self.pinned.items()
        )

    def _allows(self, name: str, target: Address, port: int) -> bool:
        # Whoever controls the zone of an allowed name could point it at the metadata service of a
        # cloud: such an address is reached only where its network is named.
        by_name = not any(is_never_a_host(each) for each in (target, *embedded(target)))
        return any(
            (place.port is None or place.port == port)
            and (
                (place.network is not None and target in place.network)
                or (by_name and place.name is not None and is_named(name, place.name))
            )
            for place in self.places
        )


def plain_name(host: str) -> str:
    """One spelling for each name: lower case, no dot at its end."""
    return host.rstrip(".").lower()


def read_address(text: str) -> Address | None:
    """An address in canonical form, a v4-mapped one as IPv4; None for every other spelling."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def kind_refused(address: Address) -> str | None:
    """What keeps an address from being globally routable, as words; None where nothing does."""
    for inner in embedded(address):
        if (kind := kind_refused(inner)) is not None:
            return f"{kind} inside a tunnel address"
    if address in NAT64:
        return None
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    return None if is_routed(address) else "an address that is not global"


def is_routed(address: Address) -> bool:
    """Whether the registries call this unicast address reachable from everywhere."""
    if any(address in network for network in NOT_ROUTED):
        return False
    if isinstance(address, IPv6Address):
        return address in UNICAST_6 and address not in DOCUMENTATION_6 and address.is_global
    return address.is_global


def embedded(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a tunnel would send to: 6to4, Teredo (server, client) and NAT64."""
    if isinstance(address, IPv4Address):
        return
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in NAT64:
        yield IPv4Address(int(address) & 0xFFFF_FFFF)


def is_never_a_host(address: Address) -> bool:
    """Addresses no honest name stands for."""
    return address.is_link_local or address.is_unspecified or address.is_multicast


def is_named(name: str, pattern: str) -> bool:
    """Whether a host name is the allowed one or lies below it; addresses are never names."""
    if NAME.fullmatch(name) is None:
        return False
    return name.endswith(pattern) if pattern.startswith(".") else name == pattern


def read_place(entry: str) -> Place:
    """An entry of `http.allow`.

    Raises:
        AddressSettingInvalid: neither a network nor a name, or no port behind the colon.
    """
    text, port = split_port("http.allow", entry)
    name = plain_name(text)
    if NAME.fullmatch(name.removeprefix("*.")) is not None:
        return Place(None, name.removeprefix("*"), port)
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise AddressSettingInvalid("http.allow", entry, PLACES) from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        expected = "a v4-mapped address to be written as IPv4"
        raise AddressSettingInvalid("http.allow", entry, expected)
    return Place(network, None, port)


def read_pin(asked: str, found: str) -> tuple[tuple[str, int], tuple[Address, int]]:
    """An entry of `http.resolve`.

    Raises:
        AddressSettingInvalid: not "name:port" on the left or not "address:port" on the right.
    """
    name, port = split_port("http.resolve", asked)
    if port is None or NAME.fullmatch(plain_name(name)) is None:
        raise AddressSettingInvalid("http.resolve", asked, 'a host name as "name:port"')
    text, port_found = split_port("http.resolve", found)
    address = read_address(text)
    if port_found is None or address is None:
        expected = f'"address:port" for {asked}, IPv6 as "[address]:port"'
        raise AddressSettingInvalid("http.resolve", found, expected)
    return (plain_name(name), port), (address, port_found)


def split_port(setting: str, entry: str) -> tuple[str, int | None]:
    """The text before the port and the port; IPv6 with a port stands in brackets.

    Raises:
        AddressSettingInvalid: something else than a port behind the colon.
    """
    if entry.startswith("[") and "]" in entry:
        text, _, rest = entry[1:].partition("]")
        colon, digits = rest[:1], rest[1:]
    elif entry.count(":") == 1:
        text, colon, digits = entry.partition(":")
    else:
        text, colon, digits = entry, "", ""
    if colon == "" and digits == "":
        return text, None
    is_port = colon == ":" and digits.isascii() and digits.isdigit() and len(digits) <= len("65535")
    if not is_port or not 1 <= int(digits) <= PORT_LIMIT:
        raise AddressSettingInvalid(setting, entry, f"a port from 1 to {PORT_LIMIT}")
    return text, int(digits)
