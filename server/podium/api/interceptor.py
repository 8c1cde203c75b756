"""The outermost layer of every call: admission, access, and no fault ever reaches a client.

Requests are read and answers written inside the guard, so an exception of a handler, a deserializer
or a serializer becomes a status of errors.py, or INTERNAL with a fixed text and a request id. Unary
calls in flight are counted apart from waiting ones; results keep a reserve, so that finished work
gets in while starts are refused; starts are the first that an overloaded server refuses. Parked
polls are counted by app/tasks.py, which answers them empty.
"""

from __future__ import annotations

import inspect
import logging
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc
import grpc.aio
import msgspec

from podium.api.errors import Refused, fault_text, retry_ms_of, status_of
from podium.api.load import RETRY_MS
from podium.api.method_table import MAKERS
from podium.api.status import trailing_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from podium.api.access import Access
    from podium.api.call_counts import CallCounts
    from podium.api.load import Load
    from podium.app.caller import Principal
    from podium.config import Settings
    from podium.runtime.measure import Tally

    Context: TypeAlias = grpc.aio.ServicerContext[object, object]
    Read: TypeAlias = Callable[[bytes], object]
    Write: TypeAlias = Callable[[object], bytes]
    Answers: TypeAlias = Callable[[object, Context], Awaitable[object]]
    Generates: TypeAlias = Callable[[object, Context], AsyncGenerator[object]]
    Handler: TypeAlias = grpc.RpcMethodHandler[object, object]

LOG = logging.getLogger("podium.api")
RESULT_METHODS: Final = frozenset({"/conductor.grpc.tasks.TaskService/UpdateTask"})
START_METHODS: Final = frozenset(
    {
        "/conductor.grpc.workflows.WorkflowService/StartWorkflow",
        "/podium.v1.WorkflowService/StartWorkflows",
        "/podium.v1.WorkflowService/StreamStarts",
        "/podium.v1.WorkflowService/Execute",
    }
)
CONNECT: Final = "/podium.v1.WorkerService/Connect"
"""Its service sends a worker away in time, when what it showed expires."""
UNCOUNTED_METHODS: Final = frozenset(
    {
        "/conductor.grpc.tasks.TaskService/Poll",
        "/conductor.grpc.tasks.TaskService/BatchPoll",
        CONNECT,
        "/grpc.health.v1.Health/Check",
    }
)
"""Counted by those who serve them; a health check is answered whatever happens."""
WAIT_METHODS: Final = frozenset(
    {
        "/podium.v1.WorkflowService/Execute",
        "/podium.v1.WorkflowService/TestWorkflow",
        "/podium.v1.WorkflowService/Wait",
        "/podium.v1.WorkflowService/Watch",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    }
)


class Admission(msgspec.Struct, frozen=True):
    """How many calls may be in flight. `calls_reserve` of the unary ones are for results.

    `streams_per_connection` bounds the open calls of one HTTP/2 connection, a worker's stream
    included; `mailbox_bytes_max` what may wait to be stored before starts are refused.
    """

    calls_max: int = 1_000
    calls_reserve: int = 100
    waits_max: int = 5_000
    message_bytes_max: int = 16 * 1024 * 1024
    streams_per_connection: int = 100
    mailbox_bytes_max: int = 256 * 1024 * 1024


def admission_of(settings: Settings) -> Admission:
    """As the operator has set it."""
    return Admission(
        calls_max=settings.limits.calls_max,
        calls_reserve=settings.limits.calls_max // 10,
        streams_per_connection=settings.grpc.streams_per_connection,
        mailbox_bytes_max=settings.limits.mailbox_bytes,
    )


