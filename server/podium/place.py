"""Places to listen: tried before anything is taken, and the words for one that cannot be had.

Failures: CannotServe (what was expected and found, and what helps).
"""

from __future__ import annotations

import socket
from typing import TypeAlias

import msgspec

from podium.config import read_listen

AddressInfo: TypeAlias = tuple[
    socket.AddressFamily,
    socket.SocketKind,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]


class CannotServe(Exception):
    """The server cannot start here; the text is one line for the operator."""


class ListenPlace(msgspec.Struct, frozen=True):
    """Where `--option` or the setting says to listen; an empty `listen` is nowhere."""

    option: str
    setting: str
    listen: str

    @property
    def host(self) -> str:
        return read_listen(self.listen)[0]

    @property
    def port(self) -> int:
        return read_listen(self.listen)[1]

    def with_port(self, port: int) -> str:
        """HOST:PORT, once the port is known."""
        return f"{self.host}:{port}"

    def probe(self, *, shared: bool = False) -> None:
        """Bind and let go: gRPC would not tell the reason in one line. Raises CannotServe.

        `shared` = others that share it may be there.
        """
        if not self.listen:
            return
        family, kind, protocol, _, address = self.address()
        option = socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, option, 1)
                probe.bind(address)
        except OSError as problem:
            raise self.refusal(problem.strerror or "no such address") from None

    def address(self) -> AddressInfo:
        """As socket takes it, the first of a name's. Raises CannotServe."""
        try:
            found = socket.getaddrinfo(self.host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except OSError as problem:
            raise self.refusal(problem.strerror or "no such address") from None
        return found[0]

    def refusal(self, reason: str) -> CannotServe:
        """It cannot be listened on."""
        return CannotServe(
            f"{self.setting}: expected a free port on an address of this machine, found"
            f" {self.listen}: {reason}. Choose another with --{self.option} HOST:PORT"
            " (port 0 = any)"
        )
