"""Expressions in the places where tasks and workflows evaluate them (section 5)."""

from __future__ import annotations

from typing import Any

from podium.engine.command import UpdateVariables
from podium.engine.transition import Evaluated
from podium.model.definition import SubWorkflowParams
from podium.model.payload import Payload
from tests.engine.looping import Looping, loop
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple, switch, task_def

ID = "${CPEWF_TASK_ID}"


def test_s_041_s_510_the_last_attempt_and_the_newest_iteration_are_read() -> None:
    reads = simple("b", input_parameters={"x": "${a.output.x}", "n": "${a.retryCount}"})
    machine = Machine(flow(simple("a"), reads), task_defs={"a": task_def("a", retry_count=1)})
    machine.start()
    machine.work("a", "FAILED", output={"x": "first"})
    machine.work("a", output={"x": "second"})
    assert machine.task("b").input.value == {"x": "second", "n": 1}
    late = simple("z", input_parameters={"x": "${a.output.x}", "no": "${a__1.output.x}"})
    forked = op("FORK_JOIN_DYNAMIC", "f", input_parameters={"forkTaskInputs": []}), op("JOIN", "j")
    looping = Looping(flow(loop(simple("a"), n=2), *forked, late))
    looping.start()
    for number in (1, 2):
        looping.work(f"a__{number}", output={"x": number})
    assert looping.task("z").input.value == {"x": 2, "no": None}


def test_s_509_what_a_task_shows() -> None:
    fields = ["taskType", "status", "referenceTaskName", "taskDefName", "pollCount", "workerId",
              "workflowInstanceId", "correlationId", "retryCount", "iteration"]  # fmt: skip
    reads = simple("b", input_parameters={each: f"${{a.{each}}}" for each in fields})
    machine = Machine(flow(simple("a", "kind"), reads)).start(correlation_id="c")
    machine.work("a")
    assert machine.task("b").input.value == {
        "taskType": "kind", "status": "COMPLETED", "referenceTaskName": "a", "taskDefName": "kind",
        "pollCount": 1, "workerId": "w", "workflowInstanceId": "wf", "correlationId": "c",
        "retryCount": 0, "iteration": 0,
    }  # fmt: skip


def test_s_477_expressions_in_a_script_are_replaced_first() -> None:
    given = {"expression": "$.x + '${workflow.input.text}' + `$${y}`", "x": 1}
    machine = Machine(flow(op("INLINE", "i", input_parameters=given)))
    machine.evaluated["javascript", "$.x + 'hello' + `${y}`"] = Evaluated("done")
    machine.start({"text": "hello"})
    assert machine.task("i").output.value == {"result": "done"}


def test_s_515_parameters_are_evaluated_when_a_task_is_scheduled() -> None:
    reads = simple("a", input_parameters={"v": "${workflow.variables.v}"})
    machine = Machine(flow(reads, variables={"v": 1})).start()
    machine.send(UpdateVariables(variables=Payload.of({"v": 2})))
    assert machine.grant("a").input.value == {"v": 1}


def test_s_516_where_a_task_id_is_at_hand() -> None:
    params = SubWorkflowParams(name="c", version=1, task_to_domain={"*": ID})
    request: Any = {"name": "other", "input": {"id": ID}}
    definition = flow(
        simple("a", input_parameters={"id": ID}),
        switch("s", ID, {}),
        op("SET_VARIABLE", "v", input_parameters={"id": ID}),
        op("START_WORKFLOW", "w", input_parameters={"startWorkflow": request}),
        op("SUB_WORKFLOW", "c", sub_workflow_param=params, input_parameters={"id": ID}),
        output_parameters={"id": ID},
    )
    machine = Machine(definition).start()
    assert machine.task("a").input.value == {"id": machine.task("a").id}
    machine.work("a")
    assert machine.task("s").input.value["v"] == ID
    assert machine.variables.value == {"id": ID}
    assert machine.task("w").input.value == {"startWorkflow": request}
    machine.report("w")
    child = machine.task("c").input.value
    assert child["workflowInput"] == {"id": ID}
    assert child["subWorkflowTaskToDomain"] == {"*": ID}
    machine.report("c")
    assert machine.output.value == {"id": ID}


def test_s_516_forks_have_none_either() -> None:
    static = fork("f", [simple("a")])
    given = {"forkTaskName": "k", "forkTaskInputs": [], "id": ID}
    dynamic = op("FORK_JOIN_DYNAMIC", "g", input_parameters=given)
    machine = Machine(flow(dynamic, op("JOIN", "k"), static, join("j", "a"))).start()
    assert machine.task("g").input.value["id"] == ID


def test_s_526_a_workflows_template_is_no_expression() -> None:
    machine = Machine(flow(simple("a"), input_template={"x": "${workflow.workflowId}"})).start()
    assert machine.input.value == {"x": "${workflow.workflowId}"}
