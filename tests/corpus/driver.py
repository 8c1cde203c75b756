"""Scripted workers: one execution driven to its end over Conductor's gRPC services.

The convention is that of the recorded runs (../shared/corpus/README.md): one task after the other,
each answered COMPLETED with an output made from its reference, but for the first one, which the
variant may let fail. The next task is taken only when the server has nothing left to do by itself,
so the order of scheduling is a fact of the definition and not of the machine's speed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import grpc
from google.protobuf import json_format, struct_pb2

from podium.conductor import (
    execution_pb2,
    metadata_service_pb2,
    metadata_service_pb2_grpc,
    request_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
    workflow_service_pb2,
    workflow_service_pb2_grpc,
)
from tests.corpus.definitions import task_messages, workflow_message

if TYPE_CHECKING:
    from collections.abc import Mapping

Variant = Literal["ok", "retry", "terminal"]
VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)

CALL_S: Final = 5.0
QUIET_S: Final = 10.0
POLL_MS: Final = 1_000
OPEN: Final = ("SCHEDULED", "IN_PROGRESS")
WORKER: Final = "corpus"
# What the server ends by itself, so that it has work to do as long as one of these is open.
OWN: Final = frozenset(
    {
        "HTTP", "EVENT", "TERMINATE", "DECISION", "SWITCH", "FORK", "SET_VARIABLE",
        "START_WORKFLOW", "INLINE", "JSON_JQ_TRANSFORM", "LAMBDA",
    }
)  # fmt: skip
# What somebody outside ends, who answers {"done": true}.
OUTSIDE: Final = frozenset({"WAIT", "HUMAN"})
WAITING: Final = frozenset({"DO_WHILE", "EXCLUSIVE_JOIN", "JOIN", "SUB_WORKFLOW"})

Workflow = execution_pb2.Workflow
Task = execution_pb2.Task
Status = execution_pb2.TaskResult.Status


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What an execution came to; `tasks` in the order of scheduling."""

    status: str
    tasks: list[list[Any]]
    output: dict[str, Any]
    reason: str = ""


@dataclass(kw_only=True)
class Script:
    """What the workers answer. Once the variant's failure was given, everything succeeds.

    `answers` replaces single keys of every output, to lead a definition another way.
    """

    variant: Variant
    answers: Mapping[str, Any] = field(default_factory=dict)
    answered: int = 0

    def result(self, task: Task) -> execution_pb2.TaskResult:
        self.answered += 1
        status, output = Status.COMPLETED, {**answer(task.reference_task_name), **self.answers}
        if self.answered == 1 and self.variant != "ok":
            failed = self.variant == "retry"
            status = Status.FAILED if failed else Status.FAILED_WITH_TERMINAL_ERROR
            output = {"why": "planned"}
        return execution_pb2.TaskResult(
            workflow_instance_id=task.workflow_instance_id,
            task_id=task.task_id,
            worker_id=WORKER,
            status=status,
            output_data=values(output),
        )


def done(task: Task) -> execution_pb2.TaskResult:
    """What ends a task from outside."""
    return execution_pb2.TaskResult(
        workflow_instance_id=task.workflow_instance_id,
        task_id=task.task_id,
        status=Status.COMPLETED,
        output_data=values({"done": True}),
    )


def answer(ref: str) -> dict[str, Any]:
    """The output of a worker for the task of this reference."""
    output: dict[str, Any] = {
        "ref": ref,
        "n": len(ref),
        "flag": True,
        "list": [1, 2, 3],
        "op": {"ep": "x"},
        "mod": 0,
        "oddEven": 0,
        "taskToExecute": "task_1",
        "case": "nested",
    }
    forked = [] if ref.startswith("fan_") else [f"fan_{ref}_{index}" for index in range(3)]
    if forked:
        output["dynamicTasks"] = [
            {"name": "task_1", "taskReferenceName": each, "type": "SIMPLE"} for each in forked
        ]
    inputs = {f"fan_{ref}_{index}": {"i": index} for index in range(3)}
    return {**output, "inputs": inputs, "dynamicTasksInput": inputs}


def values(document: Mapping[str, Any]) -> dict[str, struct_pb2.Value]:
    return {
        key: json_format.ParseDict(value, struct_pb2.Value()) for key, value in document.items()
    }


def plain(fields: Mapping[str, struct_pb2.Value]) -> dict[str, Any]:
    """The values of a map on the wire; all numbers are doubles there."""
    return {key: json_format.MessageToDict(value) for key, value in fields.items()}


