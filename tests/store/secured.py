"""A Redis that speaks TLS alone, with an authority of its own, and knows one user, who may do what
Podium does and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import trustme
from redis import Redis

from podium.store.redis.rights import NAMES
from tests.store.nodes import DURABLE, Node

if TYPE_CHECKING:
    from pathlib import Path

USER = "podium"
PASSWORD = "p@ss/word:?"
ENCODED = "p%40ss%2Fword%3A%3F"
RIGHTS = ("~podium:*", "&podium:*", "-@all", "+info", *(f"+{each.lower()}" for each in NAMES))


class Secured(Node):
    """`clients`: they must show a certificate of the same authority, `client.pem` in the folder."""

    def __init__(self, folder: Path, *, clients: bool = False) -> None:
        self._of_ours = folder / "client.pem"
        super().__init__(
            folder,
            *DURABLE,
            *("--tls-cert-file", "server.pem", "--tls-key-file", "server.pem"),
            *("--tls-ca-cert-file", "ca.pem", "--tls-auth-clients", "yes" if clients else "no"),
        )

    def _words(self) -> list[str]:
        place = ("--port", "0", "--tls-port", str(self.port), "--bind", "127.0.0.1")
        return [*place, "--dir", str(self.folder), *self.settings]

    @property
    def url(self) -> str:
        return f"{self.url_of()}?tls_ca={self.folder}/ca.pem"

    def url_of(self, password: str = ENCODED) -> str:
        """Without a word on certificates."""
        return f"rediss://{USER}:{password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        for name, host in (("server", "127.0.0.1"), ("client", "client.example")):
            issued = authority.issue_cert(host)
            issued.private_key_and_cert_chain_pem.write_to_path(str(self.folder / f"{name}.pem"))
        super().start()

    def ask(self, *command: str | int) -> Any:
        """As the administrator, who is the default user."""
        with Redis(
            port=self.port,
            host="127.0.0.1",
            protocol=2,
            ssl=True,
            ssl_ca_certs=str(self.folder / "ca.pem"),
            ssl_certfile=str(self._of_ours),
            ssl_keyfile=str(self._of_ours),
        ) as client:
            return client.execute_command(*command)

    def grant(self, *rights: str) -> None:
        """To the user, besides those that it has."""
        self.ask("ACL", "SETUSER", USER, *rights)

    def __enter__(self) -> Self:
        self.start()
        self.grant("reset", "on", f">{PASSWORD}", *RIGHTS)
        return self
