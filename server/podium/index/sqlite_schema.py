"""The tables of the sqlite index, and the statements that write them.

Each statement takes a whole batch as one JSON array, so that it is one step of SQLite, which runs
without the interpreter's lock: a thread that ran a step per row would have to win the lock back as
often from a busy loop. The texts stand in the full-text tables alone, by the number of their row.
Another schema is another version: the index is then made anew.
"""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x506F6478
"""Podx: a file that is something else is never thrown away."""

WORKFLOW_COLUMNS: Final = (
    "id",
    "commit_no",
    "name",
    "version",
    "status",
    "correlation_id",
    "parent_id",
    "start_ms",
    "update_ms",
    "end_ms",
    "priority",
    "created_by",
    "event",
    "idempotency_key",
    "reason",
    "failed_refs",
    "failed_names",
    "task_to_domain",
    "archived",
)
TASK_COLUMNS: Final = (
    "id",
    "w",
    "commit_no",
    "key",
    "task_type",
    "def_name",
    "ref",
    "status",
    "scheduled_ms",
    "start_ms",
    "update_ms",
    "end_ms",
    "reason",
    "domain",
    "former",
)

SCHEMA: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE workflow (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        commit_no INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
        status TEXT NOT NULL, correlation_id TEXT NOT NULL, parent_id TEXT NOT NULL,
        start_ms INTEGER NOT NULL, update_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
        priority INTEGER NOT NULL, created_by TEXT NOT NULL, event TEXT NOT NULL,
        idempotency_key TEXT NOT NULL, reason TEXT NOT NULL, failed_refs TEXT NOT NULL,
        failed_names TEXT NOT NULL, task_to_domain TEXT NOT NULL, archived INTEGER NOT NULL)""",
    "CREATE INDEX workflow_start ON workflow (start_ms, id)",
    "CREATE INDEX workflow_name ON workflow (name, start_ms, id)",
    "CREATE INDEX workflow_status ON workflow (status, start_ms, id)",
    "CREATE INDEX workflow_correlation ON workflow (correlation_id) WHERE correlation_id <> ''",
    "CREATE INDEX workflow_parent ON workflow (parent_id) WHERE parent_id <> ''",
    """CREATE TABLE task (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, w INTEGER NOT NULL,
        commit_no INTEGER NOT NULL, key TEXT NOT NULL, task_type TEXT NOT NULL,
        def_name TEXT NOT NULL, ref TEXT NOT NULL, status TEXT NOT NULL,
        scheduled_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL, update_ms INTEGER NOT NULL,
        end_ms INTEGER NOT NULL, reason TEXT NOT NULL, domain TEXT NOT NULL,
        former INTEGER NOT NULL)""",
    "CREATE INDEX task_w ON task (w, key)",
    "CREATE INDEX task_start ON task (start_ms, n)",
    "CREATE INDEX task_def_name ON task (def_name, start_ms, n)",
    "CREATE VIRTUAL TABLE workflow_text USING fts5 (head, reason, input, output, columnsize=0)",
    "CREATE VIRTUAL TABLE task_text USING fts5 (head, reason, input, output, columnsize=0)",
)

PUT_ORIGIN: Final = "INSERT OR REPLACE INTO meta VALUES ('origin', ?)"
ORIGIN: Final = "SELECT value FROM meta WHERE name = 'origin'"

# [id, …]
OF_THESE: Final = "SELECT n FROM workflow WHERE id IN (SELECT value FROM json_each(?))"
DROP_TASKS: Final = (
    f"DELETE FROM task_text WHERE rowid IN (SELECT n FROM task WHERE w IN ({OF_THESE}))",
    f"DELETE FROM task WHERE w IN ({OF_THESE})",
)
DROP_WORKFLOWS: Final = (
    f"DELETE FROM workflow_text WHERE rowid IN ({OF_THESE})",
    "DELETE FROM workflow WHERE id IN (SELECT value FROM json_each(?))",
)


def _at(place: int) -> str:
    """One value of a row that came as a JSON array."""
    return f"json_extract(j.value, '$[{place}]')"


def _values(first: int, count: int) -> str:
    return ", ".join(_at(place) for place in range(first, first + count))


# [[workflow id, commit, key], …] and [[task id, commit], …]
REMOVED_KEYS: Final = (
    f"SELECT t.n FROM json_each(?) j JOIN workflow w ON w.id = {_at(0)}"
    f" JOIN task t ON t.w = w.n AND t.key = {_at(2)}"
    f" WHERE t.former = 0 AND t.commit_no < {_at(1)}"
)
REMOVED_IDS: Final = (
    f"SELECT t.n FROM json_each(?) j JOIN task t ON t.id = {_at(0)} WHERE t.commit_no < {_at(1)}"
)
DROP_KEYS: Final = (
    f"DELETE FROM task_text WHERE rowid IN ({REMOVED_KEYS})",
    f"DELETE FROM task WHERE n IN ({REMOVED_KEYS})",
)
DROP_IDS: Final = (
    f"DELETE FROM task_text WHERE rowid IN ({REMOVED_IDS})",
    f"DELETE FROM task WHERE n IN ({REMOVED_IDS})",
)


def _upsert(table: str, columns: tuple[str, ...], source: str) -> str:
    changes = ", ".join(f"{each} = excluded.{each}" for each in columns[1:])
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) {source} ON CONFLICT (id) DO UPDATE"
        f" SET {changes} WHERE excluded.commit_no >= {table}.commit_no"
    )


# One array per row, in the order of the columns; a task names its workflow by id.
PUT_WORKFLOWS: Final = _upsert(
    "workflow",
    WORKFLOW_COLUMNS,
    f"SELECT {_values(0, len(WORKFLOW_COLUMNS))} FROM json_each(?) j WHERE 1",
)
PUT_TASKS: Final = _upsert(
    "task",
    TASK_COLUMNS,
    f"SELECT {_at(0)}, w.n, {_values(2, len(TASK_COLUMNS) - 2)} FROM json_each(?) j"
    f" JOIN workflow w ON w.id = {_at(1)} WHERE 1",
)


def _put_texts(table: str) -> str:
    """[[id, commit, head, reason, input or null, output or null], …]; null = as it was."""
    return (
        f"WITH given AS (SELECT d.n, {_at(2)} AS head, {_at(3)} AS reason,"
        f" COALESCE({_at(4)}, o.input, '{{}}') AS input,"
        f" COALESCE({_at(5)}, o.output, '{{}}') AS output,"
        " o.rowid AS before, o.head AS head_before, o.reason AS reason_before,"
        " o.input AS input_before, o.output AS output_before"
        f" FROM json_each(?) j CROSS JOIN {table} d ON d.id = {_at(0)} AND d.commit_no = {_at(1)}"
        f" LEFT JOIN {table}_text o ON o.rowid = d.n)"
        f" INSERT OR REPLACE INTO {table}_text (rowid, head, reason, input, output)"
        " SELECT n, head, reason, input, output FROM given WHERE before IS NULL"
        " OR head <> head_before OR reason <> reason_before OR input <> input_before"
        " OR output <> output_before"
    )


PUT_WORKFLOW_TEXTS: Final = _put_texts("workflow")
PUT_TASK_TEXTS: Final = _put_texts("task")
