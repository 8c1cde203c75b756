"""The floor's store: rows in SQLite, committed in groups and synced before anyone is told.

Statements run in the loop with synchronous=NORMAL, the WAL file is synced in a thread, one group is
in flight and the next takes all that waits. When work waits at the end of a group, GROUP_GAP_S must
have passed since its start before the next one. Knows nothing of workflows or streams.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

GROUP_GAP_S = 0.003

Row = tuple[str, bytes]


class FloorStore:
    """Two tables of (id, record): workflows and tasks. `run` owns the commits."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(
            "PRAGMA locking_mode=EXCLUSIVE;"
            "PRAGMA journal_mode=WAL;"
            "PRAGMA synchronous=NORMAL;"
            "CREATE TABLE workflow (id TEXT PRIMARY KEY, record BLOB) WITHOUT ROWID;"
            "CREATE TABLE task (id TEXT PRIMARY KEY, record BLOB) WITHOUT ROWID;"
        )
        self._wal = os.open(f"{path}-wal", os.O_RDONLY)
        self._thread = ThreadPoolExecutor(1, "wal-sync")
        self._wake = asyncio.Event()
        self._workflows: list[Row] = []
        self._tasks: list[Row] = []
        self._receivers: list[Callable[[], None]] = []

    def put(self, workflow: Row, tasks: list[Row], receiver: Callable[[], None]) -> None:
        """Write the rows; the receiver is called in the loop once they are durable."""
        self._workflows.append(workflow)
        self._tasks.extend(tasks)
        self._receivers.append(receiver)
        self._wake.set()

    async def run(self) -> None:
        """Commit groups until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._receivers:
                began = loop.time()
                receivers = self._write()
                await loop.run_in_executor(self._thread, os.fdatasync, self._wal)
                for receiver in receivers:
                    receiver()
                if self._receivers:
                    await asyncio.sleep(max(0.0, began + GROUP_GAP_S - loop.time()))

    def close(self) -> None:
        """Release the file."""
        self._thread.shutdown()
        os.close(self._wal)
        self._database.close()

    def _write(self) -> list[Callable[[], None]]:
        workflows, self._workflows = self._workflows, []
        tasks, self._tasks = self._tasks, []
        receivers, self._receivers = self._receivers, []
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT OR REPLACE INTO workflow VALUES (?, ?)", workflows)
        self._database.executemany("INSERT OR REPLACE INTO task VALUES (?, ?)", tasks)
        self._database.execute("COMMIT")
        return receivers
