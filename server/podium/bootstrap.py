"""The composition root: turns settings into a running server, and ends it in good order.

Nothing is decided here: each part is made, given its neighbours, started and stopped. Order of the
start: the ports are tried, the store taken, the runtime takes over what earlier lives left, then
calls are accepted. Order of the end: no new calls and tasks, what was accepted is answered, the
runtime drains, the store is left.

Failures: CannotServe (what was expected and found, and what helps).
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Final

import uvloop

from podium.api.call_counts import CallCounts
from podium.api.health import Health
from podium.api.interceptor import admission_of
from podium.api.protection import Protection
from podium.api.server import build_server
from podium.api.worker_service import WorkerService
from podium.app.config_view import shown
from podium.app.retention import Retention
from podium.app.services import services_of
from podium.app.start import StartWorkflow
from podium.config import read_values
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.state import SYSTEM_TYPES
from podium.gateway.health import Condition, health_routes
from podium.gateway.listener import Listener
from podium.index.port import IndexFailure
from podium.model.queue import Queue
from podium.place import CannotServe, ListenPlace
from podium.processes.tie import Tie, announce
from podium.registry.registry import Registry
from podium.runtime.clock import SystemClock, SystemIds
from podium.runtime.interpreter import (
    give_memory_back,
    let_the_loop_go_first,
    spare_the_collector,
)
from podium.runtime.lag import LoopLag
from podium.runtime.local import LocalWorker
from podium.runtime.service import Runtime
from podium.runtime.service import Settings as RuntimeSettings
from podium.runtime.stream import StreamHost, StreamLimits
from podium.runtime.task_log import TaskLog
from podium.runtime.task_queues import TaskQueues
from podium.runtime.vault import Vault
from podium.sandbox.pool import Sandbox
from podium.store.port import StoreError
from podium.stores import StoreUnknown, open_index, open_store
from podium.tasks.address import AddressSettingInvalid
from podium.tasks.http import HttpSettings, HttpTask
from podium.tasks.installed import SystemTaskUnsound, installed_tasks
from podium.telemetry.exposition import MetricsPage
from podium.telemetry.log_line import begin_log
from podium.telemetry.reading import Sources
from podium.telemetry.tracing import tracer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc.aio

    from podium.config import Http, Name, Settings
    from podium.config import Store as StoreSettings
    from podium.model.system_call import SystemCall
    from podium.runtime.link import Link
    from podium.runtime.local import Handler
    from podium.store.port import Store
    from podium.tasks.outcome import TaskOutcome
    from podium.tasks.system import SystemTaskRunner

LOG = logging.getLogger("podium.bootstrap")
NO_ORIGINS: Final[Mapping[Name, str]] = {}
STOPPING: Final = "the server stops"
STREAMS_MS: Final = 1_500
"""After GoAway a worker has this long to bring its results; then its stream is ended."""
CALLS_MS: Final = 3_000
"""Calls in flight are answered within this, or end with UNAVAILABLE (Wait and Watch mostly do)."""
CONNECTIONS_MS: Final = 4_000
"""After the streams; then a peer that keeps its connection open is not waited for."""


def run(
    settings: Settings, origins: Mapping[Name, str] = NO_ORIGINS, *, supervised: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT, `supervised` also until the supervisor (processes/) is gone.
    Raises CannotServe, SettingInvalid.
    """
    give_memory_back()
    begin_log(settings.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, origins, supervised=supervised))


async def _serve(settings: Settings, origins: Mapping[Name, str], *, supervised: bool) -> None:
    over = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, over.set)
    server = Server(settings, origins, supervised=supervised)
    try:
        ports = await server.start()
        announce(event="serving", **ports, store=settings.store.url)
        LOG.info("calls are accepted", extra={"event": "serving", **ports})
        server.listening()
        spare_the_collector()
        let_the_loop_go_first()
        if supervised:
            await server.tie(over).hold()
        else:
            await over.wait()
    finally:
        await server.stop()


