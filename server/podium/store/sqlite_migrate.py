"""SQL functions for migrations that must look into records: task records of older files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.engine.changes import outstanding_of
from podium.store import codec

if TYPE_CHECKING:
    import sqlite3

    from podium.model.execution import TaskRecord

ENCODE: Final = msgspec.msgpack.Encoder().encode


def add_functions(connection: sqlite3.Connection) -> None:
    """Make the functions known that migrations call."""
    connection.create_function("task_id_of", 1, task_id_of, deterministic=True)
    connection.create_function("outstanding_of", 1, stored_outstanding, deterministic=True)


def task_id_of(stored: bytes) -> str | None:
    """Id in a stored task record; None where it cannot be read."""
    task = _task(stored)
    return None if task is None else task.id


def stored_outstanding(stored: bytes) -> bytes | None:
    """The mark of a task that is outstanding; None of another one, and of what cannot be read."""
    outstanding = outstanding_of(_task(stored))
    return None if outstanding is None else ENCODE(outstanding)


def _task(stored: bytes) -> TaskRecord | None:
    """What cannot be read harms its own execution, when it is decided on (architecture §1.9)."""
    try:
        return codec.TASKS.decode(stored[len(codec.VERSION) :])
    except msgspec.DecodeError:
        return None