class Failed:
    """In place of a request: reading it raised."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Gate:
    """Counts what is inside, and whom it does not let in."""

    def __init__(self, refused: Tally) -> None:
        self.count = 0
        self._refused = refused

    @contextmanager
    def through(self, count_max: int, what: str) -> Generator[None]:
        """Raises Refused where `count_max` are inside already."""
        if self.count >= count_max:
            self._refused.add(what)
            raise Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"expected at most {count_max} {what} in flight, found as many",
                RETRY_MS,
            )
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


class Guard:
    """One per server; `name` begins its request ids. A Layer (sturdy_server.py)."""

    def __init__(
        self, name: str, admission: Admission, counts: CallCounts, *, access: Access, load: Load
    ) -> None:
        self._name = name
        self._admission = admission
        self._access = access
        self._load = load
        self._count = 0
        self.counts = counts
        self.calls = Gate(counts.refused)
        self.waits = Gate(counts.refused)

    def wrap(self, method: str, handler: Handler) -> Handler:
        """The same method, read and written inside the guard."""
        behaviour: object = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )
        # grpc's types know neither coroutines nor what a handler's own types are: ignored below.
        read: Read | None = handler.request_deserializer
        write: Write | None
        write = handler.response_serializer
        if read is not None and not handler.request_streaming:
            read = _reading(read)
        wrapped: Answers | Generates
        if inspect.isasyncgenfunction(behaviour):
            wrapped, write = self._generated(method, behaviour, write), None
        else:
            answers: Answers = behaviour  # pyright: ignore[reportAssignmentType]
            here = None if handler.response_streaming else write
            wrapped = self._one_answer(method, answers, here)
            write = write if handler.response_streaming else None
        make = MAKERS[handler.request_streaming, handler.response_streaming]
        return make(wrapped, read, write)

    def _one_answer(self, method: str, behaviour: Answers, write: Write | None) -> Answers:
        """A unary answer, written here; or a stream that the handler writes to its context."""

        async def call(request: object, context: Context) -> object:
            async with self._guarding(method, context) as principal:
                ends = None if method == CONNECT else principal
                async with self._access.valid(ends):
                    answer = await behaviour(_checked(request), context)
                data = answer if write is None else write(answer)
                self._check_size(data)
                return data

        return call

    def _generated(self, method: str, behaviour: Generates, write: Write | None) -> Generates:
        async def call(request: object, context: Context) -> AsyncGenerator[object]:
            async with self._guarding(method, context) as principal:
                answers = behaviour(_checked(request), context)
                async with aclosing(self._access.until_expiry(principal, answers)) as valid:
                    async for answer in valid:
                        data = answer if write is None else write(answer)
                        self._check_size(data)
                        yield data

        return call

    @asynccontextmanager
    async def _guarding(self, method: str, context: Context) -> AsyncGenerator[Principal]:
        with self.counts.measured(method, context):
            try:
                with self._admitted(method):
                    yield await self._access.admit(method, context)
            except (grpc.aio.AbortError, grpc.aio.InternalError):
                raise  # the second: its status could not be written, the call is over (gone.py)
            except Exception as error:  # noqa: BLE001 - the outermost place: nothing may pass
                await self._abort(method, error, context)

    @contextmanager
    def _admitted(self, method: str) -> Generator[None]:
        limits = self._admission
        if method in UNCOUNTED_METHODS:
            yield
        elif method in WAIT_METHODS:
            with self.waits.through(limits.waits_max, "waiting calls"):
                yield
        else:
            if method in START_METHODS:
                self._load.admit_start()
            reserve = 0 if method in RESULT_METHODS else limits.calls_reserve
            with self.calls.through(limits.calls_max - reserve, "calls"):
                yield

    def _check_size(self, data: object) -> None:
        limit = self._admission.message_bytes_max
        if isinstance(data, bytes) and len(data) > limit:
            raise Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"expected an answer of at most {limit} bytes, found {len(data)}",
            )

    async def _abort(self, method: str, error: Exception, context: Context) -> None:
        status = status_of(error)
        request_id = ""
        if status is None:
            self._count += 1
            request_id = f"{self._name}-{self._count}"
            noted = {"event": "call_failed", "request_id": request_id, "method": method}
            LOG.error("request %s failed", request_id, extra=noted, exc_info=error)
            status = grpc.StatusCode.INTERNAL, fault_text(request_id)
        trailing = trailing_metadata(*status, retry_ms=retry_ms_of(error), request_id=request_id)
        await context.abort(*status, trailing)


def _reading(read: Read) -> Read:
    """A deserializer that gives back what it would raise."""

    def read_safely(data: bytes) -> object:
        try:
            return read(data)
        except Exception as error:  # noqa: BLE001 - raised again inside the guard
            return Failed(error)

    return read_safely


def _checked(request: object) -> object:
    """The request; raises what reading it raised."""
    if isinstance(request, Failed):
        raise request.error
    return request