class Server:
    """The parts of one process and the order of their life. Raises CannotServe, SettingInvalid."""

    def __init__(
        self, settings: Settings, origins: Mapping[Name, str] = NO_ORIGINS, *, supervised: bool
    ) -> None:
        clock = SystemClock()
        self._settings = settings
        self._supervised = supervised
        self._protection = Protection(settings, now_ms=clock.now_ms)
        self._place = ListenPlace("grpc", "grpc.listen", settings.grpc.listen)
        self._http_place = ListenPlace("http", "gateway.listen", settings.gateway.listen)
        self._place.probe(shared=supervised)
        self._http_place.probe()
        self._store = store_of(settings.store, clock, shared=supervised)
        self._index = open_index(settings.store.url, self._store, clock.now_ms)
        self._http = http_task(settings.http)
        self._own_tasks = own_tasks()
        self._sandbox = Sandbox(settings.sandbox.children)
        registry = Registry(self._store, clock.now_ms, self._sandbox.fault)
        self._runtime = Runtime(
            store=self._store,
            registry=registry,
            clock=clock,
            ids=SystemIds(),
            settings=self._runtime_settings(settings),
            evaluator=self._sandbox,
            vault=Vault(*read_values(settings)),
            index=self._index,
        )
        self._local = self._local_workers(settings)
        self._tracer = tracer_of(settings.trace, clock, self._runtime.incarnation)
        if self._tracer is not None:
            self._runtime.progress.tracer = self._tracer
        self._services = services_of(self._runtime, registry, shown(settings, origins))
        self._retention = Retention(self._services, settings.retention)
        self._task_log = TaskLog(self._store)
        self._streams = 0
        self._workers = self._worker_service(clock)
        self._health = Health(lambda: self._runtime.members.store_reachable)
        self._calls = CallCounts(clock.now_us)
        self._lag = LoopLag(clock)
        self._stopping = False
        self._gateway: Listener | None = None
        self._edge: grpc.aio.Server | None = None
        self._opened = False
        self._started_tasks: list[SystemTaskRunner] = []

    async def start(self) -> dict[str, str]:
        """Take the store, take over, accept calls. Raises CannotServe.

        Shape: HOST:PORT by "grpc" and "http" (where HTTP is served).
        """
        self._lag.start()
        self._runtime.members.on_silent = self._give_up_streams
        self._runtime.members.on_turn = self._health.look
        try:
            await self._store.open()
            self._opened = True
            if self._index is not None:
                await self._index.open()
            await self._http.start()
            await self._start_own_tasks()
            await self._runtime.start(StartWorkflow(self._services).start_child)
        except StoreError as problem:
            raise CannotServe(f"store.url: {problem}") from None
        except IndexFailure as problem:
            raise CannotServe(f"{problem}. It can be deleted: it is made anew") from None
        self._retention.start()
        for worker in self._local:
            worker.start()
        self._edge = build_server(
            self._services,
            self._workers,
            name=self._runtime.incarnation,
            health=self._health,
            counts=self._calls,
            admission=admission_of(self._settings),
            access=self._protection.access,
            shared_port=self._supervised,
        )
        try:
            port = self._protection.bind(self._edge)
        except RuntimeError:
            raise self._place.refusal("gRPC could not bind it") from None
        await self._edge.start()
        self._services.place.address = self._place.with_port(port)
        return {"grpc": self._place.with_port(port), **await self._serve_http()}

    def tie(self, over: asyncio.Event) -> Tie:
        """To the supervisor."""
        return Tie(
            clock=self._runtime.clock,
            streams=lambda: self._workers.taking_count,
            send_away=self._workers.send_away,
            over=over,
        )

    def listening(self) -> None:
        """Workers can come back from now on."""
        self._runtime.listening()

    async def _serve_http(self) -> dict[str, str]:
        place = self._http_place
        if not place.listen:
            return {}
        page = MetricsPage(self._sources())
        self._gateway = Listener([*health_routes(self._condition), *page.routes()])
        try:
            port = await self._gateway.start(place.host, place.port)
        except OSError as problem:
            raise place.refusal(problem.strerror or "it cannot be bound") from None
        return {"http": place.with_port(port)}

    def _sources(self) -> Sources:
        return Sources(
            runtime=self._runtime,
            retention=self._retention,
            sandbox=self._sandbox,
            calls=self._calls,
            workers=self._workers,
            task_log=self._task_log,
            lag=self._lag,
        )

    def _condition(self) -> Condition:
        return Condition(
            serving=self._edge is not None,
            stopping=self._stopping,
            store_reachable=self._runtime.members.store_reachable,
            loop_lag_ms=self._lag.last_ms,
        )

    async def stop(self) -> None:
        """End in good order what was started. HTTP is last: it tells how the rest ends."""
        self._stopping = True
        LOG.info("no new calls and tasks", extra={"event": "stopping"})
        self._health.stop()
        self._runtime.polls.stop()
        await asyncio.gather(*(worker.stop() for worker in self._local), self._end_calls())
        if self._opened:
            await self._retention.stop()
            await self._runtime.stop()
            await self._task_log.drain()
        if self._tracer is not None:
            await self._tracer.stop()
        if self._gateway is not None:
            await self._gateway.stop()
        self._lag.stop()
        self._sandbox.stop()
        await self._http.stop()
        for each in self._started_tasks:
            await each.stop()
        if self._opened:
            if self._index is not None:
                await self._index.close()
            await self._store.close()

    async def _end_calls(self) -> None:
        """No new calls; those in flight are answered, streams get a moment to finish."""
        if self._edge is None:
            return
        self._workers.go_away_all(STOPPING)
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(self._edge.stop(CALLS_MS / 1000))
            await asyncio.wait((ending,), timeout=STREAMS_MS / 1000)
            self._workers.end_all(STOPPING)
            await asyncio.wait((ending,), timeout=CONNECTIONS_MS / 1000)
            if ending.cancel():
                LOG.warning("peers keep connections open", extra={"event": "connections_left"})

    def _runtime_settings(self, settings: Settings) -> RuntimeSettings:
        return RuntimeSettings(
            cache_bytes=settings.limits.cache_bytes,
            system_types=SYSTEM_TYPES | {each.task_type for each in self._own_tasks},
        )

    def _local_workers(self, settings: Settings) -> list[LocalWorker]:
        return [
            self._local_worker(self._run_http, "HTTP", settings.http.tasks_max),
            *(self._local_worker(own.run, own.task_type, own.tasks_max) for own in self._own_tasks),
        ]

    def _local_worker(self, handler: Handler, task_type: str, tasks_max: int) -> LocalWorker:
        return LocalWorker(
            handler,
            queue=Queue(task_type),
            tasks_max=tasks_max,
            dispatcher=self._runtime.dispatcher,
            leases=self._runtime.leases,
            vault=self._runtime.vault,
        )

    def _worker_service(self, clock: SystemClock) -> WorkerService:
        return WorkerService(
            connect=self._connect,
            payload_bytes_limit=PAYLOAD_BYTES_LIMIT,
            clock=clock,
            streams_max=self._settings.limits.streams_max,
        )

    async def _run_http(self, call: SystemCall) -> TaskOutcome:
        return await self._http.run(call.input)

    async def _start_own_tasks(self) -> None:
        """Raises CannotServe."""
        for each in self._own_tasks:
            try:
                await each.start()
            except Exception as error:
                noted = {"event": "system_task_failed", "task_type": each.task_type}
                LOG.exception("a system task cannot start", extra=noted)
                raise CannotServe(
                    f"podium.tasks:{each.task_type}: expected a task that starts, found that it"
                    f" raises {type(error).__name__}: see the log"
                ) from None
            self._started_tasks.append(each)

    def _connect(self, link: Link) -> StreamHost:
        self._streams += 1
        return StreamHost(
            link=link,
            dispatcher=self._runtime.dispatcher,
            leases=self._runtime.leases,
            clock=self._runtime.clock,
            queue_of=TaskQueues(self._runtime.executor).of,
            logs=self._task_log.put,
            session=f"{self._runtime.incarnation}-{self._streams}",
            server=self._runtime.incarnation,
            limits=StreamLimits(payload_bytes_limit=PAYLOAD_BYTES_LIMIT),
            vault=self._runtime.vault,
        )

    def _give_up_streams(self) -> None:
        """Others may take this server for dead: its workers go to them."""
        self._workers.end_all("expected the store to answer, found that it does not")


