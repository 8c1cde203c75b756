"""Executions and tasks as clients see them: snapshots of frozen records."""

from __future__ import annotations

import msgspec

from podium.engine.graph import Graph
from podium.model.definition import WorkflowTask
from podium.model.execution import ExecutionHeader, TaskRecord
from podium.model.payload import Payload


class TaskView(msgspec.Struct, frozen=True):
    """One attempt with what the record does not hold: its output put together, its definition."""

    record: TaskRecord
    header: ExecutionHeader
    output: Payload
    task: WorkflowTask | None = None
    """Of the bound definition; None where that is not at hand."""
    runtime_metadata: dict[str, str] = {}
    """Of a task that is handed out: what its worker is told beside the input."""


class ExecutionView(msgspec.Struct, frozen=True):
    """One execution; `tasks` = all attempts in the order they were scheduled, if asked for."""

    header: ExecutionHeader
    graph: Graph
    input: Payload
    output: Payload
    variables: Payload
    tasks: tuple[TaskView, ...] = ()
