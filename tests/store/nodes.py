"""Real Redis nodes for tests: one, a cluster of three masters with replicas, one under Sentinel.

They listen on loopback and free ports, keep their files in a temporary folder, and are ended by
their own process id.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from redis import Redis, exceptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLOTS = 16_384
MASTERS = 3
SERVICE = "podium"
READY_S = 60
PORTS = 20_000, 32_000
DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
AT_ONCE = ("--repl-diskless-sync-delay", "0")
"""A replica's first copy waits for no other replica."""


def free_port() -> int:
    """Free a moment ago; also 10,000 above it, where a cluster's own bus will be. It is none that
    the kernel gives to connections: a client that tries again and again while its server is dead
    would meet itself at one of those. Nor is it the same in each test, as it would be by the
    generator that pytest-randomly seeds: what still looks for the server of the test before finds
    nobody.
    """
    drawn = random.SystemRandom()
    while True:
        port = drawn.randrange(*PORTS)
        with socket.socket() as probe, socket.socket() as bus, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port


class Node:
    """One redis-server process."""

    def __init__(self, folder: Path, *settings: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.folder = folder
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ask(self, *command: str | int) -> Any:
        """The answer to one command."""
        with self._client() as client:
            return client.execute_command(*command)

    def _client(self) -> Redis:
        return Redis(port=self.port, protocol=2)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", *self._words()],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(self._answers, f"redis-server on {self.port}: {self.folder / 'log'}")

    def _words(self) -> list[str]:
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        return [*place, *self.settings]

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except exceptions.AuthenticationError:
            return True
        except (exceptions.ConnectionError, exceptions.BusyLoadingError):
            return False

    def replication(self) -> dict[str, str]:
        """What INFO says of it; nothing is known of a node that does not answer."""
        try:
            with self._client() as client:
                return {key: str(value) for key, value in client.info("replication").items()}
        except (exceptions.ConnectionError, exceptions.BusyLoadingError):
            return {"role": "", "master_repl_offset": "-1"}

    def signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """At once, as a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def end(self) -> None:
        """In good order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(READY_S)
            self._process = None

    def has_replica(self) -> bool:
        """One that is past its first copy."""
        told = self.ask("INFO", "replication")
        return bool(told["connected_slaves"]) and told["slave0"]["state"] == "online"


def until(done: object, what: str) -> None:
    """Wait for what `done()` says. Raises TimeoutError."""
    assert callable(done)
    end_s = time.monotonic() + READY_S
    while not done():
        if time.monotonic() > end_s:
            raise TimeoutError(what)
        time.sleep(0.05)


class KeepingNode(Node):
    """Started from a file that it may write anew (CONFIG REWRITE): whom it follows outlives it."""

    def _words(self) -> list[str]:
        path = self.folder / "redis.conf"
        if not path.exists():
            words = " ".join(each or '""' for each in super()._words())
            path.write_text("\n".join(words.split("--")[1:]) + "\n")
        return [str(path)]


class Cluster:
    """Three masters with a replica each; `url` names one node."""

    def __init__(self, folder: Path, *settings: str) -> None:
        own = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", *AT_ONCE, *settings)
        self.nodes = [self._node(folder / str(number), *own) for number in range(2 * MASTERS)]
        self._stack = ExitStack()

    def _node(self, folder: Path, *settings: str) -> Node:
        return Node(folder, *settings)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in self.nodes[:2])

    def __enter__(self) -> Self:
        for each in self.nodes:
            self._stack.enter_context(each)
        masters, replicas = self.nodes[:MASTERS], self.nodes[MASTERS:]
        for number, each in enumerate(masters):
            first, last = (SLOTS * number // MASTERS, SLOTS * (number + 1) // MASTERS - 1)
            each.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for each in self.nodes[1:]:
            each.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        until(lambda: all(self._known(each) == 2 * MASTERS for each in self.nodes), "meeting")
        for master, replica in zip(masters, replicas, strict=True):
            name = master.ask("CLUSTER", "MYID")
            replica.ask("CLUSTER", "REPLICATE", name)
        self.wait()
        until(lambda: all(each.has_replica() for each in masters), "replicas that keep up")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pairs(self) -> list[tuple[Node, Node]]:
        """Each master with its replica, as it is now."""
        by_port = {each.port: each for each in self.nodes}
        found: list[tuple[Node, Node]] = []
        for each in self.nodes:
            told = each.replication()
            if told["role"] == "slave":
                found.append((by_port[int(told["master_port"])], each))
        return found

    def slots_of(self, node: Node) -> list[int]:
        """What a master serves."""
        return [
            slot
            for first, last, master, *_ in node.ask("CLUSTER", "SLOTS")
            if master[1] == node.port
            for slot in range(first, last + 1)
        ]

    def wait(self) -> None:
        """Until every node says that it is whole."""
        until(lambda: all(map(self._whole, self.nodes)), "a whole cluster")

    @staticmethod
    def _known(node: Node) -> int:
        return int(_cluster_info(node)["cluster_known_nodes"])

    @staticmethod
    def _whole(node: Node) -> bool:
        told = _cluster_info(node)
        return told["cluster_state"] == "ok" and int(told["cluster_slots_ok"]) == SLOTS


def _cluster_info(node: Node) -> dict[str, str]:
    told = node.ask("CLUSTER", "INFO")
    if isinstance(told, bytes):
        lines = told.decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)
    return dict(told)


