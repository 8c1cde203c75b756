"""Fields that Conductor keeps and does not act on: here, too, they are kept and change nothing."""

from __future__ import annotations

import msgspec

from podium.engine.validate import validate_workflow
from podium.model.definition import SubWorkflowParams
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple


def test_s_048_s_388_a_join_has_no_script() -> None:
    joined = join("j", "a", expression="broken (", evaluator_type="javascript", join_status="X")
    definition = flow(fork("f", [simple("a")]), joined)
    assert validate_workflow(definition) == []
    machine = Machine(definition).start()
    machine.work("a", output={"x": 1})
    assert machine.status == "COMPLETED"
    assert machine.join_output("j") == {"a": {"x": 1}}


def test_s_050_keys_of_a_child_are_shown_and_not_used() -> None:
    params = SubWorkflowParams(
        name="c", version=1, idempotency_key="${workflow.input.k}", idempotency_strategy="FAIL"
    )
    child = op("SUB_WORKFLOW", "s", sub_workflow_param=params)
    twice = flow(child, msgspec.structs.replace(child, task_reference_name="s2", name="s2"))
    machine = Machine(twice).start({"k": "key"})
    machine.report("s")
    for ref in ("s", "s2"):
        found = machine.task(ref).input.value
        assert (found["idempotencyKey"], found["idempotencyStrategy"]) == ("key", "FAIL")
    assert len({effect.workflow_id for effect in machine.effects}) == 2


def test_s_257_what_only_describes() -> None:
    described = simple("a", description="d", metadata={"m": 1})
    machine = Machine(flow(described, owner_email="x@y", description="d", metadata={"m": 1}))
    machine.start()
    machine.work("a", output={"x": 1})
    assert (machine.status, machine.output.value) == ("COMPLETED", {"x": 1})
    assert machine.task("a").input.value == {}
