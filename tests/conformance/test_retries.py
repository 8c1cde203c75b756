"""Retries and timeouts (section 3): what the engine's own tests leave open."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from podium.engine.command import ExtendLease, Retry, UpdateVariables, Verdict
from podium.engine.retry import DELAY_SECONDS_MAX, delay_seconds, gives_up_for_time
from podium.model.definition import TaskDef
from podium.model.payload import Payload
from tests.engine.looping import Looping, loop
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, op, simple, task_def

TERMINAL = "FAILED_WITH_TERMINAL_ERROR"


def one(task: Any = None, **fields: Any) -> Machine:
    kind = task_def("a", **fields)
    return Machine(flow(task or simple("a"), simple("b")), task_defs={"a": kind}).start()


def test_s_034_choices_forks_joins_and_loops_are_never_retried() -> None:
    kinds = {each: task_def(each, retry_count=5) for each in ("j", "l", "x")}
    forked = flow(fork("f", [simple("a", permissive=True)]), join("j", "a"))
    machine = Machine(forked, task_defs={**kinds, "a": task_def("a")}).start()
    machine.work("a", "FAILED")
    assert machine.list()[-1] == "j FAILED"
    looping = Looping(flow(loop(simple("a", permissive=True))),
                      task_defs={**kinds, "a": task_def("a")})  # fmt: skip
    looping.start()
    looping.work("a__1", "FAILED")
    assert looping.list() == ["l FAILED", "a__1 FAILED"]
    exclusive = op("EXCLUSIVE_JOIN", "x", join_on=["a"])
    machine = Machine(flow(simple("a", permissive=True), exclusive),
                      task_defs={**kinds, "a": task_def("a")})  # fmt: skip
    machine.start()
    machine.work("a", "FAILED")
    assert machine.list() == ["a FAILED", "x FAILED"]


def test_s_254_s_266_how_many_attempts_there_are() -> None:
    for own, registered, attempts in ((None, 3, 4), (1, 3, 2), (0, 3, 1), (2, 0, 3)):
        machine = one(simple("a", retry_count=own), retry_count=registered)
        for _ in range(attempts):
            machine.work("a", "FAILED")
        assert machine.list() == ["a FAILED"] * attempts
        assert machine.status == "FAILED"
        assert machine.task("a").retry_count == attempts - 1


def test_s_255_an_embedded_definition_goes_before_the_registered_one() -> None:
    own = TaskDef(name="a", retry_count=1, retry_delay_seconds=9, timeout_seconds=50,
                  response_timeout_seconds=7, input_template={"t": 1}, concurrent_exec_limit=4,
                  rate_limit_per_frequency=5)  # fmt: skip
    machine = one(simple("a", task_definition=own), retry_count=0)
    task = machine.grant("a")
    assert task.input.value == {"t": 1}
    assert (task.limits.concurrent, task.limits.rate) == (4, 5)
    assert machine.deadlines == {
        (task.id, "response"): T0 + 7_000, (task.id, "timeout"): T0 + 50_000,
    }  # fmt: skip
    machine.report("a", "FAILED")
    assert machine.deadlines == {(machine.task("a").id, "retry"): T0 + 9_000}


@pytest.mark.parametrize("status", [TERMINAL, "CANCELED"])
def test_s_267_what_is_not_retried(status: str) -> None:
    machine = one(retry_count=5)
    machine.work("a", status)
    assert machine.list() == [f"a {status}"]
    assert machine.status == ("TERMINATED" if status == "CANCELED" else "FAILED")


@pytest.mark.parametrize(
    ("logic", "delays"),
    [
        ("FIXED", [10, 10, 10]),
        ("LINEAR_BACKOFF", [30, 60, 90]),
        ("EXPONENTIAL_BACKOFF", [10, 20, 40]),
    ],
)
def test_s_268_to_s_270_delays_with_a_scale_factor(logic: Any, delays: list[int]) -> None:
    kind = TaskDef(name="t", retry_logic=logic, retry_delay_seconds=10, backoff_scale_factor=3)
    assert [delay_seconds(kind, count) for count in range(3)] == delays
    capped = replace(kind, max_retry_delay_seconds=5)
    assert [delay_seconds(capped, count) for count in range(3)] == [5, 5, 5]


def test_s_271_delays_do_not_overflow() -> None:
    long = TaskDef(name="t", retry_logic="EXPONENTIAL_BACKOFF", retry_delay_seconds=60)
    assert [delay_seconds(long, count) for count in (0, 5, 40, 10_000)] == [
        60, 1920, DELAY_SECONDS_MAX, DELAY_SECONDS_MAX,
    ]  # fmt: skip
    wide = TaskDef(name="t", retry_logic="LINEAR_BACKOFF", retry_delay_seconds=2**31,
                   backoff_scale_factor=2**31)  # fmt: skip
    assert delay_seconds(wide, 3) == DELAY_SECONDS_MAX == 2**31 - 1


def test_s_274_s_275_the_record_of_a_retry() -> None:
    machine = one(retry_count=1, retry_delay_seconds=5)
    machine.now_ms += 100
    machine.work("a", "FAILED", reason="why", output={"gone": 1}, worker_id="w")
    first, again = machine.attempts[machine.task("a").key, 0], machine.task("a")
    assert again.id != first.id
    assert (again.retried_task_id, again.retry_count) == (first.id, 1)
    assert (again.status.value, again.poll_count, again.worker_id) == ("SCHEDULED", 0, None)
    assert (again.output.value, again.sub_workflow_id) == ({}, None)
    assert (again.start_ms, again.end_ms, again.scheduled_ms) == (0, 0, T0 + 100)
    assert (again.first_scheduled_ms, again.seq) == (T0, 2)
    assert again.reason == "why"
    assert (again.start_delay_ms, again.callback_after_ms) == (5_000, 5_000)


def test_s_276_the_input_of_a_retry_is_evaluated_anew() -> None:
    reads = {"v": "${workflow.variables.v}", "id": "${CPEWF_TASK_ID}", "same": 1}
    definition = flow(simple("a", input_parameters=reads), variables={"v": 1})
    kinds = {"a": task_def("a", retry_count=1)}
    machine = Machine(definition, task_defs=kinds).start()
    machine.send(UpdateVariables(variables=Payload.of({"v": 2})))
    machine.work("a", "FAILED")
    task = machine.task("a")
    assert task.input.value == {"v": 2, "id": task.id, "same": 1}


def test_s_277_the_failed_attempt_keeps_its_status_and_is_marked() -> None:
    machine = one(retry_count=1, response_timeout_seconds=5)
    machine.grant("a")
    machine.due("a", "response")
    first = machine.attempts[machine.task("a").key, 0]
    assert (first.status.value, first.retried) == ("TIMED_OUT", True)
    assert not machine.task("a").retried


def test_s_282_the_total_timeout_needs_a_first_scheduling_time() -> None:
    kind = TaskDef(name="a", total_timeout_seconds=5)
    task = one().task("a")
    late_ms = T0 + 60_000
    assert gives_up_for_time(task, kind, late_ms) is not None
    assert gives_up_for_time(replace(task, first_scheduled_ms=0), kind, late_ms) is None


def test_s_283_the_timeout_runs_from_the_first_start_of_the_attempt() -> None:
    machine = one(simple("a", start_delay=30), timeout_seconds=20)
    machine.due("a", "retry")
    machine.now_ms += 1_000
    machine.grant("a")
    started_ms, task_id = machine.now_ms, machine.task("a").id
    assert machine.deadlines[task_id, "timeout"] == started_ms + 20_000
    machine.report("a", "IN_PROGRESS")
    machine.now_ms += 5_000
    machine.grant("a")
    assert machine.deadlines[task_id, "timeout"] == started_ms + 20_000


def test_s_290_no_response_is_awaited_while_queued_or_where_none_is_configured() -> None:
    machine = one(response_timeout_seconds=5)
    assert not machine.deadlines
    machine = one(response_timeout_seconds=0)
    machine.grant("a")
    assert not machine.deadlines
    kinds = {"h": task_def("h", response_timeout_seconds=5)}
    http = op("HTTP", "h", input_parameters={"uri": "u"}, async_complete=True)
    machine = Machine(flow(http), task_defs=kinds).start()
    assert machine.deadlines == {}
    machine.grant("h")
    assert (machine.task("h").id, "response") in machine.deadlines
    machine.report("h", "IN_PROGRESS")  # the call was made; an update is awaited
    assert not machine.deadlines


def test_s_293_what_renews_the_response_timeout() -> None:
    machine = one(response_timeout_seconds=5)
    task_id = machine.grant("a").id
    machine.now_ms += 3_000
    machine.send(ExtendLease(task_id=task_id))
    assert machine.deadlines[task_id, "response"] == T0 + 8_000
    machine.report("a", "IN_PROGRESS")
    machine.now_ms += 60_000
    machine.grant("a")
    assert machine.deadlines[task_id, "response"] == machine.now_ms + 5_000


def test_s_295_a_timed_out_attempt_is_handed_out_no_more() -> None:
    machine = one(retry_count=1, poll_timeout_seconds=5, timeout_policy="RETRY")
    first = machine.task("a").id
    machine.due("a", "poll")
    assert set(machine.ready) == {machine.task("a").id} != {first}


def test_s_298_no_response_timeout_while_a_callback_is_awaited() -> None:
    machine = one(response_timeout_seconds=5)
    machine.work("a", "IN_PROGRESS", callback_after_ms=60_000)
    assert machine.deadlines == {(machine.task("a").id, "retry"): T0 + 60_000}


def test_s_300_a_retry_restarts_the_clock_and_s_301_it_is_a_deadline() -> None:
    definition = flow(simple("a"), timeout_seconds=60, timeout_policy="TIME_OUT_WF")
    machine = Machine(definition, task_defs={"a": task_def("a")}).start()
    assert machine.deadlines["", "workflow"] == T0 + 60_000
    machine.now_ms += 50_000
    machine.work("a", "FAILED")
    machine.now_ms += 30_000
    machine.send(Retry())
    assert machine.deadlines["", "workflow"] == T0 + 140_000
    assert machine.due("", "workflow").verdict is Verdict.OK
    assert machine.status == "TIMED_OUT"
    assert machine.now_ms == T0 + 140_000


@pytest.mark.parametrize(
    ("fields", "status", "after"),
    [
        ({}, TERMINAL, None),
        ({"optional": True}, "COMPLETED_WITH_ERRORS", "b SCHEDULED"),
        ({"permissive": True}, TERMINAL, "b SCHEDULED"),
    ],
)
def test_s_302_a_terminal_error(fields: dict[str, Any], status: str, after: str | None) -> None:
    machine = one(simple("a", **fields), retry_count=5)
    machine.work("a", TERMINAL)
    expected = [f"a {status}"] + ([after] if after else [])
    assert machine.list() == expected
    if not after:
        machine.send(Retry())
        assert machine.list()[-1] == "a SCHEDULED"


def test_s_303_an_error_that_was_forgiven_reads_as_such() -> None:
    reads = simple("b", input_parameters={"s": "${a.status}", "o": "${a.output.x}"})
    machine = Machine(flow(simple("a", optional=True), reads), task_defs={"a": task_def("a")})
    machine.start()
    machine.work("a", "FAILED", output={"x": 1})
    assert machine.task("b").input.value == {"s": "COMPLETED_WITH_ERRORS", "o": 1}


def test_s_304_what_the_server_itself_fails_for_good() -> None:
    machine = Machine(flow(op("WAIT", "w", input_parameters={"until": "${workflow.input.u}"})))
    machine.start({"u": "soon"})
    assert machine.list() == [f"w {TERMINAL}"]
    machine = Machine(
        flow(op("INLINE", "i", input_parameters={"expression": "${workflow.input.e}"}))
    )
    machine.start({"e": " "})
    assert machine.list() == [f"i {TERMINAL}"]
