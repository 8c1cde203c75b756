"""Starting executions: by name or inline, for clients and as children of other executions.

An answer means that the execution is durably stored. With an idempotency key the new id shares its
first byte with the key, so that both live in one partition.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import msgspec

from podium.app.document import failed_workflow_input
from podium.app.failure import KeyUsed, NotFound, RequestUnsound, shown
from podium.app.names import bounded_text, require_domains, require_name, require_version
from podium.app.reading import Reader
from podium.app.trace import current_trace
from podium.engine.command import Rejected, Start
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.trial import TRIAL_DOMAINS
from podium.model.definition import WorkflowDef, decode_workflow
from podium.model.payload import EMPTY, Payload
from podium.model.queue import PRIORITY_MAX
from podium.model.trace import NO_TRACE, TraceContext
from podium.registry.failure import RegistryFailure
from podium.runtime.letter import AlreadyRecorded, DecisionFailed
from podium.runtime.relay import StartRefused
from podium.store.port import Idempotency

if TYPE_CHECKING:
    from podium.app.services import Services
    from podium.engine.transition import StartChild
    from podium.registry.registry import Bound

IdempotencyStrategy = Literal["FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"]


class StartRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for. `version` 0 = the latest; an inline `definition` wins over both."""

    name: str = ""
    version: int = 0
    definition: WorkflowDef | None = None
    input: Payload = EMPTY
    correlation_id: str = ""
    priority: int = 0
    task_to_domain: dict[str, str] = {}
    created_by: str = ""
    trial: bool = False
    """Mocks stand for its workers: see engine/trial.py."""
    idempotency_key: str = ""
    idempotency_strategy: IdempotencyStrategy = "RETURN_EXISTING"


class Started(msgspec.Struct, frozen=True):
    """The execution; `existing` = it was there before, by its idempotency key."""

    workflow_id: str
    existing: bool = False


