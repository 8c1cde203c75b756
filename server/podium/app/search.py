"""Searches as Conductor has them: conditions, words, order and page as text (rest.md §4).

Every search sees what this server answered before. A field that is not there is passed over, since
user interfaces of Conductor name some; everything else that cannot be understood is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from podium.app.asking import asking
from podium.app.failure import NotFound, RequestUnsound, TooMuch
from podium.app.names import bounded_text, require_name, require_version
from podium.app.reading import Reader
from podium.app.view import ExecutionView, TaskView
from podium.index.ordering import parse_order
from podium.index.parsing import parse_query
from podium.index.query import (
    TASK_FIELDS,
    WORKFLOW_FIELDS,
    Among,
    Compares,
    Equals,
    Every,
    Query,
)
from podium.index.unsound import QueryUnsound
from podium.index.words import parse_words
from podium.model.execution import WorkflowStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from podium.app.services import Services
    from podium.index.document import WorkflowDocument
    from podium.index.port import Found, Index, TaskHit
    from podium.index.query import Condition, Field

SIZE_MAX: Final = 5_000
"""S-743."""
START_MAX: Final = 2**31 - 1
CORRELATION_IDS_MAX: Final = 1_000
IDS_MAX: Final = 100_000
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of payloads in whole executions and tasks."""

Shown = TypeVar("Shown")


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for. size 0 = SIZE_MAX (S-672)."""

    start: int = 0
    size: int = 0
    sort: str = ""
    free_text: str = ""
    query: str = ""


class Searches:
    """All raise RequestUnsound, TooMuch, Busy, StoreError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reader = Reader(services)

    async def workflows(self, asked: SearchRequest) -> Found[WorkflowDocument]:
        """Summaries of executions."""
        query = _query(asked, WORKFLOW_FIELDS)
        return await self._ask(lambda index: index.workflows(query))

    async def workflows_by_tasks(self, asked: SearchRequest) -> Found[WorkflowDocument]:
        """Summaries of the executions of tasks, each once; `total` counts them, too."""
        query = _query(asked, TASK_FIELDS)
        return await self._ask(lambda index: index.workflows_by_tasks(query))

    async def tasks(self, asked: SearchRequest) -> Found[TaskHit]:
        """Summaries of tasks."""
        query = _query(asked, TASK_FIELDS)
        return await self._ask(lambda index: index.tasks(query))

    async def executions(self, found: Found[WorkflowDocument]) -> tuple[int, list[ExecutionView]]:
        """Whole, without tasks; one that has gone since is not counted."""
        ids = [each.id for each in found.hits]
        views = await self._read(ids, lambda each: self._reader.read(each, tasks=False))
        return found.total - (len(ids) - len(views)), views

    async def whole_tasks(self, found: Found[TaskHit]) -> tuple[int, list[TaskView]]:
        """One that has gone since is not counted."""
        ids = [each.task.id for each in found.hits]
        views = await self._read(ids, self._reader.read_task)
        return found.total - (len(ids) - len(views)), views

    async def correlated(
        self,
        name: str,
        correlation_ids: Sequence[str],
        *,
        closed: bool,
        tasks: bool,
    ) -> dict[str, list[ExecutionView]]:
        """Executions of a definition by correlation id, the newest first; each id is a key (S-193).

        Without `closed` only those that are RUNNING, not those that are PAUSED.
        """
        require_name("name", name)
        if len(correlation_ids) > CORRELATION_IDS_MAX:
            raise RequestUnsound(
                f"correlation_id: expected at most {CORRELATION_IDS_MAX},"
                f" found {len(correlation_ids)}"
            )
        for each in correlation_ids:
            bounded_text("correlation_id", each)
        conditions: list[Condition] = [
            Equals(WORKFLOW_FIELDS["workflowType"], name),
            Among(WORKFLOW_FIELDS["correlationId"], tuple(correlation_ids)),
        ]
        if not closed:
            conditions.append(Equals(WORKFLOW_FIELDS["status"], WorkflowStatus.RUNNING.value))
        ids = await self._ids(Every(tuple(conditions)), SIZE_MAX)
        views = await self._read(ids, lambda each: self._reader.read(each, tasks=tasks))
        found: dict[str, list[ExecutionView]] = {each: [] for each in correlation_ids}
        for view in views:
            if view.header.correlation_id in found:  # a rerun may have changed it just now
                found[view.header.correlation_id].append(view)
        return found

    async def running(self, name: str, version: int, start_ms: int, end_ms: int) -> list[str]:
        """Ids of executions that run or are paused; with both times, of all that were started in
        between (S-669). Version 0 = any.
        """
        require_name("name", name)
        require_version("version", version)
        fields = WORKFLOW_FIELDS
        conditions: list[Condition] = [Equals(fields["workflowType"], name)]
        if version:
            conditions.append(Equals(fields["version"], version))
        if start_ms and end_ms:
            conditions.append(Compares(fields["startTime"], ">=", start_ms))
            conditions.append(Compares(fields["startTime"], "<=", end_ms))
        else:
            alive = (WorkflowStatus.RUNNING.value, WorkflowStatus.PAUSED.value)
            conditions.append(Among(fields["status"], alive))
        return await self._ids(Every(tuple(conditions)), IDS_MAX)

    async def _ids(self, where: Condition, count_max: int) -> list[str]:
        query = Query(where=where, size=count_max + 1)
        ids = await self._ask(lambda index: index.workflow_ids(query))
        if len(ids) > count_max:
            raise TooMuch(f"expected at most {count_max} workflows, found more: narrow the request")
        return ids

    async def _ask(self, call: Callable[[Index], Awaitable[Shown]]) -> Shown:
        return await asking(self._services, call)

    async def _read(
        self, ids: Iterable[str], read: Callable[[str], Awaitable[Shown]]
    ) -> list[Shown]:
        """Those that are still there."""
        views: list[Shown] = []
        size = 0
        for each in ids:
            try:
                view = await read(each)
            except NotFound:
                continue
            size += _bytes_of(view)
            if size > ANSWER_BYTES_MAX:
                raise TooMuch(
                    f"expected at most {ANSWER_BYTES_MAX} bytes of payloads in an answer, found"
                    f" more after {len(views)} results: ask for fewer"
                )
            views.append(view)
        return views


def _query(asked: SearchRequest, fields: Mapping[str, Field]) -> Query:
    """Raises RequestUnsound."""
    if not 0 <= asked.start <= START_MAX:
        raise RequestUnsound(f"start: expected 0 to {START_MAX}, found {asked.start}")
    if asked.size > SIZE_MAX:
        raise RequestUnsound(
            f"size: Cannot return more than {SIZE_MAX} results, found {asked.size}"
        )
    if asked.size < 0:
        raise RequestUnsound(f"size: expected 0 to {SIZE_MAX}, found {asked.size}")
    try:
        return Query(
            where=Every(
                (parse_query(asked.query, fields, lenient=True), parse_words(asked.free_text))
            ),
            order=parse_order(asked.sort, fields, lenient=True),
            start=asked.start,
            size=asked.size or SIZE_MAX,
        )
    except QueryUnsound as problem:
        raise RequestUnsound(problem.message) from None


def _bytes_of(view: object) -> int:
    """Of payloads."""
    if isinstance(view, TaskView):
        return len(view.record.input) + len(view.output)
    assert isinstance(view, ExecutionView), view
    own = len(view.input) + len(view.output) + len(view.variables)
    return own + sum(_bytes_of(task) for task in view.tasks)
