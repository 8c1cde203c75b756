"""What the sqlite store tells those who look (store/inspection.py), and its audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.queue import Deadline, DeadlineKind
from podium.store.audit import AUDIT_ROWS_LIMIT, AuditRow
from podium.store.inspection import Page
from podium.store.port import partition_of
from podium.store.sqlite_registry import SqliteRegistry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.store.audit import AuditEntry, AuditQuery

FIND: Final = "SELECT n, version FROM execution WHERE partition = ? AND id = ?"
DUE: Final = "SELECT task, kind, at_ms FROM due WHERE n = ? ORDER BY at_ms, task, kind LIMIT ?"
DUE_OWNERS: Final = (
    "SELECT DISTINCT e.id FROM due d JOIN execution e ON e.n = d.n WHERE e.partition = ?"
)
PAGE: Final = "SELECT name, value FROM field WHERE n = ? AND name > ? ORDER BY name LIMIT ?"
ADD_AUDIT: Final = "INSERT OR IGNORE INTO audit (id, at_ms, value) VALUES (?, ?, ?)"
ADD_NAME: Final = "INSERT OR IGNORE INTO audit_name SELECT ?, sequence FROM audit WHERE id = ?"
TRIM_AUDIT: Final = "DELETE FROM audit WHERE sequence <= ?"
TRIM_NAMES: Final = "DELETE FROM audit_name WHERE sequence <= ?"
AUDIT: Final = (
    "SELECT sequence, value FROM audit WHERE sequence < ? AND at_ms >= ? AND at_ms < ?"
    " ORDER BY sequence DESC LIMIT ?"
)
AUDIT_OF: Final = (
    "SELECT a.sequence, a.value FROM audit_name m JOIN audit a ON a.sequence = m.sequence"
    " WHERE m.name = ? AND m.sequence < ? AND a.at_ms >= ? AND a.at_ms < ?"
    " ORDER BY m.sequence DESC LIMIT ?"
)


class SqliteBeside(SqliteRegistry):
    """The verbs of both."""

    audit_rows_limit = AUDIT_ROWS_LIMIT

    def beside(self, workflow_id: str, limit: int) -> tuple[list[Deadline], int]:
        rows: list[tuple[int, int]] = self.file.read(FIND, partition_of(workflow_id), workflow_id)
        if not rows:
            return [], 0
        n = rows[0][0]
        due: list[tuple[str, DeadlineKind, int]] = self.file.read(DUE, n, limit or -1)
        waiting: int = self.file.read("SELECT COUNT(*) FROM outbox WHERE n = ?", n)[0][0]
        return [Deadline(*row) for row in due], waiting

    def due_owners(self, partition: int) -> set[str]:
        rows: list[tuple[str]] = self.file.read(DUE_OWNERS, partition)
        return {owner for (owner,) in rows}

    async def page(self, workflow_id: str, after: str, limit: int) -> Page | None:
        self.check_open()
        rows: list[tuple[int, int]] = self.file.read(FIND, partition_of(workflow_id), workflow_id)
        if not rows:
            return None
        n, version = rows[0]
        found: list[tuple[str, bytes]] = self.file.read(PAGE, n, after, limit + 1)
        more = found[limit - 1][0] if len(found) > limit else ""
        return Page(version, dict(found[:limit]), more)

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        await self.prepared()
        with self.file.write() as connection:
            connection.executemany(
                ADD_AUDIT, [(each.id, each.at_ms, each.value) for each in entries]
            )
            names = [(name, each.id) for each in entries for name in dict.fromkeys(each.names)]
            connection.executemany(ADD_NAME, names)
            newest: int = connection.execute("SELECT MAX(sequence) FROM audit").fetchone()[0]
            oldest = newest - self.audit_rows_limit
            if oldest > 0:
                connection.execute(TRIM_AUDIT, (oldest,))
                connection.execute(TRIM_NAMES, (oldest,))
        await self.file.durable()

    async def audit(self, query: AuditQuery) -> list[AuditRow]:
        self.check_open()
        window = (query.before, query.from_ms, query.until_ms, query.limit)
        rows: list[tuple[int, bytes]] = (
            self.file.read(AUDIT_OF, query.name, *window)
            if query.name
            else self.file.read(AUDIT, *window)
        )
        return [AuditRow(*row) for row in rows]