class StartWorkflow:
    """Starts executions for clients, and children for the relay."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reader = Reader(services)

    async def start(self, request: StartRequest) -> Started:
        """Raises RequestUnsound, KeyUsed, RegistryFailure, StoreError, DecisionFailed."""
        self._check(request)
        bound = await self._bound(request.definition, request.name, request.version)
        inline = request.definition is not None
        key = None
        if request.idempotency_key:
            key = Idempotency(bound.name, request.idempotency_key, request.idempotency_strategy)
        workflow_id = self._new_id(key)
        command = Start(
            name=bound.name,
            version=bound.version,
            digest=bound.digest,
            input=request.input,
            correlation_id=request.correlation_id,
            priority=request.priority,
            task_to_domain=TRIAL_DOMAINS if request.trial else request.task_to_domain,
            created_by=request.created_by,
            inline_definition=inline,
            idempotency_key=request.idempotency_key,
            idempotency_strategy=request.idempotency_strategy if request.idempotency_key else "",
            trace=self._trace(workflow_id),
        )
        try:
            await self._services.executor.start(
                workflow_id,
                command,
                graph=bound.graph,
                definition=bound.encoded if inline else None,
                idempotency=key,
            )
        except AlreadyRecorded as recorded:
            return _existing(request, recorded.workflow_id)
        except Rejected as rejected:
            if key is None or rejected.code != "RESOURCE_EXHAUSTED":
                raise
            # Refused by the limit of its workflow: the one in the way may be its own, sent before.
            before = await self._services.store.recorded(workflow_id, key)
            if before is None:
                raise
            return _existing(request, before)
        return Started(workflow_id)

    async def start_child(self, effect: StartChild, origin: str) -> None:
        """The relay's Starter: `origin` = the execution that the effect belongs to.

        Raises StartRefused, Tombstoned, StoreError; a child that exists already is fine, also where
        its definition would refuse it now.
        """
        try:
            await self._start_child(effect, origin)
        except StartRefused:
            if not await self._exists(effect.workflow_id):
                raise

    async def _start_child(self, effect: StartChild, origin: str) -> None:
        try:
            bound, definition = await self._bound_child(effect)
        except RegistryFailure as failure:
            raise StartRefused(failure.message) from None
        given = effect.input
        if effect.failed_workflow_id:
            given = await self._with_failed(given, effect.failed_workflow_id)
        command = Start(
            name=bound.name,
            version=bound.version,
            digest=bound.digest,
            input=given,
            correlation_id=effect.correlation_id,
            priority=effect.priority,
            task_to_domain=effect.task_to_domain,
            parent=effect.parent,
            created_by=origin,
            inline_definition=definition is not None,
            secrets=effect.secrets,
            trace=self._trace_below(effect),
        )
        try:
            await self._services.executor.start(
                effect.workflow_id, command, graph=bound.graph, definition=definition, patient=True
            )
        except Rejected as rejected:
            raise StartRefused(rejected.message) from None
        except DecisionFailed:
            raise StartRefused("expected its first tasks, found that they cannot be decided") from (
                None
            )

    async def _exists(self, workflow_id: str) -> bool:
        try:
            await self._reader.read(workflow_id, tasks=False)
        except NotFound:
            return False
        return True

    async def _with_failed(self, given: Payload, workflow_id: str) -> Payload:
        """The input of a failure workflow (S-144); an execution that was removed is left out."""
        try:
            view = await self._reader.read(workflow_id, tasks=True)
        except NotFound:
            return given
        return await asyncio.to_thread(failed_workflow_input, given, view)

    async def _bound_child(self, effect: StartChild) -> tuple[Bound, bytes | None]:
        if effect.definition is None:
            return await self._bound(None, effect.name, effect.version or 0), None
        try:
            definition = decode_workflow(effect.definition)
        except msgspec.DecodeError as error:
            raise StartRefused(f"expected a workflow definition, found: {error}") from None
        bound = await self._bound(definition, "", 0)
        return bound, bound.encoded

    async def _bound(self, definition: WorkflowDef | None, name: str, version: int) -> Bound:
        registry = self._services.registry
        if definition is None:
            return await registry.bound_by_name(name, version or None)
        await registry.check_workflow(definition, inline=True)
        return await registry.bound(definition, store=False)

    def _trace(self, workflow_id: str) -> TraceContext:
        """The one that the client's call names, or one of its own."""
        trace = current_trace()
        return trace if trace.parent else self._services.runtime.progress.tracer.began(workflow_id)

    def _trace_below(self, effect: StartChild) -> TraceContext:
        """A child stands under the task that starts it, a failure workflow under what failed."""
        if not effect.trace_parent:
            return NO_TRACE
        starter = effect.parent or effect.starter
        above = starter.task_id if starter is not None else effect.failed_workflow_id
        tracer = self._services.runtime.progress.tracer
        return TraceContext(tracer.under(effect.trace_parent, above), effect.trace_state)

    def _check(self, request: StartRequest) -> None:
        if request.definition is None:
            require_name("name", request.name)
            require_version("version", request.version)
        if not 0 <= request.priority <= PRIORITY_MAX:
            raise RequestUnsound(
                f"priority: expected 0 to {PRIORITY_MAX}, found {request.priority}"
            )
        bounded_text("correlation_id", request.correlation_id)
        bounded_text("created_by", request.created_by)
        bounded_text("idempotency_key", request.idempotency_key)
        require_domains("task_to_domain", request.task_to_domain)
        if len(request.input) > PAYLOAD_BYTES_LIMIT:
            raise RequestUnsound(
                f"input: expected at most {PAYLOAD_BYTES_LIMIT} bytes as JSON, "
                f"found {len(request.input)}"
            )

    def _new_id(self, key: Idempotency | None) -> str:
        workflow_id = self._services.ids.workflow_id()
        if key is None:
            return workflow_id
        partition = crc32(f"{key.name}\0{key.key}".encode()) & 255
        return f"{partition:02x}{workflow_id[2:]}"


def _existing(request: StartRequest, workflow_id: str) -> Started:
    if request.idempotency_strategy == "RETURN_EXISTING":
        return Started(workflow_id, existing=True)
    raise _key_used(request, workflow_id)


def _key_used(request: StartRequest, workflow_id: str) -> KeyUsed:
    state = "running" if request.idempotency_strategy == "FAIL_ON_RUNNING" else "started"
    return KeyUsed(
        f"idempotency_key: expected one that is not used, found {shown(request.idempotency_key)} "
        f"of workflow {workflow_id}, which is {state}"
    )
