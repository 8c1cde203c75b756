"""What the index holds of an execution and of each attempt of its tasks, and how it is made.

Documents hold what Conductor's summaries show. Input and output are JSON text, cut where they are
long; what a definition masks is masked in them, so that nobody finds it by guessing. The output of
a join or a loop is put together where it is read, so it is not in its document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from podium.engine.identity import reference_in
from podium.model.masking import masked_payload
from podium.model.payload import EMPTY

if TYPE_CHECKING:
    from collections.abc import Collection

    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.payload import Payload

TEXT_BYTES_MAX: Final = 32 * 1024
"""Of an input or output: what is after it is neither shown in summaries nor found."""
REWRITTEN_BYTES_MAX: Final = 256 * 1024
"""Up to here a payload is masked, or freed of escapes so that its letters are found. It happens in
the loop. Above it a payload with something to mask is not held at all.
"""


class WorkflowDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An execution. Times are epoch ms, 0 = not yet. `input`, `output`: None in an update = as they
    were, None in an answer = not asked for.
    """

    id: str
    commit: int
    """The commit that made it so; an older document never replaces a newer one."""
    name: str
    version: int
    status: str
    correlation_id: str = ""
    parent_id: str = ""
    start_ms: int = 0
    update_ms: int = 0
    end_ms: int = 0
    priority: int = 0
    created_by: str = ""
    event: str = ""
    idempotency_key: str = ""
    reason: str = ""
    failed_refs: tuple[str, ...] = ()
    failed_names: tuple[str, ...] = ()
    task_to_domain: dict[str, str] = {}
    archived: bool = False
    input: str | None = None
    output: str | None = None


class TaskDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a task. What it shows of its execution is that one's document's."""

    id: str
    key: str
    task_type: str
    def_name: str
    ref: str
    status: str
    scheduled_ms: int = 0
    start_ms: int = 0
    update_ms: int = 0
    end_ms: int = 0
    reason: str = ""
    domain: str = ""
    former: bool = False
    """Another attempt followed it."""
    input: str = "{}"
    output: str = "{}"


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one execution. `workflow` None = it is gone with its tasks."""

    workflow_id: str
    workflow: WorkflowDocument | None = None
    whole: bool = False
    """All its tasks are given, here or in updates that follow: those that are not are gone."""
    more: bool = False
    """Updates that belong to this one follow."""
    removed_keys: tuple[str, ...] = ()
    """Tasks whose latest attempt is gone, before those given came; former ones stay."""
    removed_ids: tuple[str, ...] = ()
    tasks: tuple[TaskDocument, ...] = ()


def workflow_document(
    header: ExecutionHeader,
    commit: int,
    *,
    input: str | None,
    output: str | None,
    archived: bool = False,
) -> WorkflowDocument:
    """The document of an execution at one commit."""
    return WorkflowDocument(
        id=header.id,
        commit=commit,
        name=header.name,
        version=header.version,
        status=header.status.value,
        correlation_id=header.correlation_id,
        parent_id=header.parent.workflow_id if header.parent else "",
        start_ms=header.created_ms,
        update_ms=header.updated_ms,
        end_ms=header.ended_ms,
        priority=header.priority,
        created_by=header.created_by,
        event=header.event,
        idempotency_key=header.idempotency_key,
        reason=header.reason or "",
        failed_refs=header.failed_refs,
        failed_names=header.failed_names,
        task_to_domain=header.task_to_domain,
        archived=archived,
        input=input,
        output=output,
    )


def task_document(task: TaskRecord, hidden: Collection[str]) -> TaskDocument:
    """The document of one attempt; `hidden` = names whose values nobody sees."""
    return TaskDocument(
        id=task.id,
        key=task.key,
        task_type=task.task_type,
        def_name=task.def_name,
        ref=reference_in(task.ref, task.iteration),
        status=task.status.value,
        scheduled_ms=task.scheduled_ms,
        start_ms=task.start_ms,
        update_ms=task.update_ms,
        end_ms=task.end_ms,
        reason=task.reason or "",
        domain=task.domain,
        former=task.retried,
        input=text_of(task.input, hidden),
        output=text_of(task.output, hidden),
    )


def text_of(payload: Payload, hidden: Collection[str]) -> str:
    """A payload as its documents show it."""
    small = len(payload) <= REWRITTEN_BYTES_MAX
    if hidden:
        payload = masked_payload(payload, hidden) if small else EMPTY
    json = payload.json
    if small and b"\\u" in json:
        json = orjson.dumps(payload.value)
    return json[:TEXT_BYTES_MAX].decode("utf-8", "ignore")
