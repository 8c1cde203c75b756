"""How a worker shows who it is, and knows the server: TLS, a client certificate, a key or a token.

Files are read again when they change, for the next stream; a token is asked for before each one, so
what a provider gives may be short-lived.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Bearer = str | Callable[[], str | Awaitable[str]]

LOOPBACK = ("127.0.0.1:", "localhost:", "[::1]:")


class CredentialsUnusable(Exception):
    """A file cannot be read, or the provider of tokens failed; it may be there the next time."""


@dataclass(frozen=True)
class Credentials:
    """Of one worker.

    `ca_file`: who signed the server's certificate (PEM); None = the authorities that gRPC knows.
    `certificate_file`, `key_file`: what the worker shows itself, both or none. `bearer`: an API key
    or a token, or a function (sync or async) that gives one. `tls` False: without encryption, for a
    server on this machine.
    """

    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None
    bearer: Bearer | None = None
    tls: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("expected certificate_file and key_file, found one of them")
        if not self.tls and (self.ca_file is not None or self.certificate_file is not None):
            raise ValueError("expected tls for files of certificates, found tls=False")

    def check(self, address: str) -> None:
        """Raises ValueError where the bearer would be sent in the clear over a network."""
        if self.bearer is not None and not self.tls and not address.startswith(LOOPBACK):
            raise ValueError(
                f"expected tls for a bearer to {address}, which is not on this machine, found"
                " tls=False"
            )

    @property
    def renewable(self) -> bool:
        """Whether the next attempt may show something else."""
        return callable(self.bearer)

    def state(self) -> tuple[tuple[int, int] | None, ...]:
        """Changes when a file does."""
        return tuple(map(_state_of, (self.ca_file, self.certificate_file, self.key_file)))

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """None = without encryption. Raises CredentialsUnusable."""
        if not self.tls:
            return None
        return grpc.ssl_channel_credentials(
            _read(self.ca_file), _read(self.key_file), _read(self.certificate_file)
        )

    async def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call carries. Raises CredentialsUnusable."""
        if self.bearer is None:
            return ()
        try:
            given = self.bearer() if callable(self.bearer) else self.bearer
            shown = await given if inspect.isawaitable(given) else given
        except Exception as error:
            raise CredentialsUnusable(
                f"expected a token of the provider, found {type(error).__name__}: {error}"
            ) from error
        return (("authorization", f"Bearer {shown}"),)


def _read(path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CredentialsUnusable(
            f"expected a file that can be read, found {path}: {error.strerror}"
        ) from None


def _state_of(path: str | Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
