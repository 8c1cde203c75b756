"""What stands between the network and the services: TLS, credentials, and the rule on addresses.

On a loopback address nothing of it is needed. On any other a server starts only with TLS and
credentials, or when the operator says `--insecure`.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio

from podium.api.access import Access
from podium.api.certificates import Certificates, TlsSettingInvalid
from podium.api.credentials import AuthSettingInvalid, Credentials, Keys
from podium.api.key_set import key_set_of
from podium.api.token import SignedTokens, TokenSettings
from podium.api.watched_file import FileUnsound
from podium.config import SettingInvalid, read_listen

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from podium.config import Auth, Settings


class ProtectionUnsound(SettingInvalid):
    """The settings leave the server open or contradict each other; the text is for the operator."""


class Protection:
    """Made of the settings, before anything is served. Raises ProtectionUnsound."""

    def __init__(self, settings: Settings, *, now_ms: Callable[[], int]) -> None:
        self._listen = settings.grpc.listen
        try:
            self._tls = Certificates(settings.tls).credentials() if _tls_on(settings) else None
            credentials = credentials_of(settings.auth, now_ms=now_ms)
        except (TlsSettingInvalid, AuthSettingInvalid, FileUnsound) as problem:
            raise ProtectionUnsound(str(problem)) from None
        if settings.auth.clients and not settings.tls.client_ca:
            raise ProtectionUnsound(
                "auth.clients: expected tls.client_ca, which verifies certificates, found none"
            )
        self._require_closed(settings, credentials)
        self.access = Access(credentials, now_ms=now_ms)

    def bind(self, server: grpc.aio.Server) -> int:
        """Open the port; answers its number. Raises RuntimeError, as gRPC does."""
        if self._tls is None:
            return server.add_insecure_port(self._listen)
        return server.add_secure_port(self._listen, self._tls)

    def _require_closed(self, settings: Settings, credentials: Credentials | None) -> None:
        if settings.grpc.insecure or is_loopback(self._listen):
            return
        missing = [
            *(() if self._tls else ("TLS (tls.certificate, tls.key)",)),
            *(() if credentials else ("callers' credentials (auth.*)",)),
        ]
        if missing:
            raise ProtectionUnsound(
                f"grpc.listen: expected TLS and callers' credentials on {self._listen}, which"
                f" others can reach, found no {' and no '.join(missing)}. Set them"
                " (docs/security.md), listen on 127.0.0.1, or pass --insecure to let everybody who"
                " reaches it do everything"
            )


def credentials_of(auth: Auth, *, now_ms: Callable[[], int]) -> Credentials | None:
    """None where no kind of credentials is set. Raises AuthSettingInvalid, FileUnsound."""
    if not (auth.keys or auth.keys_file or auth.clients or auth.jwt_jwks):
        return None
    tokens = None
    if auth.jwt_jwks:
        token_settings = TokenSettings(
            auth.jwt_issuer, auth.jwt_audience, auth.jwt_algorithms, auth.jwt_roles_claim
        )
        key_set = key_set_of(auth.jwt_jwks, now_ms=now_ms)
        tokens = SignedTokens(token_settings, key_set, now_ms=now_ms)
    return Credentials(
        keys=Keys(auth.keys, Path(auth.keys_file) if auth.keys_file else None),
        clients=auth.clients,
        tokens=tokens,
        now_ms=now_ms,
    )


def is_loopback(listen: str) -> bool:
    """Whether only programs of this machine reach the address."""
    host = read_listen(listen)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls_on(settings: Settings) -> bool:
    return bool(settings.tls.certificate or settings.tls.key or settings.tls.client_ca)
