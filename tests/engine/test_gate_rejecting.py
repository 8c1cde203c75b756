"""Workflows that refuse starts over their limit (S-047, policy REJECT)."""

from __future__ import annotations

import pytest

from podium.engine.command import Rejected, Retry
from podium.engine.transition import Admit
from podium.model.execution import GateState
from podium.model.queue import Limits, gate_queue
from tests.engine.shapes import simple
from tests.engine.test_gate import TWO, gate_of, limited, released

REJECTING = {"concurrentExecLimit": 2, "rateLimitKey": "${workflow.input.of}", "policy": "REJECT"}


def test_a_start_that_is_admitted_has_its_slot_from_its_first_commit_on() -> None:
    machine = limited(simple("a"), config=REJECTING).start({"of": "x"})
    asked = [need for need in machine.needs if isinstance(need, Admit)]
    assert asked == [Admit("wf.gate.0", gate_queue("w", "x"), Limits(2))]
    assert machine.transitions[0].slots == (("wf.gate.0", gate_queue("w", "x")),)
    assert (machine.list(), gate_of(machine).state) == (["a SCHEDULED"], GateState.OPEN)
    machine.work("a")
    assert (machine.status, released(machine)) == ("COMPLETED", ["wf.gate.0"])


def test_a_start_over_the_limit_is_refused_and_nothing_is_made() -> None:
    machine = limited(simple("a"), config=REJECTING)
    machine.admits = False
    draft = machine.draft()
    with pytest.raises(Rejected) as refused:
        machine.decide(draft, machine.start_command({"of": "x"}))
    assert draft.finish("test") is None
    assert refused.value.code == "RESOURCE_EXHAUSTED"
    assert refused.value.message == (
        "expected fewer than 2 running executions of workflow w with the key x (its rateLimitConfig"
        " rejects more), found 2, or others that wait; nothing was started"
    )
    assert (machine.header, machine.transitions) == (None, [])
    plain = limited(simple("a"), config={**TWO, "policy": "REJECT"})
    plain.admits = False
    with pytest.raises(Rejected, match="executions of workflow w \\(its"):
        plain.start()


def test_a_rejecting_workflow_that_is_retried_waits_for_a_slot() -> None:
    machine = limited(simple("a"), config=REJECTING).start({"of": "x"})
    machine.work("a", "FAILED")
    machine.send(Retry())
    machine.run_effects()
    assert gate_of(machine).state is GateState.WAITING
    machine.pass_gate()
    machine.work("a")
    assert machine.status == "COMPLETED"
