"""redis-py's clients: how they are made for an address, and what is used of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypedDict, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.store.redis.address import Address

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = tuple[Argument, ...]

ANSWER_S: Final = 5.0
"""A node that is silent for so long counts as gone; takeover waits longer than this."""
CONNECT_S: Final = 2.0
CONNECTIONS_MAX: Final = 64


class Pipeline(Protocol):
    """What is used of redis-py's pipelines, whose own types leave open what is awaited."""

    def execute_command(self, *command: Argument) -> object: ...

    async def execute(self, *, raise_on_error: bool) -> list[object]: ...


class ClusterPipeline(Protocol):
    """As Pipeline, with each command's node named."""

    def execute_command(self, *command: Argument, target_nodes: ClusterNode) -> object: ...

    async def execute(self, *, raise_on_error: bool, allow_redirections: bool) -> list[object]: ...


class Client(Protocol):
    """What is used of each of redis-py's clients."""

    def pipeline(self, *, transaction: bool) -> Pipeline: ...

    def pubsub(self) -> Subscription: ...

    async def aclose(self) -> None: ...


class ClusterClient(Client, Protocol):
    """What only the cluster's client has."""

    async def initialize(self) -> object: ...

    def get_nodes(self) -> list[ClusterNode]: ...

    def get_primaries(self) -> list[ClusterNode]: ...

    def get_random_node(self) -> ClusterNode: ...

    def get_node_from_key(self, key: str) -> ClusterNode: ...

    async def execute_command(self, *command: Argument, target_nodes: ClusterNode) -> object: ...


class Subscription(Protocol):
    """What is used of redis-py's subscriptions."""

    async def subscribe(self, *channels: bytes) -> object: ...

    async def get_message(self, *, timeout: float) -> Message | None: ...  # noqa: ASYNC109 - theirs

    async def aclose(self) -> None: ...


class Message(TypedDict):
    """`data` is bytes where the type is "message"."""

    type: str
    channel: bytes
    data: bytes


Info: TypeAlias = "Mapping[str, object]"


class Options(TypedDict, total=False):
    """Of every connection."""

    username: str | None
    password: str | None
    socket_timeout: float
    socket_connect_timeout: float
    retry: Retry
    protocol: int
    driver_info: None
    ssl: bool
    ssl_ca_certs: str | None
    ssl_certfile: str | None
    ssl_keyfile: str | None


def _options(address: Address, user: str | None, password: str | None) -> Options:
    options = Options(
        username=user,
        password=password,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=CONNECT_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )
    if address.tls:
        options["ssl"] = True
        options["ssl_ca_certs"] = address.tls_ca
        options["ssl_certfile"] = address.tls_cert
        options["ssl_keyfile"] = address.tls_key
    return options


def node_client(address: Address, host: str, port: int) -> Client:
    """Of one node, whatever the address's kind."""
    options = _options(address, address.user, address.password)
    database = address.database
    made = Redis(host=host, port=port, db=database, max_connections=CONNECTIONS_MAX, **options)
    return cast("Client", made)


def clients_of(address: Address) -> tuple[Client, list[Client]]:
    """The store's own, and others that are to be closed after it."""
    options = _options(address, address.user, address.password)
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return cast("Client", RedisCluster(startup_nodes=nodes, **options)), []
    if address.kind == "sentinel":
        own = _options(address, address.sentinel_user, address.sentinel_password)
        sentinel = Sentinel(list(address.hosts), sentinel_kwargs=dict(own))
        watchers = cast("list[Client]", sentinel.sentinels)
        made: object = sentinel.master_for(  # pyright: ignore[reportUnknownMemberType]
            address.service,
            db=address.database,
            max_connections=CONNECTIONS_MAX,
            **options,
        )
        return cast("Client", made), watchers
    ((host, port),) = address.hosts
    return node_client(address, host, port), []
