"""Statuses, defaults and what registration asks: facts of section 1 that no other test names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from podium.engine.command import Terminate
from podium.engine.validate import validate_task, validate_workflow
from podium.model.definition import TaskDef, WorkflowDef, WorkflowTask, decode_task, decode_workflow
from podium.model.execution import TaskStatus, WorkflowStatus
from tests.engine.looping import Looping, loop
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, task_def
from tests.engine.world import World


def test_s_001_statuses_of_workflows() -> None:
    assert {each.value: each.terminal for each in WorkflowStatus} == {
        "RUNNING": False, "PAUSED": False, "COMPLETED": True, "FAILED": True, "TIMED_OUT": True,
        "TERMINATED": True,
    }  # fmt: skip


def test_s_004_s_005_statuses_of_tasks() -> None:
    assert {each.value: (each.terminal, each.successful) for each in TaskStatus} == {
        "SCHEDULED": (False, True), "IN_PROGRESS": (False, True), "COMPLETED": (True, True),
        "COMPLETED_WITH_ERRORS": (True, True), "SKIPPED": (True, True), "FAILED": (True, False),
        "TIMED_OUT": (True, False), "CANCELED": (True, False),
        "FAILED_WITH_TERMINAL_ERROR": (True, False),
    }  # fmt: skip
    failed = [each for each in TaskStatus if not each.successful]
    assert {each.value for each in failed if each.retriable} == {"FAILED", "TIMED_OUT"}


def test_s_009_progress_of_a_worker_and_of_a_system_task() -> None:
    machine = Machine(flow(fork("f", [simple("a")], [op("HUMAN", "h")]), join("j", "a", "h")))
    machine.start()
    machine.work("a", "IN_PROGRESS")
    machine.report("h", "IN_PROGRESS", output={"half": 1})
    assert machine.list()[1:3] == ["a SCHEDULED", "h IN_PROGRESS"]
    assert machine.task("h").output.value == {"half": 1}


def test_s_012_what_is_canceled() -> None:
    world = World(
        flow(
            fork("f", [simple("a")], [sub("s", "c", permissive=True)], [op("WAIT", "w")]),
            join("j", "s"),
            simple("never"),
        ),
        flow(simple("x"), name="c"),
    )
    machine = world.start("w")
    world.machines[machine.task("s").sub_workflow_id or ""].send(Terminate())
    world.settle()
    assert machine.task("s").status is TaskStatus.CANCELED
    assert machine.task("j").status is TaskStatus.CANCELED
    assert machine.status == "TERMINATED"
    assert machine.list() == [
        "f COMPLETED", "a CANCELED", "s CANCELED", "w CANCELED", "j CANCELED",
    ]  # fmt: skip
    looping = Looping(flow(loop(simple("a")))).start()
    looping.work("a__1", "FAILED")
    assert looping.task("l").status is TaskStatus.CANCELED


def test_s_014_to_s_016_defaults_of_a_task_definition() -> None:
    found = decode_task('{"name": "t"}')
    assert (found.retry_count, found.timeout_seconds, found.timeout_policy) == (3, 0, "TIME_OUT_WF")
    assert (found.retry_logic, found.retry_delay_seconds) == ("FIXED", 60)
    assert found.response_timeout_seconds == 3600
    assert (found.backoff_scale_factor, found.max_retry_delay_seconds) == (1, 0)
    assert (found.backoff_jitter_ms, found.total_timeout_seconds) == (0, 0)
    assert found.poll_timeout_seconds is None
    assert found.concurrent_exec_limit is None
    assert found.rate_limit_per_frequency is None
    assert found.rate_limit_frequency_in_seconds is None
    assert (found.input_template, found.input_keys, found.output_keys) == ({}, [], [])
    assert (found.enforce_schema, found.task_status_listener_enabled) == (False, True)
    assert found.runtime_metadata == []
    assert found.isolation_group_id is found.execution_name_space is found.base_type is None
    assert found.owner_email is None
    assert validate_task(found) == []


@pytest.mark.parametrize("policy", ["RETRY", "TIME_OUT_WF", "ALERT_ONLY"])
@pytest.mark.parametrize("logic", ["FIXED", "EXPONENTIAL_BACKOFF", "LINEAR_BACKOFF"])
def test_s_017_policies_and_logics(policy: str, logic: str) -> None:
    found = decode_task(f'{{"name": "t", "timeoutPolicy": "{policy}", "retryLogic": "{logic}"}}')
    assert (found.timeout_policy, found.retry_logic) == (policy, logic)
    for field in ("timeoutPolicy", "retryLogic"):
        with pytest.raises(msgspec.ValidationError):
            decode_task(f'{{"name": "t", "{field}": "OTHER"}}')


def test_s_019_a_task_may_be_retried_more_than_ten_times() -> None:
    assert validate_task(TaskDef(name="t", retry_count=1000)) == []


def test_s_024_s_025_defaults_of_a_workflow_definition() -> None:
    found = decode_workflow('{"name": "w", "tasks": [{"name": "t", "taskReferenceName": "t"}]}')
    assert (found.version, found.schema_version, found.restartable) == (1, 2, True)
    assert (found.workflow_status_listener_enabled, found.timeout_seconds) == (False, 0)
    assert (found.timeout_policy, found.enforce_schema) == ("ALERT_ONLY", True)
    assert found.variables == found.input_template == found.output_parameters == found.metadata
    assert found.variables == {}
    assert (found.input_parameters, found.failure_workflow_version) == ([], None)
    assert validate_workflow(found) == []
    old = msgspec.structs.replace(found, schema_version=1)
    assert [problem.place for problem in validate_workflow(old)] == ["schemaVersion"]
    with pytest.raises(msgspec.ValidationError):
        decode_workflow('{"name": "w", "timeoutPolicy": "RETRY"}')


@pytest.mark.parametrize("name", ["order_1", "a b", "<x>", "ä.b/c", "a#b-c"])
def test_s_028_names_are_free(name: str) -> None:
    assert validate_workflow(flow(simple("a"), name=name)) == []
    braced = flow(simple("a"), name=f"{name}{{x}}")
    assert [problem.place for problem in validate_workflow(braced)] == ["name"]


def test_s_032_defaults_of_a_task_of_a_workflow() -> None:
    found = WorkflowTask(name="t", task_reference_name="t")
    assert (found.type, found.optional, found.permissive) == ("SIMPLE", False, False)
    assert (found.async_complete, found.start_delay, found.retry_count) == (False, 0, None)
    assert found.join_on == found.fork_tasks == found.default_case == found.loop_over == []
    assert found.decision_cases == found.input_parameters == found.metadata == {}
    assert found.join_mode is None
    places = [problem.place for problem in validate_workflow(flow(WorkflowTask()))]
    assert places == ["tasks[0].taskReferenceName", "tasks[0].name"]
    late = [problem.place for problem in validate_workflow(flow(simple("a", start_delay=-1)))]
    assert late == ["tasks[0].startDelay"]


def test_s_036_a_loop_without_a_condition_runs_once() -> None:
    body = op("DO_WHILE", "l", loop_over=[simple("a")])
    definition = flow(body, simple("b"))
    assert validate_workflow(definition) == []
    machine = Machine(definition, task_defs={"a": task_def("a")}).start()
    machine.work("a__1")
    assert machine.list() == ["l COMPLETED", "a__1 COMPLETED", "b SCHEDULED"]


@pytest.mark.parametrize(
    ("task", "place"),
    [
        (op("HTTP", "t", input_parameters={"uri": "u"}), "inputParameters"),
        (op("HTTP", "t", input_parameters={"uri": "u", "method": "GET"}), None),
        (op("HTTP", "t", input_parameters={"http_request": {}}), None),
        (op("HTTP", "t", task_definition=TaskDef(name="", input_template={"http_request": {}})),
         None),
        (op("JSON_JQ_TRANSFORM", "t"), "inputParameters.queryExpression"),
        (op("TERMINATE", "t", input_parameters={"terminationStatus": "PAUSED"}),
         "inputParameters.terminationStatus"),
        (op("TERMINATE", "t", input_parameters={"terminationStatus": "${workflow.input.s}"}), None),
        (op("TERMINATE", "t", optional=True, input_parameters={"terminationStatus": "FAILED"}),
         "optional"),
    ],
)  # fmt: skip
def test_s_037_what_types_ask_of_their_parameters(task: Any, place: str | None) -> None:
    found = [problem.place for problem in validate_workflow(WorkflowDef(name="w", tasks=[task]))]
    assert found == ([] if place is None else [f"tasks[0].{place}"])
