"""NOOP, SET_VARIABLE, INLINE, LAMBDA, JSON_JQ_TRANSFORM and choices by script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from podium.engine.limits import PAYLOAD_BYTES_LIMIT, VARIABLES_BYTES_LIMIT
from podium.engine.transition import Evaluate, Evaluated
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, op, simple, task_def

if TYPE_CHECKING:
    from podium.engine.transition import Language
    from podium.model.definition import WorkflowTask

DOUBLE = "$.n * 2"
NO_EXPRESSION = (
    "Empty 'expression' in Inline task's input parameters. A non-empty String value must be"
    " provided."
)


def inline(ref: str = "i", **fields: Any) -> WorkflowTask:
    given = {"expression": DOUBLE, "n": "${workflow.input.n}"} | fields.pop("given", {})
    return op("INLINE", ref, input_parameters=given, **fields)


def answering(
    definition: Any, program: str, answer: Evaluated, language: Language = "javascript", **f: Any
) -> Machine:
    machine = Machine(definition, **f)
    machine.evaluated[language, program] = answer
    return machine


def asked(machine: Machine) -> list[Evaluate]:
    return [need for need in machine.needs if isinstance(need, Evaluate)]


def reason_of(machine: Machine, ref: str) -> str:
    return machine.task(ref).reason or ""


# NOOP and SET_VARIABLE


def test_s_484_a_noop_completes_with_no_output() -> None:
    machine = Machine(flow(op("NOOP", "n", input_parameters={"x": 1}), simple("a"))).start()
    assert machine.list() == ["n COMPLETED", "a SCHEDULED"]
    task = machine.task("n")
    assert (task.task_type, task.output.value, task.input.value) == ("NOOP", {}, {"x": 1})


def test_s_471_s_473_variables_are_replaced_and_seen_by_what_follows() -> None:
    definition = flow(
        op("SET_VARIABLE", "v", input_parameters={"a": {"new": "${workflow.input.n}"}}),
        simple("s", input_parameters={"a": "${workflow.variables.a}"}),
        variables={"a": {"old": 1}, "b": 2},
    )
    machine = Machine(definition).start({"n": 5})
    assert machine.variables.value == {"a": {"new": 5}, "b": 2}
    assert machine.task("v").output.value == {}
    assert machine.task("s").input.value == {"a": {"new": 5}}


def test_variables_change_in_the_commit_of_their_task_and_in_no_other() -> None:
    definition = flow(
        simple("s"),
        op("SET_VARIABLE", "v", input_parameters={"a": "${s.output.x}"}),
        simple("t", input_parameters={"a": "${workflow.variables.a}"}),
    )
    machine = Machine(definition).start()
    machine.work("s", output={"x": [1]})
    assert machine.transitions[-1].variables == machine.variables
    assert machine.task("t").input.value == {"a": [1]}
    machine.work("t")
    assert machine.status == "COMPLETED"
    assert machine.transitions[-1].variables is None
    assert machine.variables.value == {"a": [1]}


def test_s_473_set_variable_has_no_template_and_no_task_id() -> None:
    kind = task_def("v", input_template={"t": 1})
    task = op("SET_VARIABLE", "v", input_parameters={"id": "${CPEWF_TASK_ID}"})
    machine = Machine(flow(task), task_defs={"v": kind}).start()
    assert machine.variables.value == {"id": "${CPEWF_TASK_ID}"}


@pytest.mark.parametrize("optional", [True, False])
def test_s_472_too_many_variables_fail_the_task_and_none_is_set(*, optional: bool) -> None:
    big = "x" * VARIABLES_BYTES_LIMIT
    task = op("SET_VARIABLE", "v", input_parameters={"a": "${workflow.input.a}"}, optional=optional)
    kind = task_def("v", retry_count=3)
    machine = Machine(flow(task, variables={"b": 1}), task_defs={"v": kind}).start({"a": big})
    size = len(orjson.dumps({"b": 1, "a": big}))
    assert reason_of(machine, "v") == (
        f"The variables payload size: {size} of workflow: wf is greater than the permissible"
        " limit: 256 kilobytes"
    )
    assert machine.variables.value == {"b": 1}
    ends = ("COMPLETED_WITH_ERRORS", "COMPLETED") if optional else (
        "FAILED_WITH_TERMINAL_ERROR", "FAILED",
    )  # fmt: skip
    assert (machine.list(), machine.status) == ([f"v {ends[0]}"], ends[1])


# INLINE


def test_s_474_inline_gives_what_its_script_gives() -> None:
    machine = answering(flow(inline(), simple("a")), DOUBLE, Evaluated(6)).start({"n": 3})
    task = machine.task("i")
    assert task.output.value == {"result": 6}
    given = {"evaluatorType": "javascript", "expression": DOUBLE, "n": 3}
    assert task.input.value == given
    assert (task.task_type, task.def_name) == ("INLINE", "i")
    assert machine.list() == ["i COMPLETED", "a SCHEDULED"]
    (need,) = asked(machine)
    assert orjson.loads(need.input) == given
    assert (need.language, need.now_ms, need.seed) == ("javascript", T0, task.id)


@pytest.mark.parametrize("value", [None, [1.5, {"a": None}], "text", False])
def test_any_value_is_a_result(value: Any) -> None:
    machine = answering(flow(inline()), DOUBLE, Evaluated(value)).start()
    assert machine.task("i").output.value == {"result": value}
    assert machine.status == "COMPLETED"


def test_s_476_a_value_param_asks_nobody() -> None:
    given = {"evaluatorType": "value-param", "expression": "n"}
    machine = Machine(flow(inline(given=given))).start({"n": [7]})
    assert machine.task("i").output.value == {"result": [7]}
    assert not asked(machine)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"evaluatorType": "python"}, "Unknown evaluator 'python' in INLINE task."),
        ({"evaluatorType": " "}, "Unknown evaluator ' ' in INLINE task."),
        ({"expression": "${workflow.input.none}"}, NO_EXPRESSION),
    ],
)
def test_s_475_an_inline_that_cannot_run(given: dict[str, Any], reason: str) -> None:
    kind = task_def("i", retry_count=2)
    machine = Machine(flow(inline(given=given)), task_defs={"i": kind}).start({"n": 1})
    assert machine.list() == ["i FAILED_WITH_TERMINAL_ERROR"]
    assert reason_of(machine, "i") == reason
    assert machine.task("i").output.value == {"error": reason}
    assert machine.status == "FAILED"


def test_s_475_a_script_that_fails_is_not_tried_again() -> None:
    kind = task_def("i", retry_count=2)
    error = Evaluated(error="x" * 600)
    machine = answering(flow(inline()), DOUBLE, error, task_defs={"i": kind}).start()
    assert machine.list() == ["i FAILED_WITH_TERMINAL_ERROR"]
    assert machine.task("i").output.value == {"error": "x" * 600}
    assert reason_of(machine, "i") == "x" * 500


def test_s_278_a_script_without_time_is_tried_again_after_the_delay() -> None:
    kind = task_def("i", retry_count=1, retry_delay_seconds=5)
    late = Evaluated(error="late", retriable=True)
    definition = flow(inline(given={"id": "${CPEWF_TASK_ID}"}), simple("a"))
    machine = answering(definition, DOUBLE, late, task_defs={"i": kind}).start({"n": 1})
    assert machine.list() == ["i FAILED", "i SCHEDULED"]
    assert machine.deadlines[machine.task("i").id, "retry"] == T0 + 5000
    machine.evaluated["javascript", DOUBLE] = Evaluated(2)
    machine.due("i", "retry")
    assert machine.list() == ["i FAILED", "i COMPLETED", "a SCHEDULED"]
    seeds = [need.seed for need in asked(machine)]
    assert seeds == [machine.attempts[machine.task("i").key, 0].id, machine.task("i").id]
    assert machine.task("i").input.value["id"] == machine.task("i").id


def test_retries_without_a_delay_end_within_the_decision() -> None:
    kind = task_def("i", retry_count=2)
    late = Evaluated(error="late", retriable=True)
    machine = answering(flow(inline()), DOUBLE, late, task_defs={"i": kind}).start()
    assert machine.list() == ["i FAILED"] * 3
    assert machine.status == "FAILED"
    assert len(machine.transitions) == 1


@pytest.mark.parametrize(
    ("value", "found"),
    [(2**70, "64 bits"), ("x" * PAYLOAD_BYTES_LIMIT, str(PAYLOAD_BYTES_LIMIT))],
)
def test_a_value_that_no_output_holds_fails_the_task(value: Any, found: str) -> None:
    machine = answering(flow(inline()), DOUBLE, Evaluated(value)).start()
    assert machine.list() == ["i FAILED_WITH_TERMINAL_ERROR"]
    assert found in reason_of(machine, "i")
    assert machine.task("i").output.value == {}


def test_an_input_over_the_limit_never_reaches_the_sandbox() -> None:
    half = "x" * (PAYLOAD_BYTES_LIMIT // 2)
    task = inline(given={"a": "${workflow.input.a}", "b": "${workflow.input.a}"})
    machine = Machine(flow(task)).start({"a": half})
    assert machine.list() == ["i FAILED_WITH_TERMINAL_ERROR"]
    assert f"expected a task input of at most {PAYLOAD_BYTES_LIMIT} bytes" in reason_of(
        machine, "i"
    )
    assert not asked(machine)


@pytest.mark.parametrize(("fields", "status"), [({"optional": True}, "COMPLETED_WITH_ERRORS"),
                                                ({"permissive": True},
                                                 "FAILED_WITH_TERMINAL_ERROR")])  # fmt: skip
def test_a_failing_script_may_be_forgiven(fields: dict[str, Any], status: str) -> None:
    definition = flow(inline(**fields), simple("a"))
    machine = answering(definition, DOUBLE, Evaluated(error="no")).start()
    assert machine.list() == [f"i {status}", "a SCHEDULED"]


def test_a_long_chain_of_scripts_is_cut_into_commits() -> None:
    chain = [inline(f"i{number}") for number in range(1_100)]
    machine = answering(flow(*chain), DOUBLE, Evaluated(1)).start()
    machine.run_effects()
    assert machine.status == "COMPLETED"
    assert len(machine.transitions) == 3


# LAMBDA


def lambda_task(script: Any = "return $.n", **fields: Any) -> WorkflowTask:
    given = {"scriptExpression": script, "n": "${workflow.input.n}"}
    return op("LAMBDA", "l", input_parameters=given, **fields)


PROGRAM = "(function () {return $.n\n})()"


def test_s_478_a_lambda_is_the_body_of_a_function() -> None:
    machine = answering(flow(lambda_task()), PROGRAM, Evaluated({"v": True})).start({"n": 1})
    task = machine.task("l")
    assert task.output.value == {"result": {"v": True}}
    assert task.input.value == {"scriptExpression": "return $.n", "n": 1}
    (need,) = asked(machine)
    assert orjson.loads(need.input) == task.input.value


def test_s_478_a_blank_lambda_fails() -> None:
    machine = Machine(flow(lambda_task("${workflow.input.gone}"))).start()
    assert machine.list() == ["l FAILED"]
    assert reason_of(machine, "l").startswith("Empty 'scriptExpression' in Lambda task's input")


def test_s_478_a_lambda_that_failed_may_be_tried_again() -> None:
    kind = task_def("l", retry_count=1)
    definition = flow(lambda_task())
    machine = answering(definition, PROGRAM, Evaluated(error="why"), task_defs={"l": kind}).start()
    assert machine.list() == ["l FAILED", "l FAILED"]
    assert (reason_of(machine, "l"), machine.task("l").output.value) == ("why", {"error": "why"})
    assert machine.status == "FAILED"


# JSON_JQ_TRANSFORM


def jq(query: Any = ".a[]", **fields: Any) -> WorkflowTask:
    given = {"queryExpression": query, "a": "${workflow.input.a}"}
    return op("JSON_JQ_TRANSFORM", "q", input_parameters=given, **fields)


@pytest.mark.parametrize(("values", "first"), [([], None), ([3, 4], 3), ([[1], 2], [1])])
def test_s_479_jq_gives_all_values_and_the_first(values: list[Any], first: Any) -> None:
    machine = answering(flow(jq()), ".a[]", Evaluated(values), "jq").start({"a": [1]})
    assert machine.task("q").output.value == {"result": first, "resultList": values}
    (need,) = asked(machine)
    assert orjson.loads(need.input) == {"queryExpression": ".a[]", "a": [1]}


@pytest.mark.parametrize("query", ["${workflow.input.gone}", " ", 5])
def test_s_480_jq_without_a_program_fails(query: Any) -> None:
    machine = Machine(flow(jq(query))).start()
    assert machine.list() == ["q FAILED"]
    assert reason_of(machine, "q") == "Missing 'queryExpression' in input parameters"


def test_s_480_a_failing_jq_tells_why_and_may_be_tried_again() -> None:
    kind = task_def("q", retry_count=1)
    wrong = Evaluated(error="no such function")
    machine = answering(flow(jq()), ".a[]", wrong, "jq", task_defs={"q": kind}).start()
    assert machine.list() == ["q FAILED", "q FAILED"]
    assert machine.task("q").output.value == {"error": "no such function"}


# Choices by script


def choice(kind: str, **fields: Any) -> WorkflowTask:
    return op(
        kind, "s", decision_cases={"a": [simple("a")], "1": [simple("one")], "empty": []},
        default_case=[simple("d")], input_parameters={"v": "${workflow.input.v}"}, **fields,
    )  # fmt: skip


def by_script(language: str = "javascript", **fields: Any) -> WorkflowTask:
    return choice("SWITCH", evaluator_type=language, expression="$.v", **fields)


@pytest.mark.parametrize("language", ["javascript", "graaljs"])
@pytest.mark.parametrize(
    ("value", "text", "follows"),
    [("a", "a", "a"), (1, "1", "one"), (None, "null", "d"), (True, "true", "d"),
     ("empty", "empty", "z")],
)  # fmt: skip
def test_s_330_s_331_a_switch_by_script(language: str, value: Any, text: str, follows: str) -> None:
    machine = answering(flow(by_script(language), simple("z")), "$.v", Evaluated(value))
    machine.start({"v": 0})
    assert machine.list() == ["s COMPLETED", f"{follows} SCHEDULED"]
    task = machine.task("s")
    assert task.output.value == {"evaluationResult": [text], "selectedCase": text}
    assert (task.input.value["v"], task.input.value["case"]) == (0, text)
    (need,) = asked(machine)
    assert (need.seed, orjson.loads(need.input)) == (task.id, {"v": 0})


def test_s_334_a_switch_whose_script_fails_ends_the_workflow_without_a_retry() -> None:
    kind = task_def("s", retry_count=3)
    wrong = Evaluated(error="no v", retriable=True)
    machine = answering(flow(by_script()), "$.v", wrong, task_defs={"s": kind}).start()
    assert machine.list() == ["s FAILED"]
    assert (machine.status, reason_of(machine, "s")) == ("FAILED", "no v")


def test_s_334_an_optional_switch_goes_on_after_itself() -> None:
    definition = flow(by_script(optional=True), simple("z"))
    machine = answering(definition, "$.v", Evaluated(error="no v")).start()
    assert machine.list() == ["s COMPLETED_WITH_ERRORS", "z SCHEDULED"]


@pytest.mark.parametrize(
    ("value", "follows"), [("a", "a"), ("empty", "d"), (1, "one"), (None, "d")]
)
def test_s_339_a_decision_by_script(value: Any, follows: str) -> None:
    definition = flow(choice("DECISION", case_expression="$.v", case_value_param="v"))
    machine = answering(definition, "$.v", Evaluated(value)).start({"v": "other"})
    assert machine.list() == ["s COMPLETED", f"{follows} SCHEDULED"]


def test_s_341_a_decision_whose_script_fails_ends_the_workflow() -> None:
    definition = flow(choice("DECISION", case_expression="$.v"))
    machine = answering(definition, "$.v", Evaluated(error="no v")).start()
    assert (machine.list(), machine.status) == ([], "FAILED")
    assert machine.header is not None
    assert machine.header.reason == "Error while evaluating script: $.v: no v"
