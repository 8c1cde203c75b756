"""Puts calls that may change something on the audit trail; stands right around the handlers.

Audited is every method of Podium's and Conductor's services that neither reads (by its name) nor is
the way of the work itself: polls, results, logs, streams, starts. So a method that is new is
audited until somebody says that it is not. Rows hold names and ids, never what a request carries.
A call that the guard did not let in leaves a row as well, of whatever method.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from podium.api.errors import status_of
from podium.model.audit import AuditRecord

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from podium.api.interceptor import Answers, Context, Generates, Handler
    from podium.runtime.audit import AuditLog
    from podium.runtime.clock import Clock

OURS: Final = ("/podium.v1.", "/conductor.grpc.")
READS: Final = (
    "Check", "Count", "Explain", "Export", "Find", "Get", "List", "Search", "Validate", "Wait",
    "Watch",
)  # fmt: skip
"""How methods begin that change nothing."""
WORK: Final = frozenset(
    {
        "/conductor.grpc.tasks.TaskService/Poll",
        "/conductor.grpc.tasks.TaskService/BatchPoll",
        "/conductor.grpc.tasks.TaskService/UpdateTask",
        "/conductor.grpc.tasks.TaskService/AddLog",
        "/podium.v1.WorkerService/Connect",
        "/podium.v1.WorkflowService/StreamStarts",
    }
)
STARTS: Final = "StartWorkflow"
"""How starts begin: each leaves an execution that says when and by whom."""
NAMES_MAX: Final = 20
NAME_CHARS_MAX: Final = 255
DEPTH: Final = 2
REFUSED_EVERY_MS: Final = 60_000
REFUSED_MAX: Final = 1_000
NOT_A_NAME: Final = frozenset({"correlation_id", "page_token", "idempotency_key"})


def is_audited(method: str) -> bool:
    """Whether calls of this method ("/service/method") go on the trail."""
    name = method.rpartition("/")[2]
    if not method.startswith(OURS) or method in WORK:
        return False
    return not name.startswith((*READS, STARTS))


class Auditor:
    """`principal` tells who makes the current call. A Layer (sturdy_server.py)."""

    def __init__(self, log: AuditLog, clock: Clock, principal: Callable[[], str]) -> None:
        self._log = log
        self._clock = clock
        self._principal = principal
        self._refused: dict[tuple[str, str, str, str], int] = {}

    def wrap(self, method: str, handler: Handler) -> Handler:
        """The same method; what it did goes on the trail where that is audited."""
        if handler.request_streaming or not is_audited(method):
            return handler
        # grpc's types know neither coroutines nor what a handler's own types are.
        if handler.unary_unary is not None:
            answers: Answers = handler.unary_unary  # pyright: ignore[reportAssignmentType]
            behaviour, make = self._one(method, answers), grpc.unary_unary_rpc_method_handler
        elif inspect.isasyncgenfunction(handler.unary_stream):
            generates: Generates = handler.unary_stream
            behaviour, make = self._many(method, generates), grpc.unary_stream_rpc_method_handler
        else:
            writes: Answers = handler.unary_stream  # pyright: ignore[reportAssignmentType]
            behaviour, make = self._one(method, writes), grpc.unary_stream_rpc_method_handler
        return make(behaviour, handler.request_deserializer, handler.response_serializer)

    def refused(self, method: str, context: Context, code: str) -> None:
        """A call that was not let in, whatever it would do; a flood of them is one row a minute."""
        peer, now_ms = (context.peer() or "").rpartition(":")[0], self._clock.now_ms()
        told = (peer, self._principal(), method, code)
        if now_ms - self._refused.get(told, 0) < REFUSED_EVERY_MS:
            return
        if len(self._refused) >= REFUSED_MAX:
            self._refused.clear()
        self._refused[told] = now_ms
        self._log.put(self._record(method, None, context.peer() or "", code))

    def _one(self, method: str, behaviour: Answers) -> Answers:
        async def call(request: object, context: Context) -> object:
            peer = context.peer() or ""
            try:
                answer = await behaviour(request, context)
            except BaseException as error:
                await self._failed(method, request, peer, error)
                raise
            await self._log.keep(self._record(method, request, peer, "OK"))
            return answer

        return call

    def _many(self, method: str, behaviour: Generates) -> Generates:
        async def call(request: object, context: Context) -> AsyncGenerator[object]:
            # Asked now: a generator that is broken off is closed when its call is over, and then
            # the question ends the process with a segmentation fault (grpcio 1.85).
            peer = context.peer() or ""
            try:
                async for answer in behaviour(request, context):
                    yield answer
            except BaseException as error:
                await self._failed(method, request, peer, error)
                raise
            await self._log.keep(self._record(method, request, peer, "OK"))

        return call

    async def _failed(self, method: str, request: object, peer: str, error: BaseException) -> None:
        """A caller that went away is not waited for."""
        if isinstance(error, Exception):
            status = status_of(error)
            code = grpc.StatusCode.INTERNAL if status is None else status[0]
            await self._log.keep(self._record(method, request, peer, code.name))
        elif isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self._log.put(self._record(method, request, peer, "CANCELLED"))

    def _record(self, method: str, request: object, peer: str, code: str) -> AuditRecord:
        names = list(names_in(request)) if isinstance(request, Message) else []
        return AuditRecord(
            at_ms=self._clock.now_ms(),
            method=method.removeprefix("/"),
            principal=self._principal(),
            peer=peer,
            names=tuple(names[:NAMES_MAX]),
            more=max(len(names) - NAMES_MAX, 0),
            code=code,
            server=self._log.incarnation,
        )


def names_in(request: Message) -> dict[str, None]:
    """Ids and names that a request gives, in the order of its fields, each once."""
    return dict.fromkeys(
        text[:NAME_CHARS_MAX] for text in texts_of(request, DEPTH) if text.isprintable()
    )


def texts_of(message: Message, depth: int) -> Iterator[str]:
    """Values of fields called name or id, also of messages within; not of maps."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            if depth and not field.message_type.GetOptions().map_entry:
                inner = value if field.is_repeated else (value,)
                for each in inner:
                    yield from texts_of(each, depth - 1)
        elif field.type == FieldDescriptor.TYPE_STRING and is_name(field.name):
            yield from value if field.is_repeated else (value,)


def is_name(field: str) -> bool:
    """Whether a field holds an id or a name."""
    if field in NOT_A_NAME:
        return False
    return field in ("name", "task_type", "workflow_type") or field.endswith(
        ("_id", "_ids", "_name", "_names")
    )
