"""S-046: schemas are enforced on what tasks of any type give."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from podium.engine.command import (
    CloseChild,
    Pause,
    Rejected,
    Rerun,
    Restart,
    Resume,
    Retry,
    Revive,
    Verdict,
)
from podium.engine.transition import Evaluated
from podium.model.payload import Payload
from tests.engine.checking import (
    BROKEN,
    BROKEN_TEXT,
    FAILED,
    LATE,
    NEEDS_N,
    enforced,
    machine_of,
    missing,
    schema,
)
from tests.engine.shapes import fork, join, op, simple, sub, switch


def test_an_output_that_does_not_fit_fails_the_task_and_is_kept() -> None:
    defs = [enforced("a", gives=NEEDS_N, retry_count=3)]
    machine = machine_of(simple("a"), simple("b"), defs=defs).start()
    epoch = machine.grant("a").lease_epoch
    outcome = machine.report("a", output={"m": 1}, lease_epoch=epoch)
    assert outcome.verdict is Verdict.OK
    task = machine.task("a")
    assert (task.status, task.reason) == (FAILED, missing("output", "n"))
    assert task.output.value == {"m": 1}
    assert task.lease is None
    assert machine.list() == [f"a {FAILED}"]
    assert machine.status == "FAILED"
    again = machine.report("a", output={"m": 1}, lease_epoch=epoch)  # sent again: nothing changes
    assert again.verdict is Verdict.OK


def test_only_what_completed_is_judged() -> None:
    defs = [enforced("a", gives=NEEDS_N, retry_count=1)]
    machine = machine_of(simple("a"), defs=defs).start()
    machine.work("a", "IN_PROGRESS", output={"m": 1})
    machine.work("a", "FAILED", output={"m": 1}, reason="no")
    assert machine.list() == ["a FAILED", "a SCHEDULED"]
    assert machine.checks == []
    machine.work("a", output={"n": 1})
    assert machine.status == "COMPLETED"


def test_a_judgement_out_of_time_may_be_tried_again_and_a_broken_one_not() -> None:
    defs = [enforced("a", gives=LATE, retry_count=1)]
    machine = machine_of(simple("a"), defs=defs).start()
    machine.work("a", output={"m": 1})
    assert machine.list() == ["a FAILED", "a SCHEDULED"]
    machine.lates = 0
    machine.work("a")
    assert machine.status == "COMPLETED"
    machine = machine_of(simple("a"), defs=[enforced("a", gives=BROKEN, retry_count=1)]).start()
    machine.work("a", output={"m": 1})
    assert machine.list() == [f"a {FAILED}"]
    assert machine.task("a").reason == f"output: {BROKEN_TEXT}"


def test_operators_are_judged_as_they_complete() -> None:
    inline = op("INLINE", "i", input_parameters={"expression": "1"})
    machine = machine_of(inline, defs=[enforced("i", takes={}, gives=NEEDS_N)])
    machine.evaluated["javascript", "1"] = Evaluated(1)
    machine.start()
    assert machine.list() == [f"i {FAILED}"]
    assert machine.task("i").output.value == {"result": 1}

    choice = switch("c", "k", {"k": [simple("x")]}, optional=True)
    machine = machine_of(choice, simple("z"), defs=[enforced("c", gives=NEEDS_N)]).start()
    assert machine.list() == ["c COMPLETED_WITH_ERRORS", "z SCHEDULED"]

    machine = machine_of(op("WAIT", "w"), defs=[enforced("w", gives=NEEDS_N)]).start()
    machine.report("w", output={"m": 1})
    assert machine.list() == [f"w {FAILED}"]

    wait = op("WAIT", "w", input_parameters={"duration": "3s"})
    machine = machine_of(wait, defs=[enforced("w", gives=NEEDS_N)]).start()
    machine.due("w", "wait")
    assert machine.list() == [f"w {FAILED}"]


def test_the_output_of_a_sub_workflow_is_judged_when_the_child_reports() -> None:
    for output, status in (({"m": 1}, FAILED), ({"n": 1}, "COMPLETED")):
        machine = machine_of(sub("s", "child"), defs=[enforced("s", gives=NEEDS_N)]).start()
        task = machine.task("s")
        assert task.sub_workflow_id is not None
        close = CloseChild(
            task_id=task.id, run_epoch=0, child_id=task.sub_workflow_id, status="COMPLETED",
            output=Payload.of(output),
        )  # fmt: skip
        machine.send(close)
        assert machine.list() == [f"s {status}"]
        assert machine.task("s").output.value == {"subWorkflowId": task.sub_workflow_id, **output}


def test_what_a_join_gathered_is_judged() -> None:
    wanted = {"required": ["x"], "properties": {"x": NEEDS_N}}
    for output, status in (({"m": 1}, FAILED), ({"n": 1}, "COMPLETED")):
        tasks = fork("f", [simple("x")]), join("j", "x")
        machine = machine_of(*tasks, defs=[enforced("j", gives=wanted)]).start()
        machine.work("x", output=output)
        assert machine.task("j").status == status
        assert machine.join_output("j") == {"x": output}


def test_what_a_loop_gathered_is_judged() -> None:
    wanted = {"properties": {"1": {"properties": {"x": NEEDS_N}}}}
    for output, status in (({"m": 1}, FAILED), ({"n": 1}, "COMPLETED")):
        once = op("DO_WHILE", "l", loop_over=[simple("x")], input_parameters={"_items": [1]})
        machine = machine_of(once, defs=[enforced("l", gives=wanted)]).start()
        machine.work("x__1", output=output)
        assert machine.task("l").status == status


def test_what_ends_in_a_pause_is_judged_then_and_once() -> None:
    defs = [enforced("a", gives=LATE), enforced("b", gives=NEEDS_N, retry_count=0)]
    branches = [simple("a")], [simple("b", optional=True)]
    machine = machine_of(fork("f", *branches), join("j", "a", "b"), defs=defs).start()
    machine.send(Pause())
    machine.lates = 0
    machine.work("a")
    machine.work("b")
    assert machine.list()[1:3] == ["a COMPLETED", f"b {FAILED}"]
    assert machine.status == "PAUSED"
    machine.lates = 1  # a second judgement would fail it
    machine.send(Resume())
    assert machine.list() == [
        "f COMPLETED", "a COMPLETED", "b COMPLETED_WITH_ERRORS", "j COMPLETED_WITH_ERRORS",
    ]  # fmt: skip
    assert machine.status == "COMPLETED"


def test_a_child_that_was_revived_and_reports_in_one_decision_is_judged() -> None:
    machine = machine_of(sub("s", "child"), defs=[enforced("s", gives=NEEDS_N)]).start()
    task = machine.task("s")
    assert task.sub_workflow_id is not None
    close = CloseChild(
        task_id=task.id, run_epoch=0, child_id=task.sub_workflow_id, status="FAILED"
    )  # fmt: skip
    machine.send(close)
    revive = Revive(task_id=task.id, run_epoch=0, child_id=task.sub_workflow_id)
    machine.send(revive, replace(close, status="COMPLETED", output=Payload.of({"m": 1})))
    assert machine.list() == [f"s {FAILED}"]
    assert machine.task("s").reason == missing("output", "n")


def test_an_execution_that_failed_for_its_output_is_run_again_not_retried() -> None:
    given = {"n": "${a.output.n}"}
    wanted = {"properties": {"n": {"required": ["k"]}}}
    machine = machine_of(
        simple("a"), simple("b"), output_parameters=given, output_schema=schema(wanted)
    ).start()
    machine.work("a", output={"n": {}})
    machine.work("b")
    assert machine.status == "FAILED"
    with pytest.raises(Rejected, match="FAILED"):
        machine.send(Retry())
    machine.send(Rerun(task_ids=(machine.task("a").id,)))
    machine.run_effects()
    machine.work("a", output={"n": {"k": 1}})
    machine.work("b")
    assert machine.status == "COMPLETED"


def test_a_retry_by_hand_judges_anew() -> None:
    machine = machine_of(simple("a"), simple("b"), defs=[enforced("a", gives=NEEDS_N)]).start()
    machine.work("a", output={"m": 1})
    machine.send(Retry())
    machine.run_effects()
    assert machine.list() == [f"a {FAILED}", "a SCHEDULED"]
    machine.work("a", output={"m": 1})
    assert machine.status == "FAILED"
    machine.send(Restart())
    machine.run_effects()
    machine.work("a", output={"n": 1})
    machine.work("b")
    assert machine.status == "COMPLETED"