class Replicated:
    """A master with a replica that keeps up."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.master = Node(folder / "master", *DURABLE, *AT_ONCE, *settings)
        self.replica = Node(
            folder / "replica", *DURABLE, "--replicaof", "127.0.0.1", str(self.master.port)
        )
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return self.master.url

    def __enter__(self) -> Self:
        for each in (self.master, self.replica):
            self._stack.enter_context(each)
        until(self.master.has_replica, "a replica that keeps up")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Watched:
    """A master with a replica, and one Sentinel that watches them."""

    def __init__(self, folder: Path) -> None:
        self.master = self._node(folder / "master", *DURABLE, *AT_ONCE)
        self.replica = self._node(
            folder / "replica", *DURABLE, "--replicaof", "127.0.0.1", str(self.master.port)
        )
        self.sentinel = self._sentinel(folder / "sentinel", self.master.port)
        self._stack = ExitStack()

    def _node(self, folder: Path, *settings: str) -> Node:
        return KeepingNode(folder, *settings)

    def _sentinel(self, folder: Path, master_port: int) -> Sentinel:
        return Sentinel(folder, master_port)

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{SERVICE}"

    def __enter__(self) -> Self:
        for each in (self.master, self.replica, self.sentinel):
            self._stack.enter_context(each)
        until(self._complete, "a sentinel that knows the replica")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def roles(self) -> tuple[Node, Node]:
        """Master and replica, as the Sentinel says."""
        _, port = self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        if int(port) == self.master.port:
            return self.master, self.replica
        return self.replica, self.master

    def _complete(self) -> bool:
        known = self.sentinel.ask("SENTINEL", "REPLICAS", SERVICE)
        return bool(known) and self.master.has_replica()


class Sentinel(Node):
    """Quorum one: it fails over by itself, two seconds after the master is silent."""

    def __init__(self, folder: Path, master_port: int) -> None:
        super().__init__(folder, "--sentinel")
        self._master_port = master_port

    def _words(self) -> list[str]:
        path = self.folder / "sentinel.conf"
        if not path.exists():
            path.write_text("".join(f"{line}\n" for line in self._lines()))
        return [str(path), *self.settings]

    def _lines(self) -> list[str]:
        return [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._master_port} 1",
            f"sentinel down-after-milliseconds {SERVICE} 2000",
            f"sentinel failover-timeout {SERVICE} 6000",
        ]


@contextmanager
def one_node(folder: Path, *settings: str) -> Iterator[Node]:
    """A durable Redis."""
    with Node(folder, *DURABLE, *settings) as node:
        yield node
