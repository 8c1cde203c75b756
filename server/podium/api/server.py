"""The gRPC server: all services, the guard around them, and the options of the edge.

It is built here and started by the composition root, which alone knows addresses. A second server
on the same port is an error, since ports are not shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.api.access import Access
from podium.api.admin_audit import AdminAudit
from podium.api.admin_explain import AdminExplain
from podium.api.admin_mend import AdminMend
from podium.api.admin_queues import QueueAdmin
from podium.api.admin_service import AdminService
from podium.api.admin_values import AdminValues
from podium.api.admin_view import AdminView
from podium.api.auditing import Auditor
from podium.api.call_counts import CallCounts
from podium.api.conductor_events import EventService
from podium.api.conductor_metadata import MetadataService
from podium.api.conductor_queues import LogMethods, QueueMethods
from podium.api.conductor_search import TaskSearch
from podium.api.conductor_tasks import TaskService
from podium.api.conductor_workflows import WorkflowService as ConductorWorkflows
from podium.api.execute_calls import ExecuteCalls
from podium.api.execution_out import ExecutionMessages
from podium.api.gone import keep_quiet_about_gone_clients
from podium.api.health import SERVICE as HEALTH
from podium.api.health import Health
from podium.api.interceptor import Admission, Guard
from podium.api.list_calls import ListCalls
from podium.api.load import Load
from podium.api.metadata_service import JsonMetadataService
from podium.api.reflection import add_reflection
from podium.api.removal_calls import RemovalCalls
from podium.api.start_stream import StartStreams
from podium.api.sturdy_server import register, sturdy_server
from podium.api.workflow_service import WorkflowService
from podium.app.caller import caller
from podium.app.definitions import Definitions
from podium.app.execute import Execute
from podium.app.executions import Executions
from podium.app.listing import Listing
from podium.app.pending import PendingTasks
from podium.app.queues import TaskQueues
from podium.app.removal import Removal
from podium.app.search import Searches
from podium.app.start import StartWorkflow
from podium.app.task_logs import TaskLogs
from podium.app.tasks import WorkerTasks
from podium.app.trial import Trials
from podium.app.update import Updates
from podium.conductor import (
    event_service_pb2,
    metadata_service_pb2,
    task_service_pb2,
    workflow_service_pb2,
)
from podium.registry.event_handlers import EventHandlers
from podium.v1 import admin_pb2, metadata_pb2, worker_pb2, worker_pb2_grpc, workflow_pb2

if TYPE_CHECKING:
    import grpc.aio

    from podium.api.method_table import Served
    from podium.api.worker_service import WorkerService
    from podium.app.services import Services

METADATA_BYTES_MAX: Final = 16 * 1024
ALONE: Final = (("grpc.so_reuseport", 0),)
SHARED: Final = (("grpc.so_reuseport", 1), ("grpc.max_connection_age_ms", 300_000))
"""A connection stays with the process that took it: clients are asked for a new one at times."""
DESCRIPTORS: Final = (
    *(
        service
        for file in (
            workflow_service_pb2,
            task_service_pb2,
            metadata_service_pb2,
            event_service_pb2,
            worker_pb2,
            workflow_pb2,
            admin_pb2,
            metadata_pb2,
        )
        for service in file.DESCRIPTOR.services_by_name.values()
    ),
    HEALTH,
)
SERVICES: Final = tuple(service.full_name for service in DESCRIPTORS)


def build_server(  # noqa: PLR0913 - all but two by name, each a part that may be given
    services: Services,
    worker_service: WorkerService,
    *,
    name: str = "",
    health: Health | None = None,
    admission: Admission | None = None,
    counts: CallCounts | None = None,
    access: Access | None = None,
    shared_port: bool = False,
) -> grpc.aio.Server:
    """A server without a port yet; call it in the loop that will serve.

    `name` begins the request ids (default: one of this life); `health` is told when to stop;
    `counts` count the calls; without `access` everybody may call everything; `shared_port` = other
    processes listen on the port as well.
    """
    admission, health = admission or Admission(), health or Health()
    name, counts = name or services.ids.incarnation(), counts or CallCounts(services.clock.now_us)
    access = access or Access(None, now_ms=services.clock.now_ms)
    load = _load(services, admission, counts)
    streams = StartStreams(health.stopping, load.admit_start)
    guard = Guard(name, admission, counts, access=access, load=load)
    keep_quiet_about_gone_clients()
    server = sturdy_server(
        layers=[guard, _auditor(services, access)],
        options=[*_options(admission), *(SHARED if shared_port else ALONE)],
    )
    register(server, DESCRIPTORS, _handlers(services, worker_service, health, admission, streams))
    worker_pb2_grpc.add_WorkerServiceServicer_to_server(worker_service, server)
    add_reflection(server, SERVICES)
    return server


def _handlers(
    services: Services,
    workers: WorkerService,
    health: Health,
    admission: Admission,
    streams: StartStreams,
) -> tuple[grpc.GenericRpcHandler, ...]:
    """Of all services but the worker stream."""
    starts, executions = StartWorkflow(services), Executions(services)
    removal = Removal(services)
    messages, searches = ExecutionMessages(), Searches(services)
    return (
        ConductorWorkflows(
            starts=starts,
            executions=executions,
            removal=removal,
            searches=searches,
            messages=messages,
        ).handler(),
        TaskService(
            tasks=WorkerTasks(services),
            messages=messages,
            message_bytes_max=admission.message_bytes_max,
            others={**task_methods(services), **TaskSearch(searches, messages).served()},
        ).handler(),
        MetadataService(services.registry).handler(),
        JsonMetadataService(Definitions(services.registry)).handler(),
        event_handler(services),
        WorkflowService(
            starts=starts,
            executions=executions,
            removal=removal,
            streams=streams,
            execute=execute_calls(services, starts),
            lists=ListCalls(Listing(services)),
        ).handler(),
        admin_handler(services, removal, workers),
        health.handler(SERVICES),
    )


def admin_handler(
    services: Services, removal: Removal, worker_service: WorkerService
) -> grpc.GenericRpcHandler:
    """AdminService, most of whose methods have files of their own."""
    others: dict[str, Served] = {
        **AdminExplain(services).served(),
        **AdminAudit(services.runtime.audit).served(),
        **AdminMend(services, removal).served(),
        **AdminView(services, worker_service.views).served(),
        **AdminValues(services.vault).served(),
        **QueueAdmin(TaskQueues(services), PendingTasks(services)).served(),
        **RemovalCalls(services).served(),
    }
    return AdminService(services.parking, others).handler()


def execute_calls(services: Services, starts: StartWorkflow) -> ExecuteCalls:
    """Methods of WorkflowService that have a file of their own."""
    return ExecuteCalls(
        execute=Execute(services, starts),
        trials=Trials(services, starts),
        updates=Updates(services),
    )


def event_handler(services: Services) -> grpc.GenericRpcHandler:
    """EventService."""
    return EventService(EventHandlers(services.store, services.registry.fault)).handler()


def task_methods(services: Services) -> dict[str, Served]:
    """Methods of TaskService that have files of their own."""
    return {
        **LogMethods(TaskLogs(services)).served(),
        **QueueMethods(TaskQueues(services)).served(),
    }


def calling() -> str:
    """Who makes the call, for the audit."""
    principal = caller()
    return f"{principal.kind} {principal.name}" if principal.name else principal.kind


def _load(services: Services, admission: Admission, counts: CallCounts) -> Load:
    executor = services.executor
    return Load(
        now_ms=services.clock.now_ms,
        mailbox_bytes=lambda: executor.bytes_waiting,
        mailbox_bytes_max=admission.mailbox_bytes_max,
        shed=lambda: counts.refused.add("overload"),
    )


def _auditor(services: Services, access: Access) -> Auditor:
    """Hears of refused calls as well."""
    auditor = Auditor(services.runtime.audit, services.clock, calling)
    access.on_refused = auditor.refused
    return auditor


def _options(admission: Admission) -> list[tuple[str, int]]:
    """Why each is as it is: server/README.md, "The edge"."""
    return [
        ("grpc.max_receive_message_length", admission.message_bytes_max),
        ("grpc.max_send_message_length", admission.message_bytes_max),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.max_concurrent_streams", admission.streams_per_connection),
        ("grpc.http.overload_protection", 0),
        ("grpc.server_handshake_timeout_ms", 5_000),
        ("grpc.max_connection_idle_ms", 60_000),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
