"""Why a store does not open, in words for the operator: what was expected, what was found, what
helps. Never a password.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Final

from redis import exceptions

from podium.store.port import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podium.store.redis.address import Address

LOGIN: Final = (exceptions.AuthenticationError, exceptions.AuthorizationError)
FORBIDDEN: Final = re.compile(r"'([\w|]+)' command")
"""What the user may not, in the words of a node."""
SILENT: Final = (exceptions.TimeoutError, ConnectionResetError)


def check_files(address: Address) -> None:
    """The files of TLS, before anybody is called: redis-py tells neither their names nor which of
    them it is. Raises StoreUnavailable.
    """
    if not address.tls:
        return
    if address.tls_ca is not None:
        wanted = f"tls_ca: expected a file of certificates (PEM), found {address.tls_ca!r}"
        try:
            ssl.create_default_context(cafile=address.tls_ca)
        except OSError as error:
            raise StoreUnavailable(f"{wanted}: {_reason(error)}") from None
    if address.tls_cert is not None:
        key = address.tls_key or address.tls_cert
        wanted = (
            "tls_cert, tls_key: expected a certificate and its key (PEM, without a passphrase),"
            f" found {address.tls_cert!r} and {key!r}"
        )
        try:
            # An empty passphrase: else OpenSSL would ask at the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(address.tls_cert, key, "")
        except OSError as error:
            raise StoreUnavailable(f"{wanted}: {_reason(error)}") from None


def refusal(address: Address, error: Exception) -> StoreUnavailable:
    """Of a node that could not be called, or did not take the first command."""
    return StoreUnavailable(f"{address.shown}: {_found(address, error)}")


def _found(address: Address, error: Exception) -> str:
    words = str(error).partition("\n")[0]
    causes = list(_causes(error))
    if any(isinstance(each, LOGIN) for each in causes):
        return "expected a user and password that it takes"
    for each in causes:
        if isinstance(each, exceptions.NoPermissionError):
            return _forbidden(address, each)
    for each in causes:
        if isinstance(each, ssl.SSLCertVerificationError):
            return (
                "expected a certificate for that host by an authority that is trusted, found:"
                f" {each.verify_message}; name the authority's file with ?tls_ca=FILE"
            )
    if isinstance(error, exceptions.RedisClusterException):
        return f"expected a cluster with all slots, found: {words}"
    if address.kind == "sentinel" and "No master found" in words:
        # redis-py's words hold a dump of its connections.
        return (
            f"expected a Sentinel that answers and knows {address.service!r}, found none:"
            " see to the addresses, the name, and TLS and logins of the Sentinels"
        )
    return f"expected a node that answers, found: {words}{_advice(address, causes)}"


def _forbidden(address: Address, error: exceptions.NoPermissionError) -> str:
    """The first commands: PING, and what finds the nodes of a cluster."""
    told = FORBIDDEN.search(str(error))
    name = told.group(1) if told else "ping"
    return (
        f"expected a user that may {name.upper().replace('|', ' ')}, found that it may not;"
        f" grant it with ACL SETUSER {address.user or 'default'} +{name}"
    )


def _advice(address: Address, causes: list[BaseException]) -> str:
    """One side that speaks TLS to one that does not, or without the certificate that it wants."""
    if not any(isinstance(each, SILENT) or "ALERT" in str(each) for each in causes):
        return ""
    if not address.tls:
        return "; if it wants TLS, say rediss:// (with Sentinel and cluster ?tls=1)"
    if address.tls_cert is None:
        return (
            "; if it wants a certificate of its clients, name one with tls_cert and tls_key, and if"
            " it does not speak TLS, say redis://"
        )
    return "; it may not trust the certificate of tls_cert, or not speak TLS"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").lower().replace("_", " ")
    return error.strerror or type(error).__name__
