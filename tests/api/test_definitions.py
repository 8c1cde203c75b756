"""Definitions through Conductor's messages: what is unset, what survives, what the corpus needs."""

from __future__ import annotations

import msgspec
import pytest

from podium.api.definition_in import task_def_of, workflow_def_of
from podium.api.definition_out import task_def_message, workflow_def_message
from podium.conductor.twin import definition_pb2 as twin
from podium.model.definition import (
    SubWorkflowParams,
    TaskDef,
    WorkflowDef,
    WorkflowTask,
    decode_workflow,
)

TASK = TaskDef(
    name="t",
    description="d",
    retry_count=4,
    timeout_seconds=90,
    input_keys=["i"],
    output_keys=["o"],
    timeout_policy="ALERT_ONLY",
    retry_logic="LINEAR_BACKOFF",
    retry_delay_seconds=5,
    response_timeout_seconds=30,
    concurrent_exec_limit=3,
    input_template={"a": [1, None, {"b": "c"}]},
    rate_limit_per_frequency=10,
    rate_limit_frequency_in_seconds=20,
    isolation_group_id="g",
    execution_name_space="n",
    owner_email="e@x",
    poll_timeout_seconds=40,
    backoff_scale_factor=2,
    max_retry_delay_seconds=50,
    backoff_jitter_ms=60,
    base_type="b",
    total_timeout_seconds=100,
)
WORKFLOW = WorkflowDef(
    name="w",
    version=3,
    description="d",
    tasks=[
        WorkflowTask(name="a", task_reference_name="a", task_definition=TASK, retry_count=2),
        WorkflowTask(
            name="s",
            task_reference_name="s",
            type="SWITCH",
            evaluator_type="value-param",
            expression="x",
            decision_cases={"one": [WorkflowTask(name="b", task_reference_name="b")]},
            default_case=[
                WorkflowTask(
                    name="u",
                    task_reference_name="u",
                    type="SUB_WORKFLOW",
                    sub_workflow_param=SubWorkflowParams(
                        name="c",
                        version=2,
                        task_to_domain={"t": "d"},
                        workflow_definition={"name": "c", "tasks": [{"name": "z"}]},
                    ),
                )
            ],
        ),
        WorkflowTask(
            name="f",
            task_reference_name="f",
            type="FORK_JOIN",
            fork_tasks=[[WorkflowTask(name="l", task_reference_name="l", optional=True)]],
        ),
        WorkflowTask(
            name="j",
            task_reference_name="j",
            type="JOIN",
            join_on=["l"],
            join_mode="ASYNC",
            cache_config={"key": "k", "ttlInSecond": 5},
        ),
    ],
    input_parameters=["p"],
    output_parameters={"o": "${a.output}"},
    failure_workflow="fw",
    failure_workflow_version=4,
    owner_email="e@x",
    timeout_policy="TIME_OUT_WF",
    timeout_seconds=70,
    variables={"v": 1},
    input_template={"i": True},
    rate_limit_config={"rateLimitKey": "k", "concurrentExecLimit": 2, "policy": "REJECT"},
    input_schema={"name": "s", "version": 1, "type": "PROTOBUF"},
    metadata={"m": None},
    masked_fields=["x"],
)


def test_what_is_set_survives_the_round_trip() -> None:
    assert task_def_of("task", task_def_message(TASK)) == TASK
    assert workflow_def_of("workflow", workflow_def_message(WORKFLOW)) == WORKFLOW


def test_what_is_not_set_takes_the_defaults_of_the_model() -> None:
    task = task_def_of("task", twin.TaskDef(name="t"))
    assert task == TaskDef(
        name="t",
        retry_count=0,
        retry_delay_seconds=0,
        timeout_policy="RETRY",
        task_status_listener_enabled=False,
    )
    message = twin.WorkflowDef(name="w", tasks=[twin.WorkflowTask(name="a")])
    assert workflow_def_of("workflow", message) == WorkflowDef(
        name="w",
        tasks=[WorkflowTask(name="a")],
        timeout_policy="TIME_OUT_WF",
        restartable=False,
        enforce_schema=False,
    )


@pytest.mark.parametrize(("timeout_s", "expected_s"), [(0, 3600), (60, 60), (7200, 3600)])
def test_a_response_timeout_that_is_not_set_does_not_contradict(
    timeout_s: int, expected_s: int
) -> None:
    task = task_def_of("task", twin.TaskDef(name="t", timeout_seconds=timeout_s))
    assert task.response_timeout_seconds == expected_s


def test_numbers_wider_than_their_field_are_shown_at_its_limit() -> None:
    wide = 2**70
    task = TaskDef(name="t", retry_count=wide, timeout_seconds=wide)
    message = workflow_def_message(
        WorkflowDef(
            name="w", tasks=[WorkflowTask(name="a", start_delay=wide, task_definition=task)]
        )
    )
    assert message.tasks[0].start_delay == 2**31 - 1
    assert message.tasks[0].task_definition.retry_count == 2**31 - 1
    assert message.tasks[0].task_definition.timeout_seconds == 2**63 - 1


@pytest.mark.parametrize("count", [0, -1])
def test_a_retry_count_of_0_or_minus_1_on_a_task_is_not_set(count: int) -> None:
    message = twin.WorkflowDef(tasks=[twin.WorkflowTask(retry_count=count)])
    assert workflow_def_of("workflow", message).tasks[0].retry_count is None


def test_nulls_of_documents_are_absent_but_those_of_parameters_are_values() -> None:
    read = decode_workflow(
        '{"name": "w", "createTime": null, "tasks": [{"name": "t", "type": null,'
        ' "decisionCases": {"inputParameters": [{"name": "i", "sink": null}]},'
        ' "inputParameters": {"a": null, "b": {"c": null}},'
        ' "subWorkflowParam": {"workflowDefinition": {"name": "i", "version": null}}}]}'
    )
    task = read.tasks[0]
    assert task.type == "SIMPLE"
    assert task.input_parameters == {"a": None, "b": {"c": None}}
    assert task.decision_cases["inputParameters"][0].sink is None
    assert task.sub_workflow_param == SubWorkflowParams(workflow_definition={"name": "i"})


def test_a_document_that_is_too_deep_is_a_decode_error() -> None:
    with pytest.raises(msgspec.DecodeError, match="fewer levels"):
        decode_workflow("[" * 100_000)