def store_of(settings: StoreSettings, clock: SystemClock, *, shared: bool) -> Store:
    """Not opened yet; `shared` = several processes need it. Raises CannotServe."""
    try:
        store = open_store(settings, clock.now_ms)
    except StoreUnknown as problem:
        raise CannotServe(f"store.url: {problem}") from None
    if shared and not store.capabilities.shared:
        found = f"{settings.url}, which belongs to one"
        raise CannotServe(f"grpc.processes: expected a store for several processes, found {found}")
    return store


def own_tasks() -> list[SystemTaskRunner]:
    """The system tasks that are installed beside Podium. Raises CannotServe."""
    try:
        return installed_tasks()
    except SystemTaskUnsound as problem:
        raise CannotServe(str(problem)) from None


def http_task(settings: Http) -> HttpTask:
    """The HTTP task behind its guard. Raises CannotServe."""
    try:
        return HttpTask(
            HttpSettings(
                allow=settings.allow,
                resolve=settings.resolve,
                total_ms_limit=settings.total_ms_limit,
                lookup_ms_limit=settings.lookup_ms_limit,
                body_bytes_limit=settings.body_bytes_limit,
                connections_limit=settings.tasks_max,
            )
        )
    except AddressSettingInvalid as problem:
        raise CannotServe(str(problem)) from None
