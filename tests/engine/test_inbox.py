"""The message queue of an execution (S-187, S-188, S-485): one commit, no polling, bounded."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import Outcome, PushMessage, Rejected, Restart, Terminate
from podium.engine.inbox import KEPT_MS, MESSAGES_LIMIT, WAITING_LIMIT
from podium.model.payload import Payload
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple, task_def


def pull(ref: str = "p", **parameters: Any) -> Any:
    return op("PULL_WORKFLOW_MESSAGES", ref, input_parameters=parameters)


def pushed(machine: Machine, name: str, **payload: Any) -> Outcome:
    return machine.send(PushMessage(message_id=name, payload=Payload.of(payload)))


def taken(machine: Machine, ref: str = "p") -> list[str]:
    """Ids of the messages in a task's output."""
    output = machine.task(ref).output.value
    messages = output["messages"]
    assert isinstance(messages, list)
    assert output["count"] == len(messages)
    return [str(each["id"]) for each in messages if isinstance(each, dict)]


def test_a_push_ends_the_task_that_waits_in_the_same_commit() -> None:
    machine = Machine(flow(pull(), simple("after"))).start()
    assert machine.task("p").status == "IN_PROGRESS"
    commits = len(machine.transitions)
    pushed(machine, "m1", a=1)
    assert len(machine.transitions) == commits + 1
    assert machine.task("p").output.value == {
        "messages": [
            {"id": "m1", "workflowId": machine.id, "payload": {"a": 1},
             "receivedAt": machine.now_ms}
        ],
        "count": 1,
    }  # fmt: skip
    assert machine.task("after").status == "SCHEDULED"
    assert machine.messages == {}


def test_s_485_batches_and_tasks_that_do_not_wait() -> None:
    machine = Machine(
        flow(simple("a"), pull(batchSize=2), pull("q"), pull("r", blocking=False, batchSize=500),
             pull("s", blocking=False))
    ).start()  # fmt: skip
    for number in range(5):
        pushed(machine, f"m{number}")
    assert len(machine.messages) == 5
    machine.work("a")
    assert taken(machine) == ["m0", "m1"]
    assert taken(machine, "q") == ["m2"]
    assert taken(machine, "r") == ["m3", "m4"]
    assert taken(machine, "s") == []
    assert (machine.status, machine.messages) == ("COMPLETED", {})


@pytest.mark.parametrize(
    ("size", "count"), [(0, 1), (-3, 1), ("2", 2), (2.0, 2), (True, 1), ("x", 1)]
)
def test_what_a_batch_size_means(size: object, count: int) -> None:
    machine = Machine(flow(simple("a"), pull(batchSize=size))).start()
    for number in range(3):
        pushed(machine, f"m{number}")
    machine.work("a")
    assert len(taken(machine)) == count


def test_who_waits_first_is_served_first_and_who_ended_otherwise_is_passed() -> None:
    branches = [[pull(ref)] for ref in ("p", "q", "r")]
    machine = Machine(flow(fork("f", *branches), join("j", "p", "q", "r"))).start()
    machine.report("q", output={"by": "hand"})
    pushed(machine, "m1")
    pushed(machine, "m2")
    assert (taken(machine), taken(machine, "r")) == (["m1"], ["m2"])
    assert machine.task("q").output.value == {"by": "hand"}
    assert machine.status == "COMPLETED"


def test_more_may_wait_than_the_header_names() -> None:
    count = WAITING_LIMIT + 3
    branches = [[pull(f"p{number}")] for number in range(count)]
    members = [f"p{number}" for number in range(count)]
    machine = Machine(flow(fork("f", *branches), join("j", *members))).start()
    assert machine.header is not None
    assert machine.header.inbox is not None
    assert len(machine.header.inbox.waiting) == WAITING_LIMIT
    for number in range(count):
        pushed(machine, f"m{number}")
    assert [taken(machine, ref) for ref in members] == [[f"m{n}"] for n in range(count)]
    assert machine.status == "COMPLETED"


def test_a_full_queue_refuses() -> None:
    machine = Machine(flow(simple("a"))).start()
    for number in range(MESSAGES_LIMIT):
        pushed(machine, f"m{number}")
    with pytest.raises(Rejected, match="fewer than 1000 messages") as full:
        pushed(machine, "more")
    assert full.value.code == "RESOURCE_EXHAUSTED"
    assert len(machine.messages) == MESSAGES_LIMIT


def test_bytes_are_bounded_too() -> None:
    machine = Machine(flow(simple("a"))).start()
    pushed(machine, "m1", text="x" * (6 * 1024 * 1024))
    with pytest.raises(Rejected) as full:
        pushed(machine, "m2", text="x" * (6 * 1024 * 1024))
    assert full.value.code == "RESOURCE_EXHAUSTED"
    with pytest.raises(Rejected) as large:
        pushed(machine, "m3", text="x" * (11 * 1024 * 1024))
    assert large.value.code == "INVALID_ARGUMENT"


def test_s_188_messages_go_with_time_and_with_the_end() -> None:
    machine = Machine(flow(simple("a"), pull(blocking=False))).start()
    pushed(machine, "old")
    machine.now_ms += KEPT_MS
    machine.work("a")
    assert taken(machine) == []
    assert machine.messages == {}
    other = Machine(flow(simple("a"), pull())).start()
    pushed(other, "m1")
    other.send(Terminate(reason="enough"))
    assert other.messages == {}
    with pytest.raises(Rejected, match="expected a RUNNING workflow") as ended:
        pushed(other, "m2")
    assert ended.value.code == "FAILED_PRECONDITION"
    other.send(Restart())
    other.run_effects()
    other.work("a")
    assert other.task("p").status == "IN_PROGRESS"
    pushed(other, "m3")
    assert taken(other) == ["m3"]


def test_a_waiting_task_times_out_and_its_next_attempt_waits() -> None:
    once = task_def("p", retry_count=1, timeout_seconds=5, timeout_policy="RETRY")
    machine = Machine(flow(op("PULL_WORKFLOW_MESSAGES", "p", task_definition=once))).start()
    machine.due("p", "timeout")
    assert (machine.task("p").attempt, machine.task("p").status) == (1, "IN_PROGRESS")
    pushed(machine, "m1")
    assert taken(machine) == ["m1"]
