"""TLS of the server: certificate, key, the clients' authority; read anew when their files change.

gRPC asks before each handshake; a change is taken up whole (the key fits the certificate, all can
be read) or not at all, so that a rotation in several steps never leaves a broken pair in use.
Connections that are there keep what they were made with.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from podium.api.watched_file import FileUnsound, bytes_of, state_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

    from podium.api.watched_file import State
    from podium.config import Tls

LOG = logging.getLogger("podium.files")


class TlsSettingInvalid(Exception):
    """A setting of `[tls]` that cannot be used; the text says where, expected and found."""


class Certificates:
    """The files of `[tls]`."""

    def __init__(self, settings: Tls) -> None:
        """Raises TlsSettingInvalid, FileUnsound."""
        for name in ("certificate", "key"):
            if not getattr(settings, name):
                raise TlsSettingInvalid(
                    f"tls.{name}: expected a PEM file, found none; tls.certificate and tls.key"
                    " belong together, and tls.client_ca needs both"
                )
        self._certificate = Path(settings.certificate)
        self._key = Path(settings.key)
        self._client_ca = Path(settings.client_ca) if settings.client_ca else None
        self._states = self._seen()
        self._first = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """For the server's port."""
        # None means "as before", which grpc's types leave out.
        return grpc.dynamic_ssl_server_credentials(
            self._first,
            self._changed,  # pyright: ignore[reportArgumentType]
            require_client_authentication=self._client_ca is not None,
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC, in a thread of its own, before each handshake."""
        states = self._seen()
        if states == self._states:
            return None
        self._states = states
        try:
            return self._read()
        except (TlsSettingInvalid, FileUnsound) as problem:
            noted = {"event": "certificate_unreadable"}
            LOG.warning("the former certificate stays in use: %s", problem, extra=noted)
            return None

    def _seen(self) -> list[State]:
        files = (self._certificate, self._key, self._client_ca)
        return [state_of(path) for path in files if path is not None]

    def _read(self) -> grpc.ServerCertificateConfiguration:
        """Raises TlsSettingInvalid, FileUnsound."""
        chain = bytes_of("tls.certificate", self._certificate)
        key = bytes_of("tls.key", self._key)
        leaf = _certificates("tls.certificate", chain)[0]
        if _public(leaf.public_key()) != _public(_private_key(key).public_key()):
            raise TlsSettingInvalid(
                f"tls.key: expected the key of the certificate in {self._certificate}, found"
                f" another in {self._key}"
            )
        roots = None
        if self._client_ca is not None:
            roots = bytes_of("tls.client_ca", self._client_ca)
            _certificates("tls.client_ca", roots)
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=roots)


def _certificates(setting: str, data: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise TlsSettingInvalid(
            f"{setting}: expected certificates in PEM, found none that can be read"
        ) from None


def _private_key(data: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TlsSettingInvalid(
            "tls.key: expected a private key in PEM without a password, found none that can be read"
        ) from None


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
