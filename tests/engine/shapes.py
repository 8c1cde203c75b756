"""Short ways to write the definitions of tests."""

from __future__ import annotations

from typing import Any

from podium.model.definition import SubWorkflowParams, TaskDef, WorkflowDef, WorkflowTask


def simple(ref: str, name: str = "", **fields: Any) -> WorkflowTask:
    return WorkflowTask(name=name or ref, task_reference_name=ref, **fields)


def op(kind: str, ref: str, **fields: Any) -> WorkflowTask:
    return WorkflowTask(name=ref, task_reference_name=ref, type=kind, **fields)


def fork(ref: str, *branches: list[WorkflowTask]) -> WorkflowTask:
    return op("FORK_JOIN", ref, fork_tasks=list(branches))


def join(ref: str, *members: str, **fields: Any) -> WorkflowTask:
    return op("JOIN", ref, join_on=list(members), **fields)


def switch(ref: str, value: Any, cases: dict[str, list[WorkflowTask]], **f: Any) -> WorkflowTask:
    return op(
        "SWITCH", ref, evaluator_type="value-param", expression="v", decision_cases=cases,
        input_parameters={"v": value}, **f,
    )  # fmt: skip


def terminate(ref: str, status: str, **parameters: Any) -> WorkflowTask:
    return op("TERMINATE", ref, input_parameters={"terminationStatus": status, **parameters})


def sub(ref: str, workflow: str, **fields: Any) -> WorkflowTask:
    params = SubWorkflowParams(name=workflow, version=1)
    return op("SUB_WORKFLOW", ref, sub_workflow_param=params, **fields)


def flow(*tasks: WorkflowTask, name: str = "w", **fields: Any) -> WorkflowDef:
    return WorkflowDef(name=name, tasks=list(tasks), **fields)


def task_def(name: str, **fields: Any) -> TaskDef:
    base: dict[str, Any] = {"retry_count": 0, "retry_delay_seconds": 0}
    return TaskDef(name=name, **{**base, **fields})
