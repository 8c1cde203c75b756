"""A whole server on a real channel: a store (memory where none is given), runtime, registry, the
edge with its guard.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, cast

import grpc.aio

from podium import config
from podium.api.health import Health
from podium.api.protection import Protection
from podium.api.server import build_server
from podium.api.worker_service import WorkerService
from podium.app.services import Services
from podium.app.start import StartWorkflow
from podium.conductor import metadata_service_pb2_grpc as metadata_grpc
from podium.conductor import task_service_pb2_grpc as task_grpc
from podium.conductor import workflow_service_pb2_grpc as workflow_grpc
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.index.sqlite import SqliteIndex
from podium.registry.registry import Registry
from podium.runtime.clock import SystemClock, SystemIds
from podium.runtime.service import Runtime, Settings
from podium.runtime.vault import NO_SECRETS, Vault
from podium.sandbox.pool import Sandbox
from podium.v1 import admin_pb2_grpc, metadata_pb2_grpc, workflow_pb2_grpc
from tests.runtime.rig import CountingStore

if TYPE_CHECKING:
    from podium.api.interceptor import Admission
    from podium.runtime.link import Link
    from podium.runtime.polls import PollDesk
    from podium.runtime.stream import StreamHost
    from podium.store.port import Store

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
LOOPBACK = config.Settings(grpc=config.Grpc(listen="127.0.0.1:0"))
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX + 1024),
    ("grpc.max_send_message_length", 2 * MESSAGE_BYTES_MAX),
)


def no_streams(link: Link) -> StreamHost:
    """Worker streams have tests of their own."""
    raise AssertionError(link)


class ToldDesk:
    """The poll desk, telling that a poll is parked."""

    def __init__(self, desk: PollDesk, parked: asyncio.Event) -> None:
        self._desk = desk
        self._parked = parked
        self.refused_count = 0

    @property
    def parked_count(self) -> int:
        return self._desk.parked_count

    async def poll(self, *asked: Any) -> object:
        asyncio.get_running_loop().call_soon(self._parked.set)
        return await self._desk.poll(*asked)

    def give_back(self, tasks: Any) -> None:
        self._desk.give_back(tasks)


class Edge:
    """Async context: a served port, stubs for the services, and the parts behind them."""

    def __init__(
        self,
        admission: Admission | None = None,
        protection: Protection | None = None,
        *,
        vault: Vault = NO_SECRETS,
        store: Store | None = None,
    ) -> None:
        self.clock = SystemClock()
        # Who gives a store asks nothing of one that counts
        self.store = cast("CountingStore", store or CountingStore(self.clock))
        self.sandbox = Sandbox(1)
        self.index = SqliteIndex(None, self.clock.now_ms)
        self.registry = Registry(self.store, self.clock.now_ms, self.sandbox.fault)
        self.runtime = Runtime(
            store=self.store,
            registry=self.registry,
            clock=self.clock,
            ids=SystemIds(),
            settings=Settings(),
            evaluator=self.sandbox,
            vault=vault,
            index=self.index,
        )
        self.parked = asyncio.Event()
        """Set once a poll is served."""
        self.services = Services(
            executor=self.runtime.executor,
            registry=self.registry,
            store=self.store,
            clock=self.clock,
            ids=SystemIds(),
            polls=ToldDesk(self.runtime.polls, self.parked),  # pyright: ignore[reportArgumentType]
            watch=self.runtime.watch,
            parking=self.runtime.parking,
            runtime=self.runtime,
        )
        self.admission = admission
        self.protection = protection

    async def __aenter__(self) -> Self:
        await self.store.open()
        await self.index.open()
        await self.runtime.start(StartWorkflow(self.services).start_child)
        workers = WorkerService(
            connect=no_streams, payload_bytes_limit=PAYLOAD_BYTES_LIMIT, clock=self.clock
        )
        self.health = Health()
        protection = self.protection or Protection(LOOPBACK, now_ms=self.clock.now_ms)
        self.server = build_server(
            self.services,
            workers,
            name="test",
            health=self.health,
            admission=self.admission,
            access=protection.access,
        )
        port = protection.bind(self.server)
        await self.server.start()
        self.runtime.listening()
        self.address = f"127.0.0.1:{port}"
        self.channel = grpc.aio.insecure_channel(self.address, options=OPTIONS)
        self.metadata = metadata_grpc.MetadataServiceStub(self.channel)
        self.workflows = workflow_grpc.WorkflowServiceStub(self.channel)
        self.tasks = task_grpc.TaskServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)
        self.definitions = metadata_pb2_grpc.MetadataServiceStub(self.channel)
        self.podium = workflow_pb2_grpc.WorkflowServiceStub(self.channel)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.channel.close()
        await self.server.stop(None)
        await self.runtime.stop()
        self.sandbox.stop()
        await self.index.close()
        await self.store.close()
