"""Documents that the suite writes, and the short ways it asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.index.document import TaskDocument, Update, WorkflowDocument
from podium.index.ordering import parse_order
from podium.index.parsing import parse_query
from podium.index.query import TASK_FIELDS, WORKFLOW_FIELDS, Every, Query
from podium.index.words import parse_words

if TYPE_CHECKING:
    from podium.index.port import Found, Index, TaskHit

NOW_MS: Final = 1_790_000_000_000


def workflow(number: int, **fields: object) -> WorkflowDocument:
    """Execution number n, started n seconds after NOW_MS."""
    at_ms = NOW_MS + 1_000 * number
    document = WorkflowDocument(
        id=f"w{number}",
        commit=1,
        name="order",
        version=1,
        status="RUNNING",
        start_ms=at_ms,
        update_ms=at_ms,
        input="{}",
        output="{}",
    )
    return replace(document, **fields)


def task(number: int, key: str = "a", attempt: int = 0, **fields: object) -> TaskDocument:
    """A task of execution number n."""
    document = TaskDocument(
        id=f"w{number}.{key}.{attempt}",
        key=key,
        task_type="SIMPLE",
        def_name=f"{key}_task",
        ref=key,
        status="SCHEDULED",
    )
    return replace(document, **fields)


def update(document: WorkflowDocument, *tasks: TaskDocument, **parts: object) -> Update:
    """What became of an execution."""
    return replace(Update(workflow_id=document.id, workflow=document, tasks=tasks), **parts)


async def write(index: Index, *updates: Update) -> None:
    """One batch."""
    await index.write(updates)


def workflow_query(text: str = "", words: str = "", sort: str = "", **parts: object) -> Query:
    """A query of executions."""
    fields = WORKFLOW_FIELDS
    where = Every((parse_query(text, fields), parse_words(words)))
    return replace(Query(where=where, order=parse_order(sort, fields)), **parts)


def task_query(text: str = "", words: str = "", sort: str = "", **parts: object) -> Query:
    """A query of tasks."""
    fields = TASK_FIELDS
    where = Every((parse_query(text, fields), parse_words(words)))
    return replace(Query(where=where, order=parse_order(sort, fields)), **parts)


async def workflows(
    index: Index, text: str = "", words: str = "", sort: str = "", **parts: object
) -> Found[WorkflowDocument]:
    """Documents of executions."""
    return await index.workflows(workflow_query(text, words, sort, **parts))


async def ids(index: Index, text: str = "", words: str = "") -> set[str]:
    """Of all executions that match."""
    found = await workflows(index, text, words)
    assert found.total == len(found.hits), found
    return {each.id for each in found.hits}


async def tasks(
    index: Index, text: str = "", words: str = "", sort: str = "", **parts: object
) -> Found[TaskHit]:
    """Documents of tasks."""
    return await index.tasks(task_query(text, words, sort, **parts))


async def task_ids(index: Index, text: str = "", words: str = "") -> set[str]:
    """Of all tasks that match."""
    found = await tasks(index, text, words)
    assert found.total == len(found.hits), found
    return {each.task.id for each in found.hits}
