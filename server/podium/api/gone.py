"""Quiet about clients that are gone while their call ends: grpc logs an error with a stack trace.

A handler that ends, normally or by an abort, is followed by the write of its status, inside grpc.
Where the connection broke a moment before, that write fails, and grpc says so at ERROR, although
nobody waits for the status and nothing is lost. Everything else that grpc logs passes.
"""

from __future__ import annotations

import logging
from typing import Final

import grpc.aio

GRPC_LOGGER: Final = "grpc._cython.cygrpc"


def keep_quiet_about_gone_clients() -> None:
    """Once per process; again does nothing."""
    logging.getLogger(GRPC_LOGGER).addFilter(_passes)


def _passes(record: logging.LogRecord) -> bool:
    """False for what grpc's core refused to write, which is always to a call that is over."""
    return record.exc_info is None or not isinstance(record.exc_info[1], grpc.aio.InternalError)
