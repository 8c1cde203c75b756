"""The one table of typed failures → gRPC status. What is not in it is a fault of the server.

A client reads texts that were written for clients, or fixed ones; never the text of an exception
of another kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError
from grpc import StatusCode

from podium.api.value import ValueUnsound
from podium.app.failure import (
    Busy,
    KeyUsed,
    NotFound,
    Overtaken,
    Refusal,
    RequestUnsound,
    StorageMissing,
    TooMuch,
)
from podium.engine.command import Rejected
from podium.registry.failure import (
    ChildUnknown,
    DefinitionExists,
    DefinitionUnknown,
    DefinitionUnsound,
    RegistryFailure,
)
from podium.runtime.letter import Parked, Tombstoned, UnknownExecution
from podium.store.port import StoreError, StoreFull

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT_BYTES_MAX: Final = 4_000
"""Percent-encoded; clients take 8 KiB of trailing metadata by default."""
ENCODED_BYTES: Final = 3
STORE_RETRY_MS: Final = 1_000


class Refused(Exception):
    """An edge refuses a call: too many, not allowed, or an answer over its limit. `retry_ms`: when
    it may be tried again, None = the same call would be refused again.
    """

    def __init__(self, code: StatusCode, message: str, retry_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_ms = retry_ms


SPOKEN: Final[Mapping[type[Exception], StatusCode]] = {
    ValueUnsound: StatusCode.INVALID_ARGUMENT,
    RequestUnsound: StatusCode.INVALID_ARGUMENT,
    NotFound: StatusCode.NOT_FOUND,
    KeyUsed: StatusCode.ALREADY_EXISTS,
    StorageMissing: StatusCode.FAILED_PRECONDITION,
    Busy: StatusCode.UNAVAILABLE,
    TooMuch: StatusCode.RESOURCE_EXHAUSTED,
    Overtaken: StatusCode.FAILED_PRECONDITION,
    DefinitionUnsound: StatusCode.INVALID_ARGUMENT,
    DefinitionUnknown: StatusCode.NOT_FOUND,
    DefinitionExists: StatusCode.ALREADY_EXISTS,
    ChildUnknown: StatusCode.FAILED_PRECONDITION,
}
"""Failures with a `message` for the client."""
PARKED: Final = (
    "expected a workflow that can be decided, found it parked after five faults of the server;"
    " podium.v1.AdminService/ListParked tells more; nothing was changed"
)
FIXED: Final[Mapping[type[Exception], tuple[StatusCode, str]]] = {
    StoreFull: (
        StatusCode.RESOURCE_EXHAUSTED,
        "expected space in the store, found it full or read-only; nothing was stored",
    ),
    StoreError: (
        StatusCode.UNAVAILABLE,
        "expected an answer of the store, found none; whether the change was made is unknown",
    ),
    Tombstoned: (StatusCode.NOT_FOUND, "expected the id of a workflow, found that it was removed"),
    Parked: (StatusCode.FAILED_PRECONDITION, PARKED),
    UnknownExecution: (StatusCode.NOT_FOUND, "expected the id of a workflow, found none with it"),
    DecodeError: (
        StatusCode.INVALID_ARGUMENT,
        "expected a message of the method's request type, found bytes that are none",
    ),
}
REJECTIONS: Final[Mapping[str, StatusCode]] = {
    "NOT_FOUND": StatusCode.NOT_FOUND,
    "INVALID_ARGUMENT": StatusCode.INVALID_ARGUMENT,
    "FAILED_PRECONDITION": StatusCode.FAILED_PRECONDITION,
    "ALREADY_EXISTS": StatusCode.ALREADY_EXISTS,
    "RESOURCE_EXHAUSTED": StatusCode.RESOURCE_EXHAUSTED,
}


def status_of(error: Exception) -> tuple[StatusCode, str] | None:
    """Code and text for the client; None = a fault of the server, of which nothing is told."""
    if isinstance(error, Refused):
        return error.code, _bounded(error.message)
    if isinstance(error, Rejected):
        return REJECTIONS[error.code], _bounded(error.message)
    if isinstance(error, (Refusal, RegistryFailure, ValueUnsound)):
        code = SPOKEN.get(type(error))
        return None if code is None else (code, _bounded(error.message))
    for kind in type(error).__mro__:
        if kind in FIXED:
            return FIXED[kind]
    return None


def retry_ms_of(error: Exception) -> int | None:
    """When the same call may succeed; None = nothing is known about that."""
    if isinstance(error, Refused):
        return error.retry_ms
    return STORE_RETRY_MS if isinstance(error, StoreError) else None


def fault_text(request_id: str) -> str:
    """All that a client is told of a fault; the log has the rest under the same id."""
    return f"internal error, request id {request_id}"


def _bounded(text: str) -> str:
    """As much of the text as fits the trailing metadata of a default client."""
    room = TEXT_BYTES_MAX
    for index, char in enumerate(text):
        room -= (
            1
            if " " <= char <= "~" and char != "%"
            else ENCODED_BYTES * len(char.encode("utf-8", "replace"))
        )
        if room < 0:
            return f"{text[:index]}..."
    return text