class Conductor:
    """A client of one server, or of several in turn (ipv4:HOST:PORT,HOST:PORT)."""

    def __init__(self, target: str) -> None:
        in_turn = [("grpc.lb_policy_name", "round_robin")]
        self._channel = grpc.insecure_channel(target, options=in_turn)
        self._metadata = metadata_service_pb2_grpc.MetadataServiceStub(self._channel)
        self._workflows = workflow_service_pb2_grpc.WorkflowServiceStub(self._channel)
        self._tasks = task_service_pb2_grpc.TaskServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def register(self, definitions: list[dict[str, Any]]) -> None:
        """Register definitions and the task definitions of their workers."""
        self._metadata.CreateTasks(
            metadata_service_pb2.CreateTasksRequest(defs=task_messages(definitions)), timeout=CALL_S
        )
        self.overwrite(definitions)

    def overwrite(self, definitions: list[dict[str, Any]]) -> None:
        self._metadata.UpdateWorkflows(
            metadata_service_pb2.UpdateWorkflowsRequest(
                defs=[workflow_message(each) for each in definitions]
            ),
            timeout=CALL_S,
        )

    def start(self, request: request_pb2.StartWorkflowRequest) -> str:
        return self._workflows.StartWorkflow(request, timeout=CALL_S).workflow_id

    def terminate(self, workflow_id: str) -> None:
        self._workflows.TerminateWorkflow(
            workflow_service_pb2.TerminateWorkflowRequest(
                workflow_id=workflow_id, reason="the test is over"
            ),
            timeout=CALL_S,
        )

    def look(self, workflow_id: str) -> Workflow | None:
        """The execution with its tasks; None if it does not exist (yet)."""
        request = workflow_service_pb2.GetWorkflowStatusRequest(
            workflow_id=workflow_id, include_tasks=True
        )
        try:
            return self._workflows.GetWorkflowStatus(request, timeout=CALL_S)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise

    def poll(self, task_type: str) -> list[Task]:
        request = task_service_pb2.BatchPollRequest(
            task_type=task_type, worker_id=WORKER, count=1, timeout=POLL_MS
        )
        return list(self._tasks.BatchPoll(request, timeout=CALL_S))

    def update(self, result: execution_pb2.TaskResult) -> None:
        self._tasks.UpdateTask(task_service_pb2.UpdateTaskRequest(result=result), timeout=CALL_S)


@dataclass
class Drive:
    """Drives one execution and its children to where nothing more can happen."""

    client: Conductor
    script: Script
    in_hand: dict[str, Task] = field(default_factory=dict)

    def run(self, request: request_pb2.StartWorkflowRequest) -> Ended:
        root_id = self.client.start(request)
        tree = self.settled(root_id)
        outside = True
        while (target := next_open(tree, outside=not outside)) is not None:
            outside = target.task_type in OUTSIDE
            result = done(target) if outside else self.script.result(self.take(target))
            self.client.update(result)
            tree = self.settled(root_id)
        root = tree[0]
        if name_of_workflow(root) == "RUNNING":
            self.client.terminate(root_id)
        return ended(root)

    def settled(self, root_id: str) -> list[Workflow]:
        """The executions of the tree, parents first, once the server is through with its part."""
        limit = time.monotonic() + QUIET_S
        while True:
            tree, moving = self.tree(root_id)
            if not moving:
                return tree
            assert time.monotonic() < limit, f"expected it to settle in {QUIET_S} s, found {moving}"

    def tree(self, root_id: str) -> tuple[list[Workflow], list[str]]:
        """All executions of the tree that exist, and what the server has still to do in them."""
        tree: list[Workflow] = []
        moving: list[str] = []
        waiting = [root_id]
        while waiting:
            workflow = self.client.look(waiting.pop(0))
            if workflow is None:
                moving.append("a child that is not there yet")
                continue
            tree.append(workflow)
            waiting += [each.sub_workflow_id for each in workflow.tasks if each.sub_workflow_id]
        states = {each.workflow_id: name_of_workflow(each) for each in tree}
        for workflow in tree:
            moving += [
                f"{workflow.workflow_id} {task.reference_task_name} {name_of(task)}"
                for task in workflow.tasks
                if is_moving(states[workflow.workflow_id], task, states)
            ]
        return tree, moving

    def take(self, target: Task) -> Task:
        """Poll until the task is in hand; others of its type that come first are kept for later."""
        limit = time.monotonic() + QUIET_S
        while target.task_id not in self.in_hand:
            for task in self.client.poll(target.task_type):
                self.in_hand[task.task_id] = task
            assert time.monotonic() < limit, f"expected {target.task_type} in its queue, found none"
        return self.in_hand.pop(target.task_id)


def is_moving(state: str, task: Task, states: Mapping[str, str]) -> bool:
    """Whether the server has something to do with a task by itself."""
    if task.task_type == "SUB_WORKFLOW":
        child = states.get(task.sub_workflow_id)
        if name_of(task) not in OPEN:
            return child == "RUNNING"
        return name_of(task) == "SCHEDULED" or child != "RUNNING"
    if name_of(task) not in OPEN:
        return False
    return state != "RUNNING" or task.task_type in OWN


def next_open(tree: list[Workflow], *, outside: bool) -> Task | None:
    """The task to answer next: the first scheduled in its execution, parents first. The recorder
    answered workers and what waits for somebody `outside` in turn.
    """
    found = [
        ((task.task_type in OUTSIDE) is not outside, task.seq, depth, task)
        for depth, workflow in enumerate(tree)
        for task in workflow.tasks
        if name_of(task) in OPEN
        and task.task_type not in OWN | WAITING
        # Else it waits for a retry delay of a minute.
        and (task.callback_after_seconds == 0 or task.task_type in OUTSIDE)
    ]
    return min(found, key=lambda each: each[:3])[3] if found else None


def ended(workflow: Workflow) -> Ended:
    """What it came to. The list of its tasks must be their order of scheduling (S-204)."""
    numbers = [each.seq for each in workflow.tasks]
    assert numbers == list(range(1, len(numbers) + 1)), f"expected tasks by seq, found {numbers}"
    return Ended(
        status=name_of_workflow(workflow),
        tasks=[
            [each.reference_task_name, each.task_type, name_of(each), each.iteration,
             each.retry_count]
            for each in workflow.tasks
        ],
        output=plain(workflow.output),
        reason=workflow.reason_for_incompletion,
    )  # fmt: skip


def name_of(task: Task) -> str:
    return Task.Status.Name(task.status)


def name_of_workflow(workflow: Workflow) -> str:
    return Workflow.WorkflowStatus.Name(workflow.status)
