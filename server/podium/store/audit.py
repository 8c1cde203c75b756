"""The part of the store port that keeps who did what: rows in the order they were written, bounded.

The rules of store/port.py hold. A row is bytes to the store, but for its time and the names by
which it is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

AUDIT_ROWS_LIMIT: Final = 100_000
"""The oldest rows go; about 30 MB."""


class AuditEntry(msgspec.Struct, frozen=True):
    """One row to be kept. `id` makes a repeated write the same row."""

    id: str
    at_ms: int
    names: tuple[str, ...]
    value: bytes


class AuditRow(msgspec.Struct, frozen=True):
    """One row that is kept; `sequence` rises with each."""

    sequence: int
    value: bytes


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of `from_ms` <= time < `until_ms`, that name `name` (if given), below `before`."""

    from_ms: int
    until_ms: int
    name: str = ""
    before: int
    limit: int


class AuditTrail(Protocol):
    """Verbs of the trail."""

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Durable when it returns. Drops the oldest beyond AUDIT_ROWS_LIMIT."""
        ...

    async def audit(self, query: AuditQuery) -> list[AuditRow]:
        """The newest first."""
        ...
