"""Records of every stored kind, all fields set, and their golden files (stored format 1).

`python -m tests.store.samples` writes the golden files that are missing; it never touches one that
exists, since stored bytes are read for ever.
"""

from pathlib import Path

from podium.engine.transition import (
    CacheOutput,
    ContinueSelf,
    Effect,
    ReleaseSlot,
    ReportToParent,
    RerunChild,
    RetryChild,
    ReviveParent,
    StartChild,
    TerminateChild,
    Transition,
)
from podium.model.definition import TaskDef
from podium.model.execution import (
    BranchRecord,
    ExecutionHeader,
    HistoryRow,
    JoinRecord,
    Lease,
    ParentLink,
    TaskChange,
    TaskRecord,
    TaskStatus,
    WorkflowStatus,
)
from podium.model.payload import Payload
from podium.model.queue import Deadline, Limits, Queue
from podium.store import codec

GOLDEN = Path(__file__).parent / "golden"
WORKFLOW = "3f0e8400-e29b-41d4-a716-446655440000"
KEY = "abcdefghijklmnop"
TASK = f"{WORKFLOW}.{KEY}.2"
PARENT = ParentLink(workflow_id="parent", task_id="parent.key.0", run_epoch=3, depth=2)

HEADER = ExecutionHeader(
    id=WORKFLOW,
    name="order \N{SNOWMAN}",
    version=4,
    digest="d" * 64,
    status=WorkflowStatus.RUNNING,
    created_ms=1_790_000_000_001,
    updated_ms=1_790_000_000_002,
    ended_ms=1_790_000_000_003,
    last_retried_ms=1_790_000_000_004,
    reason="why",
    correlation_id="c-1",
    priority=7,
    task_to_domain={"resize": "eu"},
    parent=PARENT,
    run_epoch=2,
    next_seq=9,
    open_count=3,
    task_count=8,
    last_key=KEY,
    terminate_key="end",
    permissive_failures=("soft",),
    permissive_failure_count=1,
    failed_refs=("a",),
    failed_names=("b",),
    failed_task_id=TASK,
    deadline_ms=1_790_000_000_005,
    history_position=12,
    created_by="me",
    event="event",
    inline_definition=True,
    idempotency_key="key",
    alert_count=1,
    depth=2,
    pending=(4, 5),
)
RECORD = TaskRecord(
    id=TASK,
    key=KEY,
    attempt=2,
    seq=5,
    ref="resize_ref",
    node=3,
    task_type="SIMPLE",
    def_name="resize",
    status=TaskStatus.IN_PROGRESS,
    iteration=(1, 2),
    branch="branch",
    reason="slow",
    retry_count=1,
    poll_count=2,
    worker_id="w-1",
    domain="eu",
    queue=Queue("resize", "eu"),
    limits=Limits(3, 10, 1_000),
    score=990_001_790_000_000_000,
    scheduled_ms=1,
    first_scheduled_ms=2,
    start_ms=3,
    update_ms=4,
    end_ms=5,
    start_delay_ms=6,
    callback_after_ms=7,
    response_timeout_ms=8,
    lease=Lease(incarnation="inc", session="s-1", kind="stream"),
    lease_epoch=4,
    leases_lost=1,
    deadlines=(Deadline(TASK, "response", 1_790_000_060_000),),
    sub_workflow_id="child",
    run_epoch=1,
    retried=True,
    retried_task_id="former",
    gave_up=True,
    task_def=TaskDef(name="resize"),
    input=Payload(b'{"in":[1,2.5,null]}'),
    output=Payload(b'{"out":true}'),
    closed_epoch=4,
    unsettled=True,
)
JOIN = JoinRecord(
    key="join",
    open_count=2,
    with_errors=True,
    failed_count=1,
    canceled_count=1,
    reasons=("r",),
    forgiven=("f",),
)
BRANCH = BranchRecord(
    key="branch", definition=b"{}", join_key="join", iteration=(1,), parent_branch="up"
)
HISTORY = HistoryRow(
    12,
    1_790_000_000_002,
    ("Start", "GrantLease"),
    "w-1",
    "RUNNING",
    (TaskChange(KEY, "resize_ref", 2, 1, "SCHEDULED", "IN_PROGRESS", 4, TASK),),
)
EFFECTS: dict[str, Effect] = {
    "start_child": StartChild(
        workflow_id="child",
        name="part",
        version=2,
        definition=b"{}",
        input=Payload(b'{"a":1}'),
        correlation_id="c-1",
        priority=7,
        task_to_domain={"resize": "eu"},
        parent=PARENT,
        failed_workflow_id="failed",
    ),
    "report_to_parent": ReportToParent(
        parent=PARENT, child_id="child", status="FAILED", output=Payload(b'{"b":2}'), reason="r"
    ),
    "terminate_child": TerminateChild(workflow_id="child", reason="r"),
    "release_slot": ReleaseSlot(
        task_id=TASK, queue=Queue("resize", "eu"), limits=Limits(3, 10, 1_000)
    ),
    "continue_self": ContinueSelf(cursor='{"from":480}'),
    "retry_child": RetryChild(workflow_id="child", task_id=TASK, run_epoch=1),
    "rerun_child": RerunChild(
        workflow_id="child",
        task_id=TASK,
        run_epoch=1,
        task_ids=("child.key.0",),
        task_input=Payload(b'{"t":1}'),
    ),
    "revive_parent": ReviveParent(parent=PARENT, child_id="child"),
    "cache_output": CacheOutput(
        name="c" * 64,
        output=Payload(b'{"o":1}'),
        at_ms=1_790_000_000_001,
        until_ms=1_790_000_000_002,
    ),
}
TRANSITION = Transition(
    header=HEADER,
    created=True,
    input=Payload(b'{"i":1}'),
    output=Payload(b'{"o":1}'),
    variables=Payload(b'{"v":1}'),
    tasks={KEY: RECORD},
    attempts={(KEY, 1): RECORD},
    joins={"join": JOIN},
    branches={"branch": BRANCH},
    effects=tuple(EFFECTS.values()),
    history=HISTORY,
)


def written() -> dict[str, bytes]:
    """File name → what this version of Podium writes."""
    commit = codec.encode_commit(TRANSITION, version=0, incarnation="inc")
    names = {"h": "header", f"t:{KEY}": "task", "j:join": "join", "b:branch": "branch"}
    found = {f"{title}.v1": commit.fields[name] or b"" for name, title in names.items()}
    found["history.v1"] = commit.history or b""
    for title, effect in zip(EFFECTS, commit.outbox, strict=True):
        found[f"effect_{title}.v1"] = effect
    return found


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for title, value in written().items():
        if not (GOLDEN / title).exists():
            (GOLDEN / title).write_bytes(value)
