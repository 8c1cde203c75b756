"""The message queue of an execution (S-187, S-188, S-485): pushed from outside, taken by tasks.

Messages are records of the execution, numbered in the order they came; its header tells which of
them there are and which tasks wait. A push and the task that it ends, or a task and the messages it
takes, are one commit, so no message is lost or taken twice. Nothing is polled: who waits is ended
by the push. Written and removed are the messages that a decision is about, never the whole queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.command import Outcome, Rejected, Verdict
from podium.engine.lifecycle import require_state
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.schedule import ended
from podium.engine.state import absorb, known_tasks, want_all, want_task
from podium.engine.transition import FetchTasks, Records
from podium.engine.work import Step
from podium.model.execution import InboxRecord
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.command import PushMessage
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord

PULL: Final = "PULL_WORKFLOW_MESSAGES"
MESSAGES_LIMIT: Final = 1_000
BATCH_LIMIT: Final = 100
KEPT_MS: Final = 86_400_000
"""Messages that nobody takes are forgotten so long after the last one came."""
WAITING_LIMIT: Final = 100
"""Waiting tasks that the header names; where there are more, the others are looked for."""
INBOX_BYTES_LIMIT: Final = PAYLOAD_BYTES_LIMIT - 256
"""All that wait fit into one output."""


def push(draft: State, command: PushMessage) -> Asking[Outcome]:
    """Take a message in, and end the task that waits for one the longest."""
    require_state(draft.head, "PushMessage")
    text = Payload.of(
        {
            "id": command.message_id,
            "workflowId": draft.workflow_id,
            "payload": command.payload.value,
            "receivedAt": draft.now_ms,
        }
    ).json
    inbox = inbox_of(draft)
    require_room(draft, inbox, len(text))
    draft.messages[inbox.next] = text
    put(
        draft,
        replace(
            inbox,
            next=inbox.next + 1,
            size_bytes=inbox.size_bytes + len(text) + 1,
            until_ms=draft.now_ms + KEPT_MS,
        ),
    )
    yield from serve(draft)
    return Outcome(Verdict.OK)


def require_room(draft: State, inbox: InboxRecord, size: int) -> None:
    """Raises Rejected where the queue is full, or never could hold the message."""
    count = inbox.next - inbox.first
    if size >= INBOX_BYTES_LIMIT:
        raise Rejected(
            "INVALID_ARGUMENT",
            f"payload: expected a message below {INBOX_BYTES_LIMIT} bytes as JSON, found {size}",
        )
    if count >= MESSAGES_LIMIT:
        raise Rejected(
            "RESOURCE_EXHAUSTED",
            f"expected fewer than {MESSAGES_LIMIT} messages that wait in {draft.workflow_id}, found"
            f" {count}",
        )
    if inbox.size_bytes + size >= INBOX_BYTES_LIMIT:
        raise Rejected(
            "RESOURCE_EXHAUSTED",
            f"expected messages below {INBOX_BYTES_LIMIT} bytes in all that wait in"
            f" {draft.workflow_id}, found {inbox.size_bytes + size}",
        )


def inbox_of(draft: State) -> InboxRecord:
    """The queue as it is now: messages whose time is over are not in it."""
    inbox = draft.head.inbox or InboxRecord()
    if inbox.next > inbox.first and draft.now_ms >= inbox.until_ms:
        inbox = replace(inbox, first=inbox.next, size_bytes=0)
    return inbox


def put(draft: State, inbox: InboxRecord) -> None:
    """The queue as it is from now on."""
    draft.header = replace(draft.head, inbox=inbox)


def serve(draft: State) -> Asking[None]:
    """Give what is there to the tasks that wait, one after the other."""
    while True:
        inbox = inbox_of(draft)
        if inbox.next == inbox.first:
            return
        if not inbox.waiting:
            if not inbox.more_wait:
                return
            inbox = yield from found_waiting(draft, inbox)
            put(draft, inbox)
            if not inbox.waiting:
                return
        key, *rest = inbox.waiting
        put(draft, replace(inbox, waiting=tuple(rest)))
        task = yield from want_task(draft, key)
        if task is not None and waits(task):
            draft.put(task, (yield from served(draft, task)))
            draft.later.append(Step("settle", key=key))


def found_waiting(draft: State, inbox: InboxRecord) -> Asking[InboxRecord]:
    """The queue with the tasks that wait, looked for among all."""
    yield from want_all(draft)
    tasks = sorted((each for each in known_tasks(draft) if waits(each)), key=lambda task: task.seq)
    keys = tuple(task.key for task in tasks[:WAITING_LIMIT])
    return replace(inbox, waiting=keys, more_wait=len(tasks) > WAITING_LIMIT)


def waits(task: TaskRecord) -> bool:
    """Whether the task is one that a message ends."""
    return task.task_type == PULL and task.status.value == "IN_PROGRESS"


def wait_for_message(draft: State, task: TaskRecord) -> None:
    """Have the next message end the task."""
    inbox = inbox_of(draft)
    if len(inbox.waiting) < WAITING_LIMIT and not inbox.more_wait:
        waiting = (*(key for key in inbox.waiting if key != task.key), task.key)
        put(draft, replace(inbox, waiting=waiting))
    elif not inbox.more_wait:
        put(draft, replace(inbox, more_wait=True))


def served(draft: State, task: TaskRecord) -> Asking[TaskRecord]:
    """The task, COMPLETED with the messages that it takes, which are none where none wait."""
    inbox = inbox_of(draft)
    after = min(inbox.first + batch_of(task), inbox.next)
    numbers = tuple(range(inbox.first, after))
    texts = yield from want_messages(draft, numbers)
    size = inbox.size_bytes - sum(len(text) + 1 for text in texts)
    put(draft, replace(inbox, first=after, size_bytes=size))
    output = b'{"messages":[' + b",".join(texts) + b'],"count":%d}' % len(texts)
    return replace(ended(draft, task), output=Payload(output))


def want_messages(draft: State, numbers: tuple[int, ...]) -> Asking[list[bytes]]:
    """These messages of the queue, with one trip for those that are not at hand."""
    missing = tuple(number for number in numbers if number not in draft.messages)
    if missing:
        need = FetchTasks((), messages=missing)
        answer = yield need
        absorb(draft, answer, need)
        assert isinstance(answer, Records), answer
        draft.messages.update(answer.messages)
    return [draft.messages[number] for number in numbers]


def batch_of(task: TaskRecord) -> int:
    """How many messages it takes at most: 1 where it says nothing, or nonsense."""
    given = task.input.value.get("batchSize")
    if isinstance(given, str) and given.isascii() and given.isdigit():
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int | float):
        return 1
    return min(max(int(given), 1), BATCH_LIMIT)


def blocks(task: TaskRecord) -> bool:
    """Whether it waits where there is no message; it does unless it says otherwise."""
    given = task.input.value.get("blocking")
    return not (given is False or (isinstance(given, str) and given.lower() == "false"))


def has_messages(draft: State) -> bool:
    """Whether a message waits."""
    inbox = inbox_of(draft)
    return inbox.next > inbox.first
