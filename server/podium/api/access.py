"""Who may call what: an access level for every method, and the levels that each role includes.

Rules: a method without a row is refused to everybody (where credentials are asked for at all), and
a test compares the rows with the descriptors of all services; health alone is public; what is wrong
with credentials is told to the log, not to the caller.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
import grpc.aio

from podium.api.credentials import CredentialsInvalid
from podium.api.errors import Refused
from podium.app.caller import ANYBODY, NOBODY, Principal, Role, note_caller

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from podium.api.credentials import Credentials

    Context = grpc.aio.ServicerContext[object, object]

LOG = logging.getLogger("podium.access")
EXPIRED: Final = "expected valid credentials, found that they expired while the call was open"

Answer = TypeVar("Answer")


class Level(StrEnum):
    """What a method does."""

    PUBLIC = "public"
    READ = "read"
    WORK = "work"
    WRITE = "write"
    ADMIN = "admin"


PUBLIC, READ, WORK, WRITE, ADMIN = Level

ROWS: Final[Mapping[str, Mapping[str, Level]]] = {
    "grpc.health.v1.Health": {
        "Check": PUBLIC,
        "List": PUBLIC,
        "Watch": PUBLIC,
    },
    "grpc.reflection.v1.ServerReflection": {
        "ServerReflectionInfo": READ,
    },
    "grpc.reflection.v1alpha.ServerReflection": {
        "ServerReflectionInfo": READ,
    },
    "conductor.grpc.events.EventService": {
        "AddEventHandler": WRITE,
        "UpdateEventHandler": WRITE,
        "RemoveEventHandler": WRITE,
        "GetEventHandlers": READ,
        "GetEventHandlersForEvent": READ,
    },
    "conductor.grpc.metadata.MetadataService": {
        "CreateWorkflow": WRITE,
        "ValidateWorkflow": READ,
        "UpdateWorkflows": WRITE,
        "GetWorkflow": READ,
        "CreateTasks": WRITE,
        "UpdateTask": WRITE,
        "GetTask": READ,
        "DeleteTask": WRITE,
    },
    "conductor.grpc.tasks.TaskService": {
        "Poll": WORK,
        "BatchPoll": WORK,
        "UpdateTask": WORK,
        "AddLog": WORK,
        "GetTaskLogs": READ,
        "GetTask": READ,
        "GetQueueSizesForTasks": READ,
        "GetQueueInfo": READ,
        "GetQueueAllInfo": READ,
        "Search": READ,
        "SearchV2": READ,
    },
    "conductor.grpc.workflows.WorkflowService": {
        "StartWorkflow": WRITE,
        "GetWorkflows": READ,
        "GetWorkflowStatus": READ,
        "RemoveWorkflow": WRITE,
        "GetRunningWorkflows": READ,
        "DecideWorkflow": WRITE,
        "PauseWorkflow": WRITE,
        "ResumeWorkflow": WRITE,
        "SkipTaskFromWorkflow": WRITE,
        "RerunWorkflow": WRITE,
        "RestartWorkflow": WRITE,
        "RetryWorkflow": WRITE,
        "ResetWorkflowCallbacks": WRITE,
        "TerminateWorkflow": WRITE,
        "Search": READ,
        "SearchByTasks": READ,
        "SearchV2": READ,
        "SearchByTasksV2": READ,
    },
    "podium.v1.AdminService": {
        "Explain": READ,
        "ListAudit": ADMIN,
        "ListParked": ADMIN,
        "RetryParked": ADMIN,
        "PurgeParked": ADMIN,
        "RepairWorkflow": ADMIN,
        "VerifyPartitions": ADMIN,
        "PurgeWorkflow": ADMIN,
        "SetLogLevel": ADMIN,
        "GetConfig": ADMIN,
        "ListMembers": ADMIN,
        "ListWorkers": ADMIN,
        "ListPollers": ADMIN,
        "ListPendingTasks": ADMIN,
        "ListQueues": ADMIN,
        "ListEnvironment": ADMIN,
        "ListSecrets": ADMIN,
        "RequeueTasks": ADMIN,
        "RebuildQueues": ADMIN,
        "RemoveByQuery": ADMIN,
    },
    "podium.v1.MetadataService": {
        "RegisterWorkflow": WRITE,
        "ValidateWorkflow": READ,
        "GetWorkflow": READ,
        "RegisterTask": WRITE,
        "GetTask": READ,
    },
    "podium.v1.WorkerService": {
        "Connect": WORK,
    },
    "podium.v1.WorkflowService": {
        "StartWorkflows": WRITE,
        "StreamStarts": WRITE,
        "Wait": READ,
        "Watch": READ,
        "Signal": WRITE,
        "UpdateVariables": WRITE,
        "List": READ,
        "Execute": WRITE,
        "TestWorkflow": WRITE,
        "UpdateTask": WRITE,
        "PushMessage": WRITE,
        "PauseWorkflows": WRITE,
        "ResumeWorkflows": WRITE,
        "TerminateWorkflows": WRITE,
        "RetryWorkflows": WRITE,
        "RestartWorkflows": WRITE,
        "RemoveWorkflows": WRITE,
        "TerminateAndRemoveWorkflows": WRITE,
    },
}
"""By service and method; where a new rpc needs a row."""

LEVELS: Final = {
    f"/{service}/{method}": level
    for service, rows in ROWS.items()
    for method, level in rows.items()
}
GRANTS: Final[Mapping[Role, frozenset[Level]]] = {
    Role.READER: frozenset({PUBLIC, READ}),
    Role.WORKER: frozenset({PUBLIC, WORK}),
    Role.WRITER: frozenset({PUBLIC, READ, WRITE}),
    Role.ADMIN: frozenset(Level),
}


class Access:
    """Admits callers to methods, and notes who makes a call.

    `credentials` None = everybody may call everything; `on_refused` is told method, context, code.
    """

    def __init__(self, credentials: Credentials | None, *, now_ms: Callable[[], int]) -> None:
        self._credentials = credentials
        self._now_ms = now_ms
        self.on_refused: Callable[[str, Context, str], None] = tell_nobody

    async def admit(self, method: str, context: Context) -> Principal:
        """The caller, who may call the method. Raises Refused."""
        if self._credentials is None:
            return ANYBODY
        note_caller(NOBODY)
        try:
            return await self._judged(self._credentials, method, context)
        except Refused as refusal:
            self.on_refused(method, context, refusal.code.name)
            raise

    async def _judged(self, credentials: Credentials, method: str, context: Context) -> Principal:
        level = LEVELS.get(method)
        if level is PUBLIC:
            return NOBODY
        try:
            principal = await credentials.principal_of(context)
        except CredentialsInvalid as problem:
            noted = {"event": "caller_unknown", "method": method, "peer": context.peer()}
            LOG.info("a call was refused: %s", problem, extra=noted)
            raise Refused(problem.code, problem.told) from None
        note_caller(principal)
        if not allows(principal, level):
            roles = " or ".join(role for role in Role if level in GRANTS[role]) or "of nobody"
            found = ", ".join(sorted(principal.roles)) or "none"
            noted = {"event": "caller_denied", "method": method, "caller": principal.name}
            LOG.info("a %s was refused: roles %s", principal.kind, found, extra=noted)
            raise Refused(
                grpc.StatusCode.PERMISSION_DENIED,
                f"expected a caller with the role {roles} for {method}, found {found}",
            )
        return principal

    @asynccontextmanager
    async def valid(self, principal: Principal | None) -> AsyncGenerator[None]:
        """For as long as the principal's credentials are. Raises Refused at their end."""
        if principal is None or principal.expires_ms is None:
            yield
            return
        limit = asyncio.timeout((principal.expires_ms - self._now_ms()) / 1000)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, EXPIRED) from None

    async def until_expiry(
        self, principal: Principal, answers: AsyncGenerator[Answer]
    ) -> AsyncGenerator[Answer]:
        """The answers that come while the principal's credentials are valid. Raises Refused."""
        async with aclosing(answers):
            while True:
                async with self.valid(principal):
                    try:
                        answer = await anext(answers)
                    except StopAsyncIteration:
                        return
                yield answer


def tell_nobody(method: str, context: Context, code: str) -> None:
    """Of a server without an audit trail."""
    del method, context, code


def allows(principal: Principal, level: Level | None) -> bool:
    """Whether one of the principal's roles includes the level; None = a method without a row."""
    return level is not None and any(level in GRANTS[role] for role in principal.roles)
