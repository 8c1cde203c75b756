"""The audit trail: how much is kept, and that it outlives the process."""

from pathlib import Path

from podium.store.audit import AuditEntry, AuditQuery
from podium.store.audit_rows import AuditRows
from tests.store.subjects import Clock
from tests.store.test_sqlite_store import opened

KEPT = 5
ALL = AuditQuery(from_ms=0, until_ms=10**15, before=10**15, limit=100)


def entry(number: int) -> AuditEntry:
    return AuditEntry(f"id-{number}", number, (f"name-{number}",), b"%d" % number)


async def test_sqlite_drops_the_oldest_rows_with_their_names(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as store:
        store.audit_rows_limit = KEPT
        for number in range(8):
            await store.add_audit([entry(number)])
        rows = await store.audit(ALL)
        assert [each.value for each in rows] == [b"7", b"6", b"5", b"4", b"3"]
        assert store.file.read("SELECT COUNT(*) FROM audit_name") == [(KEPT,)]
    async with opened(tmp_path, Clock()) as store:
        assert await store.audit(ALL) == rows
        await store.add_audit([entry(8)])
        assert (await store.audit(ALL))[0].sequence > rows[0].sequence


def test_memory_drops_the_oldest_rows() -> None:
    trail = AuditRows(rows_limit=KEPT)
    trail.add([entry(number) for number in range(8)])
    assert [each.value for each in trail.find(ALL)] == [b"7", b"6", b"5", b"4", b"3"]
    trail.add([entry(0)])
    assert [each.value for each in trail.find(ALL)] == [b"0", b"7", b"6", b"5", b"4"]
