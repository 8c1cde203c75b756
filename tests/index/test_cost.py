"""What a search costs among 100,000 executions, as counts: statements, and steps of SQLite."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from podium.index import sqlite
from podium.index.conformance.samples import (
    NOW_MS,
    task,
    task_query,
    update,
    workflow,
    workflow_query,
)
from podium.index.sqlite import SqliteIndex

MANY = 100_000
BATCH = 5_000
STEPS = 100
PAGE_STEPS_MAX = 20_000
"""A page of 20 with its documents. To look at every execution once takes over a million."""
COUNT_STEPS_MAX = 12 * MANY
"""To count all of them: a few steps for each."""

pytestmark = pytest.mark.timeout(240)


class Counted(SqliteIndex):
    """Counts what its connections do."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, lambda: 0)
        self.statements = 0
        self.steps = 0

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.set_trace_callback(self._ran)
        return connection

    def _ran(self, text: str) -> None:
        # FTS5 and PRAGMA are no statements of a search: it reads and writes tables of its own.
        self.statements += not text.startswith(("--", "PRAGMA")) and "'main'." not in text

    def _is_late(self) -> bool:
        self.steps += STEPS
        return False


async def fill(index: SqliteIndex) -> None:
    for first in range(0, MANY, BATCH):
        await index.write(
            [
                update(
                    workflow(
                        number,
                        name=f"order{number % 50}",
                        status="RUNNING" if number % 100 == 0 else "COMPLETED",
                        correlation_id=f"c{number // 10}",
                        input=f'{{"customer":"name{number % 1_000}"}}',
                    ),
                    task(number, f"t{number % 20}", start_ms=NOW_MS + number),
                )
                for number in range(first, first + BATCH)
            ]
        )


@pytest_asyncio.fixture
async def index(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Counted]:
    monkeypatch.setattr(sqlite, "STEPS_PER_LOOK", STEPS)
    found = Counted(tmp_path_factory.getbasetemp() / "index-of-many")
    await found.open()
    if await found.origin() != "whole":
        await fill(found)
        await found.set_origin("whole")
    yield found
    await found.close()


async def test_searches_among_many_look_at_few(index: Counted) -> None:
    some = "w50000"
    for text, words, wanted in (
        ("", "", 20),
        (f"workflowId = {some}", "", 1),
        ("workflowType = order7", "", 20),
        ("status = RUNNING", "", 20),
        ("workflowType IN (order0) AND status IN (RUNNING)", "", 20),
        ("correlationId = c77", "", 10),
        ("correlationId IN (c1, c2, c3)", "", 20),
        (f"startTime > {NOW_MS + 90_000_000} AND startTime < {NOW_MS + 95_000_000}", "", 20),
        ("", "name77", 20),
        ("", f"{some}", 1),
    ):
        query = replace(workflow_query(text, words), size=20, counted=False)
        index.statements = index.steps = 0
        found = await index.workflows(query)
        assert len(found.hits) == wanted, text
        assert index.statements == 2, text
        assert index.steps < PAGE_STEPS_MAX, (text, words, index.steps)
    for text, wanted in (
        ("", 20),
        (f"taskId = {some}.t0.0", 1),
        (f"workflowId = {some}", 1),
        ("taskDefName IN (t3_task)", 20),
        ("correlationId = c77", 10),
    ):
        query = replace(task_query(text), size=20, counted=False)
        index.statements = index.steps = 0
        found = await index.tasks(query)
        assert len(found.hits) == wanted, text
        assert index.statements == 2, text
        assert index.steps < PAGE_STEPS_MAX, (text, index.steps)


async def test_a_count_is_one_statement_more(index: Counted) -> None:
    for text, total in (("", MANY), ("workflowType = order7", MANY // 50)):
        index.statements = index.steps = 0
        found = await index.workflows(replace(workflow_query(text), size=20))
        assert found.total == total
        assert index.statements == 3
        assert index.steps < COUNT_STEPS_MAX, (text, index.steps)


async def test_a_page_further_on_costs_as_the_first(index: Counted) -> None:
    query = replace(workflow_query(), size=20, counted=False)
    last = (await index.workflows(replace(query, start=90_000))).hits[-1]
    index.steps = 0
    found = await index.workflows(replace(query, behind=(last.start_ms, last.id)))
    assert [each.id for each in found.hits][:2] == ["w9979", "w9978"]
    assert index.steps < PAGE_STEPS_MAX


async def test_a_batch_of_any_size_is_a_handful_of_statements(tmp_path: Path) -> None:
    index = Counted(tmp_path / "index")
    await index.open()
    for count in (1, 500):
        index.statements = 0
        await index.write([update(workflow(number), task(number)) for number in range(count)])
        assert index.statements == 6  # begin, executions, their texts, tasks, their texts, commit
    await index.close()
