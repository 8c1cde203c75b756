"""WAIT and HUMAN: durations, instants, ends from outside, timeouts, retries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from podium.engine.validate import validate_workflow
from podium.engine.wait_text import DURATION_FORM, duration_ms, instant_ms
from podium.model.execution import TaskStatus
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, op, simple, task_def

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def wait(ref: str = "w", **given: Any) -> Any:
    return op("WAIT", ref, input_parameters=given)


def at(*parts: int) -> int:
    return round(datetime(*parts, tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5s", 5 * SECOND),
        ("5 seconds", 5 * SECOND),
        ("1 SEC", SECOND),
        ("2 days 30 mins", 2 * DAY + 30 * MINUTE),
        ("1d2h", DAY + 2 * HOUR),
        ("1 day 2 hours 3 minutes 4 seconds", DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND),
        ("1hr", HOUR),
        ("2hrs 1m", 2 * HOUR + MINUTE),
        (" 3 s ", 3 * SECOND),
        ("0s", 0),
        ("2147483647s", 2_147_483_647_000),
        ("2147483648s", None),
        ("24856 days", None),
        ("5", None),
        ("", None),
        ("s", None),
        ("-5s", None),
        ("1.5h", None),
        ("1s 1m", None),
        ("1 fortnight", None),
        ("\u0661s", None),
    ],
)
def test_s_452_durations(text: str, found: int | None) -> None:
    assert duration_ms(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-01-02", at(2026, 1, 2)),
        ("2026-01-02 03:04", at(2026, 1, 2, 3, 4)),
        ("2026-01-02 03:04 UTC", at(2026, 1, 2, 3, 4)),
        ("2026-01-02 03:04 GMT+04:00", at(2026, 1, 1, 23, 4)),
        ("2026-01-02 03:04 -02:30", at(2026, 1, 2, 5, 34)),
        ("2026-01-02 03:04 America/Los_Angeles", at(2026, 1, 2, 11, 4)),
        ("2026-07-02 03:04 PST", at(2026, 7, 2, 10, 4)),
        ("2026-01-02 03:04 cet", at(2026, 1, 2, 2, 4)),
        ("2026-02-30", None),
        ("2026-01-02 25:00", None),
        ("2026-01-02T03:04", None),
        ("2026-01-02 03:04 Atlantis", None),
        ("2026-01-02 03:04 ../../etc/passwd", None),
        ("2026-01-02 03:04 GMT+99:00", None),
        ("0000-01-02", None),
        ("tomorrow", None),
    ],
)
def test_s_453_instants(text: str, found: int | None) -> None:
    assert instant_ms(text) == found


def test_s_456_a_duration_ends_the_task_when_it_is_over() -> None:
    machine = Machine(flow(wait(duration="${workflow.input.d}"), simple("a"))).start({"d": "2m"})
    assert machine.list() == ["w IN_PROGRESS"]
    assert machine.deadlines == {(machine.task("w").id, "wait"): T0 + 2 * MINUTE}
    assert machine.task("w").callback_after_ms == 2 * MINUTE
    machine.due("w", "wait")
    assert machine.list() == ["w COMPLETED", "a SCHEDULED"]
    assert machine.task("w").output.value == {}


def test_s_453_an_instant_that_is_past_ends_it_at_once() -> None:
    machine = Machine(flow(wait(until="1970-01-01"), simple("a"))).start()
    assert machine.list() == ["w COMPLETED", "a SCHEDULED"]


def test_s_455_s_457_without_a_time_an_update_ends_it() -> None:
    machine = Machine(flow(wait(), simple("a", input_parameters={"x": "${w.output.x}"}))).start()
    assert machine.list() == ["w IN_PROGRESS"]
    assert not machine.deadlines
    assert machine.task("w").callback_after_ms == 2_147_483_647_000
    machine.report("w", output={"x": 5})
    assert machine.task("a").input.value == {"x": 5}


def test_s_457_an_update_ends_it_early_and_its_deadline() -> None:
    machine = Machine(flow(wait(duration="1h"))).start()
    machine.report("w", "IN_PROGRESS", {"seen": 1})
    assert (machine.task("w").id, "wait") in machine.deadlines
    machine.report("w")
    assert machine.status == "COMPLETED"
    assert not machine.deadlines


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"duration": "1s", "until": "2030-01-01"},
         "Both 'duration' and 'until' specified. Please provide only one input"),
        ({"until": "soon"}, "Invalid/Unsupported Wait Until format.  Provided: soon"),
        ({"duration": "5"}, f"expected a duration of the form {DURATION_FORM}, found 5"),
        ({"duration": 5}, f"expected a duration of the form {DURATION_FORM}, found 5"),
    ],
)  # fmt: skip
def test_s_454_bad_input_fails_the_task_for_good(given: dict[str, Any], reason: str) -> None:
    template = {name: f"${{workflow.input.{name}}}" for name in given}
    defs = {"w": task_def("w", retry_count=3)}
    machine = Machine(flow(wait(**template)), task_defs=defs).start(given)
    assert machine.status == "FAILED"
    assert machine.task("w").status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert machine.task("w").reason == reason


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"duration": "soon"}, "tasks[0].inputParameters.duration"),
        ({"duration": 5}, "tasks[0].inputParameters.duration"),
        ({"until": "2026-13-01"}, "tasks[0].inputParameters.until"),
        ({"duration": "1s", "until": "2026-12-01"}, "tasks[0].inputParameters"),
    ],
)
def test_s_038_bad_literals_are_refused(given: dict[str, Any], place: str) -> None:
    assert [problem.place for problem in validate_workflow(flow(wait(**given)))] == [place]


def test_s_830_a_wait_that_timed_out_is_tried_again() -> None:
    defs = {"w": task_def("w", retry_count=1, timeout_seconds=5, timeout_policy="RETRY",
                          retry_delay_seconds=2, response_timeout_seconds=1)}  # fmt: skip
    machine = Machine(flow(wait()), task_defs=defs).start()
    machine.due("w", "timeout")
    assert machine.list() == ["w TIMED_OUT", "w SCHEDULED"]
    machine.report("w", "IN_PROGRESS")
    assert machine.list() == ["w TIMED_OUT", "w SCHEDULED"]  # its delay is not over
    machine.due("w", "retry")
    assert machine.list() == ["w TIMED_OUT", "w IN_PROGRESS"]
    assert (machine.task("w").id, "timeout") in machine.deadlines
    machine.report("w")
    assert machine.status == "COMPLETED"


def test_a_wait_that_timed_out_keeps_no_deadline_of_its_duration() -> None:
    defs = {"w": task_def("w", timeout_seconds=5, timeout_policy="TIME_OUT_WF")}
    machine = Machine(flow(wait(duration="1h")), task_defs=defs).start()
    machine.due("w", "timeout")
    assert machine.status == "TIMED_OUT"
    assert not machine.deadlines


def test_s_459_a_human_waits_for_an_update_and_keeps_its_timeouts() -> None:
    defs = {"h": task_def("h", timeout_seconds=60, response_timeout_seconds=10)}
    human = op("HUMAN", "h", input_parameters={"form": "${workflow.input.form}"})
    machine = Machine(flow(human, simple("a")), task_defs=defs).start({"form": "f"})
    assert machine.list() == ["h IN_PROGRESS"]
    assert machine.task("h").input.value == {"form": "f"}
    assert {kind for _, kind in machine.deadlines} == {"timeout"}
    machine.report("h", output={"by": "me"})
    assert machine.list() == ["h COMPLETED", "a SCHEDULED"]


def test_a_human_that_is_refused_fails_the_workflow() -> None:
    machine = Machine(flow(op("HUMAN", "h"))).start()
    machine.report("h", "FAILED", reason="no")
    assert machine.status == "FAILED"


def test_waits_in_branches_are_joined() -> None:
    fork = op("FORK_JOIN", "f", fork_tasks=[[wait("a", duration="1s")], [wait("b")]])
    machine = Machine(flow(fork, op("JOIN", "j", join_on=["a", "b"]))).start()
    machine.due("a", "wait")
    machine.report("b")
    assert machine.status == "COMPLETED"
