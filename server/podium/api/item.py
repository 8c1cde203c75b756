"""Items of a call that stand for themselves: what one of them raised, as a code and a text."""

from __future__ import annotations

import logging
from typing import Final

import grpc

from podium.api.errors import status_of

LOG = logging.getLogger("podium.api")
FAULT: Final = "expected an execution, found a fault of the server"


def item_status(place: str, error: Exception) -> tuple[int, str]:
    """Number of the status code, and the text for the client; a fault goes to the log."""
    status = status_of(error)
    if status is None:
        LOG.error("%s failed", place, extra={"event": "item_failed"}, exc_info=error)
        status = grpc.StatusCode.INTERNAL, FAULT
    code, message = status
    number: int = code.value[0]
    return number, message
