"""The details of a failed call as a google.rpc.Status in its trailing metadata.

Only what helps a client is told: when to come again, and the id under which the log has more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

if TYPE_CHECKING:
    import grpc

STATUS_KEY: Final = "grpc-status-details-bin"
PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
"""What gRPC's own retries wait for, where a client has them switched on."""

Trailing = tuple[tuple[str, str | bytes], ...]


def trailing_metadata(
    code: grpc.StatusCode, text: str, *, retry_ms: int | None = None, request_id: str = ""
) -> Trailing:
    """Empty where there is nothing to add to code and text."""
    details: list[AnyMessage] = []
    if retry_ms is not None:
        delay = Duration(seconds=retry_ms // 1000, nanos=retry_ms % 1000 * 1_000_000)
        details.append(_packed(RetryInfo(retry_delay=delay)))
    if request_id:
        details.append(_packed(RequestInfo(request_id=request_id)))
    if not details:
        return ()
    number: int = code.value[0]
    status = Status(code=number, message=text, details=details)
    trailing: Trailing = ((STATUS_KEY, status.SerializeToString()),)
    return trailing if retry_ms is None else (*trailing, (PUSHBACK_KEY, str(retry_ms)))


def _packed(message: RequestInfo | RetryInfo) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
