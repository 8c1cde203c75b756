"""The audit trail in memory (store/audit.py); what the memory store keeps of it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from podium.store.audit import AUDIT_ROWS_LIMIT, AuditRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.store.audit import AuditEntry, AuditQuery


class AuditRows:
    """Rows by sequence, the oldest first."""

    def __init__(self, rows_limit: int = AUDIT_ROWS_LIMIT) -> None:
        self._rows_limit = rows_limit
        self._rows: dict[int, AuditEntry] = {}
        self._ids: dict[str, None] = {}
        self._sequence = 0

    def add(self, entries: Sequence[AuditEntry]) -> None:
        """One whose id is known is kept already."""
        for entry in entries:
            if entry.id not in self._ids:
                self._sequence += 1
                self._rows[self._sequence] = entry
                self._ids[entry.id] = None
        while len(self._rows) > self._rows_limit:
            oldest = self._rows.pop(next(iter(self._rows)))
            del self._ids[oldest.id]

    def find(self, query: AuditQuery) -> list[AuditRow]:
        """The newest first."""
        found = (
            AuditRow(sequence, entry.value)
            for sequence, entry in reversed(self._rows.items())
            if sequence < query.before
            and query.from_ms <= entry.at_ms < query.until_ms
            and (not query.name or query.name in entry.names)
        )
        return list(islice(found, query.limit))
