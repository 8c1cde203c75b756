"""Making task records: the fields every attempt has, whatever its type.

Operators say what kind of task it is and what its input is; here it gets its id, place, clock
times, domain, queue limits and deadlines. Oversized inputs and too many tasks are refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.graph import Place, branch_graph
from podium.engine.identity import ATTEMPTS_PER_RUN, task_id, task_key
from podium.engine.java_text import java_text
from podium.engine.limits import PAYLOAD_BYTES_LIMIT, SHOWN_CHARS_LIMIT, TASKS_LIMIT
from podium.engine.state import State, want_branch
from podium.engine.timing import MS, first_deadlines, started_deadlines
from podium.engine.transition import ActiveDomains, FetchDomains
from podium.engine.trial import is_trial
from podium.model.execution import TaskRecord, TaskStatus, WorkflowStatus
from podium.model.payload import EMPTY
from podium.model.queue import UNLIMITED, Limits, Queue, ready_score

if TYPE_CHECKING:
    from podium.engine.state import Asking
    from podium.model.definition import TaskDef
    from podium.model.execution import ExecutionHeader
    from podium.model.payload import JsonValue

NO_DOMAIN: Final = "NO_DOMAIN"
ANY_TASK: Final = "*"


class EndExecution(Exception):
    """The execution must end now, unsuccessfully: raised by operators, caught in decide.py.

    `task` is the one to blame (failedTaskId).
    """

    def __init__(
        self, reason: str, status: WorkflowStatus = WorkflowStatus.FAILED,
        task: TaskRecord | None = None,
    ) -> None:  # fmt: skip
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.task = task


def locate(draft: State, task: TaskRecord) -> Asking[Place]:
    """Where a stored task stands in its graph."""
    graph = draft.graph
    if task.branch:
        graph = branch_graph((yield from want_branch(draft, task.branch)).definition)
    return Place(graph, graph.nodes[task.node], task.branch, task.iteration, task.loop)


def definition_of(place: Place, task: TaskRecord) -> TaskDef | None:
    """The task definition that rules this task."""
    return task.task_def or place.node.task_def


def draft_task(draft: State, place: Place, task_type: str, def_name: str) -> TaskRecord:
    """A first attempt, not yet in the draft: SCHEDULED now, without queue, input and deadlines."""
    header, now_ms, node = draft.head, draft.now_ms, place.node
    if header.task_count >= TASKS_LIMIT:
        raise EndExecution(
            f"expected at most {TASKS_LIMIT} tasks in one execution, found one more: {node.ref}"
        )
    key = task_key(node.ref, place.iteration)
    former = draft.anew.pop(key, None) if draft.anew else None
    attempt = former.attempt + 1 if former else header.run_epoch * ATTEMPTS_PER_RUN
    return TaskRecord(
        id=task_id(header.id, key, attempt),
        key=key,
        attempt=attempt,
        seq=header.next_seq,
        ref=node.ref,
        node=node.index,
        task_type=task_type,
        def_name=def_name,
        status=TaskStatus.SCHEDULED,
        iteration=place.iteration,
        branch=place.branch,
        scheduled_ms=now_ms,
        first_scheduled_ms=now_ms,
        update_ms=now_ms,
        run_epoch=header.run_epoch,
        loop=place.loop,
        retry_count=former.retry_count + 1 if former else 0,
        retried_task_id=former.id if former else None,
        task_def=place.task_def,
        raises=bool(node.hooks),
    )


def marked(draft: State, task: TaskRecord) -> TaskRecord:
    """The record with where its input, which was just made, names secrets."""
    marks = draft.marks.pop(task.key, None) if draft.marks else None
    return replace(task, secrets=marks) if marks else task


def start_delay_ms(draft: State, place: Place) -> int:
    """The startDelay of a task; one that is tried again by hand has none (S-099)."""
    again = bool(draft.anew) and task_key(place.node.ref, place.iteration) in draft.anew
    return 0 if again else place.node.task.start_delay * MS


def too_large(what: str, size: int) -> str:
    """Text of an exceeded payload limit."""
    return f"expected a {what} of at most {PAYLOAD_BYTES_LIMIT} bytes, found {size}"


def shown(value: JsonValue) -> str:
    """A value within an error text, at its greatest length."""
    text = java_text(value)
    return text if len(text) <= SHOWN_CHARS_LIMIT else f"{text[:SHOWN_CHARS_LIMIT]}…"


def ended(draft: State, task: TaskRecord, status: TaskStatus = TaskStatus.COMPLETED) -> TaskRecord:
    """A task that began and ended at this instant."""
    now_ms = draft.now_ms
    start_ms = task.start_ms or now_ms
    return replace(
        task, status=status, start_ms=start_ms, end_ms=now_ms, update_ms=now_ms, deadlines=()
    )


def under_way(draft: State, place: Place, task: TaskRecord) -> TaskRecord:
    """A task that no worker takes, IN_PROGRESS from now, under the timeouts of its definition."""
    task_def, now_ms = definition_of(place, task), draft.now_ms
    task = replace(
        task,
        status=TaskStatus.IN_PROGRESS,
        start_ms=now_ms,
        deadlines=first_deadlines(task, task_def, now_ms=now_ms, delay_ms=0),
    )
    return replace(task, deadlines=started_deadlines(task, task_def, now_ms))


def await_again(draft: State, place: Place, task: TaskRecord) -> None:
    """The same attempt waits again for what it waits for (S-097, S-126)."""
    again = replace(
        under_way(draft, place, task),
        start_ms=task.start_ms,
        update_ms=draft.now_ms,
        reason=None,
        retry_count=task.retry_count + 1,
        end_ms=0,
        gave_up=False,
        unsettled=False,
    )
    draft.reopen(again)


def failed_at_once(draft: State, task: TaskRecord, reason: str) -> TaskRecord:
    """A task that cannot even begin, and would not when tried again."""
    failed = ended(draft, task, TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    return replace(failed, reason=reason, queue=None, output=EMPTY, worker_id=None)


def queued(
    draft: State, place: Place, task: TaskRecord, *, task_def: TaskDef | None, delay_ms: int
) -> TaskRecord:
    """The task as one that workers take from a queue, ready after `delay_ms`."""
    header, now_ms = draft.head, draft.now_ms
    task_type = task.task_type
    own = task_type in draft.system_types and not is_trial(header)
    domain = "" if own else domain_of(draft, task_type)
    task = replace(
        task,
        domain=domain,
        queue=Queue(task_type, domain),
        limits=limits_of(task_def),
        score=ready_score(header.priority, now_ms + delay_ms),
        start_delay_ms=delay_ms,
        callback_after_ms=delay_ms,
        response_timeout_ms=task_def.response_timeout_seconds * MS if task_def else 0,
        runtime_metadata=tuple(task_def.runtime_metadata) if task_def else (),
        task_def=None if task_def is place.node.task_def else task_def,
    )
    return replace(
        task, deadlines=first_deadlines(task, task_def, now_ms=now_ms, delay_ms=delay_ms)
    )


def limits_of(task_def: TaskDef | None) -> Limits:
    """Admission limits that a task definition sets (S-559, S-560)."""
    if task_def is None:
        return UNLIMITED
    concurrent = task_def.concurrent_exec_limit or 0
    rate = task_def.rate_limit_per_frequency or 0
    if concurrent <= 0 and rate <= 0:
        return UNLIMITED
    window_ms = (task_def.rate_limit_frequency_in_seconds or 1) * MS
    return Limits(max(concurrent, 0), max(rate, 0), window_ms if rate > 0 else 0)


def want_domains(draft: State, task_type: str) -> Asking[None]:
    """Have at hand what `queued` chooses the domain of this type by, where there is a choice."""
    if task_type in draft.domains or len(listed_domains(draft.head, task_type)) == 1:
        return
    answer = yield FetchDomains(task_type)
    assert isinstance(answer, ActiveDomains), answer
    draft.domains[task_type] = answer.domains


def domain_of(draft: State, task_type: str) -> str:
    """The domain for a worker task: the first that is listed for it, or for "*", in which workers
    are active; else the last (S-565, S-566).
    """
    if not draft.head.task_to_domain:
        return ""
    listed = listed_domains(draft.head, task_type)
    active = draft.domains.get(task_type, frozenset())
    named = [domain for domain in listed if domain != NO_DOMAIN]
    chosen = next((domain for domain in named if domain in active), listed[-1])
    return "" if chosen == NO_DOMAIN else chosen


def listed_domains(header: ExecutionHeader, task_type: str) -> list[str]:
    """The entry of a task type, or that of "*"; at least one."""
    chosen = header.task_to_domain
    listed = chosen.get(task_type) or chosen.get(ANY_TASK) or ""
    return [domain.strip() for domain in listed.split(",")]
