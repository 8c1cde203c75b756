"""Redis that speaks TLS alone, with an authority of its own, and knows one user, who may do what
Podium does and nothing else: one node, a cluster, and a master with a replica under Sentinel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import trustme
from redis import Redis

from podium.store.redis.rights import NAMES, OF_CLUSTERS
from tests.store.nodes import DURABLE, SERVICE, Cluster, KeepingNode, Node, Sentinel, Watched

if TYPE_CHECKING:
    from pathlib import Path

USER = "podium"
PASSWORD = "p@ss/word:?"
ENCODED = "p%40ss%2Fword%3A%3F"
RIGHTS = ("~podium:*", "&podium:*", "-@all", "+info", *(f"+{each.lower()}" for each in NAMES))
WATCHER = "watcher"
WATCHER_PASSWORD = "s&nt=inel"
WATCHER_ENCODED = "s%26nt%3Dinel"
WATCHER_RIGHTS = "-@all +sentinel|masters"
"""Of a Sentinel's user: who the master is."""


def issue(folder: Path) -> None:
    """An authority's `ca.pem`, and of it `server.pem` and `client.pem` with their keys."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, host in (("server", "127.0.0.1"), ("client", "client.example")):
        issued = authority.issue_cert(host)
        issued.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))


def tls_settings(certificates: Path, *, clients: bool) -> dict[str, str]:
    return {
        "tls-cert-file": f"{certificates}/server.pem",
        "tls-key-file": f"{certificates}/server.pem",
        "tls-ca-cert-file": f"{certificates}/ca.pem",
        "tls-auth-clients": "yes" if clients else "no",
        "tls-replication": "yes",
    }


def tls_client(port: int, certificates: Path) -> Redis:
    """As the administrator, who is the default user."""
    return Redis(
        port=port,
        host="127.0.0.1",
        protocol=2,
        ssl=True,
        ssl_ca_certs=str(certificates / "ca.pem"),
        ssl_certfile=str(certificates / "client.pem"),
        ssl_keyfile=str(certificates / "client.pem"),
    )


def client_files(certificates: Path) -> str:
    """The parameters of a URL, for who must show a certificate."""
    names = {"tls_ca": "ca.pem", "tls_cert": "client.pem", "tls_key": "client.pem"}
    return "&".join(f"{name}={certificates}/{file}" for name, file in names.items())


class SecuredNode(Node):
    """One of several; `certificates` is the folder of `issue`."""

    certificates: Path
    clients = True
    """They must show a certificate of the same authority."""
    rights = RIGHTS

    def _words(self) -> list[str]:
        given = tls_settings(self.certificates, clients=self.clients)
        tls = [word for name, text in given.items() for word in (f"--{name}", text)]
        place = ("--port", "0", "--tls-port", str(self.port), "--bind", "127.0.0.1")
        return [*place, "--dir", str(self.folder), *tls, *self.settings]

    def _client(self) -> Redis:
        return tls_client(self.port, self.certificates)

    def grant(self, *rights: str) -> None:
        """To the user, besides those that it has."""
        self.ask("ACL", "SETUSER", USER, *rights)

    def admit(self) -> None:
        """The user, as it is meant to be."""
        self.grant("reset", "on", f">{PASSWORD}", *self.rights)

    def __enter__(self) -> Self:
        self.start()
        self.admit()
        return self


class Secured(SecuredNode):
    """By itself, with its certificates in its folder."""

    def __init__(self, folder: Path, *, clients: bool = False) -> None:
        self.certificates = folder
        self.clients = clients
        super().__init__(folder, *DURABLE)

    @property
    def url(self) -> str:
        return f"{self.url_of()}?tls_ca={self.folder}/ca.pem"

    def url_of(self, password: str = ENCODED) -> str:
        """Without a word on certificates."""
        return f"rediss://{USER}:{password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        issue(self.folder)
        super().start()


class SecuredMember(SecuredNode):
    """Of a cluster."""

    rights = (*RIGHTS, *OF_CLUSTERS.values())

    def __init__(self, folder: Path, *settings: str) -> None:
        self.certificates = folder.parent
        super().__init__(folder, *settings, "--tls-cluster", "yes")


class SecuredCluster(Cluster):
    """Its nodes speak TLS among themselves too, and all want certificates."""

    def __init__(self, folder: Path) -> None:
        issue(folder)
        self._folder = folder
        super().__init__(folder, *DURABLE)

    def _node(self, folder: Path, *settings: str) -> SecuredMember:
        return SecuredMember(folder, *settings)

    @property
    def url(self) -> str:
        places = super().url.partition("://")[2]
        files = client_files(self._folder)
        return f"redis+cluster://{USER}:{ENCODED}@{places}?tls=1&{files}"


class SecuredKeepingNode(KeepingNode, SecuredNode):
    """Its users outlive it only with CONFIG REWRITE, as those of a file would."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.certificates = folder.parent
        super().__init__(folder, *settings)


class SecuredSentinel(Sentinel):
    """It calls the nodes over TLS, and has a user of its own for who asks it."""

    def __init__(self, folder: Path, master_port: int) -> None:
        self._certificates = folder.parent
        super().__init__(folder, master_port)

    def _lines(self) -> list[str]:
        tls = tls_settings(self._certificates, clients=True)
        _, *lines = super()._lines()
        return [
            *("port 0", f"tls-port {self.port}"),
            *(f"{name} {text}" for name, text in tls.items()),
            f"user {WATCHER} on >{WATCHER_PASSWORD} {WATCHER_RIGHTS}",
            *lines,
        ]

    def _client(self) -> Redis:
        return tls_client(self.port, self._certificates)


class SecuredWatched(Watched):
    """All three want certificates."""

    def __init__(self, folder: Path) -> None:
        issue(folder)
        self._folder = folder
        super().__init__(folder)

    def _node(self, folder: Path, *settings: str) -> SecuredKeepingNode:
        return SecuredKeepingNode(folder, *settings)

    def _sentinel(self, folder: Path, master_port: int) -> SecuredSentinel:
        return SecuredSentinel(folder, master_port)

    @property
    def url(self) -> str:
        return self.url_of()

    def url_of(self, watcher_password: str = WATCHER_ENCODED) -> str:
        """With the password of the Sentinel's user."""
        place = f"{USER}:{ENCODED}@127.0.0.1:{self.sentinel.port}/{SERVICE}"
        watcher = f"sentinel_user={WATCHER}&sentinel_password={watcher_password}"
        return f"redis+sentinel://{place}?tls=1&{client_files(self._folder)}&{watcher}"
