"""Parameter expressions, one row per fact of semantics.md §5, and what they say they read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from podium.engine.expression import (
    Context,
    compile_parameters,
    compile_value,
    unsupported_paths,
)
from podium.engine.java_text import java_text
from podium.model.execution import (
    ExecutionHeader,
    ParentLink,
    TaskRecord,
    TaskStatus,
    WorkflowStatus,
)
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from podium.model.payload import JsonValue

OUTPUT: dict[str, JsonValue] = {
    "b": "text",
    "one": 1.0,
    "int": 7,
    "yes": True,
    "none": None,
    "x{y}": "braced",
    "with space": {"dot.ted": 4},
    "hy-phen": 5,
    "key": "b",
    "map": {"a": 1, "b": "x"},
    "list": [1, 2, 3],
    "items": [{"n": 1, "in": {"id": "p"}}, {"n": 2}, {"in": [{"id": "q"}]}],
    "json": '{"field": 1}',
    "tricky": "$${workflow.input.a} ${workflow.input.a}",
}


def task(ref: str, **fields: object) -> TaskRecord:
    base = TaskRecord(
        id=f"w1.{ref}.0",
        key=ref,
        attempt=0,
        seq=1,
        ref=ref,
        node=0,
        task_type="SIMPLE",
        def_name="worker",
        status=TaskStatus.COMPLETED,
        output=Payload.of(OUTPUT),
    )
    return msgspec.structs.replace(base, **fields)


def context(**fields: object) -> Context:
    header = ExecutionHeader(
        id="w1",
        name="flow",
        version=3,
        digest="d",
        status=WorkflowStatus.RUNNING,
        created_ms=1,
        updated_ms=2,
        correlation_id="corr",
        parent=ParentLink(workflow_id="p1", task_id="p1.k.0", run_epoch=0),
    )
    base = Context(
        header=header,
        input=Payload.of({"a": "A", "which": "t", "field": "b"}),
        output=Payload.of({"done": 1}),
        variables=Payload.of({"v": [True]}),
        tasks={"t": task("t"), "later": None},
    )
    return msgspec.structs.replace(base, **fields)


@pytest.mark.parametrize(
    ("fact", "value", "expected"),
    [
        ("S-490", {"${t.output.b}": ["${t.output.b}", 1, {"k": "${t.output.b}"}]},
         {"${t.output.b}": ["text", 1, {"k": "text"}]}),
        ("S-491", "${t.output['x{y}']}", "braced"),
        ("S-491", "${t.output.x{y}}", "braced"),
        ("S-491", "a\n${t.output.b}\n", "a\ntext\n"),
        ("S-491", "${t.output.b", "${t.output.b"),
        ("S-491", "${a ${t.output.b}", "${a text"),
        ("S-492", "${t.output.${t.output.key}}", "text"),
        ("S-492", "${t.output.${workflow.input.${workflow.input.none}field}}", None),
        ("S-492", "${${workflow.input.which}.output.${workflow.input.field}}", "text"),
        ("S-493", "${t.output.map}", {"a": 1, "b": "x"}),
        ("S-493", "${t.output.one}", 1.0),
        ("S-493", "${t.output.yes}", True),
        ("S-494", "${t.output.map}|${t.output.list}|${t.output.one}|${t.output.yes}",
         "{a=1, b=x}|[1, 2, 3]|1.0|true"),
        ("S-494", "${t.output.none} ${t.output.int}", "null 7"),
        ("S-494", "ids: ${t.output..id}", 'ids: ["p","q"]'),
        ("S-495", "$${t.output.b}", "${t.output.b}"),
        ("S-495", "$$${t.output.b}", "$${t.output.b}"),
        ("S-495", "$${x} ${t.output.tricky}", "${x} $${workflow.input.a} ${workflow.input.a}"),
        ("S-496", "${}", ""),
        ("S-496", "a${ }b", "ab"),
        ("S-497", " ${t.output.int}", " 7"),
        ("S-498", "${t.output.nope.deep}", None),
        ("S-498", "is ${t.output.nope}", "is null"),
        ("S-498", "${t.output.a b}", None),
        ("S-500", {"d": 1.0, "i": 2**62}, {"d": 1.0, "i": 2**62}),
        ("S-501", "${$.t.output.b}", "text"),
        ("S-502", "${t.output.list[-1]}", 3),
        ("S-502", "${t['output'][\"list\"][0]}", 1),
        ("S-502", "${t.output.list.length()}", 3),
        ("S-502", "${t.output.list.sum()} ${t.output.list.max()}", "6.0 3.0"),
        ("S-502", "${t.output.list.min()}", 1.0),
        ("S-502", "${t.output.map.keys()}", ["a", "b"]),
        ("S-502", "${t.output.b.length()}", None),
        ("S-502", "${t.output.list.avg()}", 2.0),
        ("S-502", "${t.output.items[*].n.stddev()}", 0.5),
        ("S-502", "${t.output['int',\"nope\", 'b']}", {"int": 7, "b": "text"}),
        ("S-502", "${t.output.items[*]['n','x']}", [{"n": 1}, {"n": 2}, {}]),
        ("S-502", "${t.output.b['n','x']}", None),
        ("S-502", "${t.output['int','b'].length()}", 2),
        ("S-503", "${t.output.items[*].n}", [1, 2]),
        ("S-503", "${t.output..nope}", []),
        ("S-503", "${later.output..id}", []),
        ("S-504", "${t.output.list[9]}", None),
        ("S-505", "${t.output.hy-phen}", 5),
        ("S-505", "${t.output['with space']['dot.ted']}", 4),
        ("S-506", "${t.output.json.field}", None),
        ("S-507", "${workflow.workflowId} ${workflow.workflowType} ${workflow.version}",
         "w1 flow 3"),
        ("S-507", "${workflow.parentWorkflowId} ${workflow.parentWorkflowTaskId}", "p1 p1.k.0"),
        ("S-507", "${workflow.correlationId} ${workflow.schemaVersion}", "corr 2"),
        ("S-507", "${workflow.variables.v[0]}", True),
        ("S-507", "${workflow.output.done}", 1),
        ("S-507", "${workflow.priority}", None),
        ("S-509", "${t.taskId} ${t.taskDefName} ${t.workflowInstanceId}", "w1.t.0 worker w1"),
        ("S-509", "${t.leaseEpoch}", None),
        ("S-512", "${t.status} ${workflow.status}", "COMPLETED RUNNING"),
        ("S-513", "${later.output.b}", None),
        ("S-516", "${CPEWF_TASK_ID}", "${CPEWF_TASK_ID}"),
        ("S-517", "${NETFLIX_ENV}-${NETFLIX_STACK}", "${NETFLIX_ENV}-${NETFLIX_STACK}"),
        ("S-518", "${PATH}${HOME}", "nullnull"),
        ("S-521", "${workflow.secrets.KEY}", "${workflow.secrets.KEY}"),
        ("S-522", "${workflow.secrets.${workflow.input.field}}", "${workflow.secrets.b}"),
        ("S-525", "${workflow.env.KEY}", None),
    ],
)  # fmt: skip
def test_expression_gives_what_the_fact_says(
    fact: str, value: JsonValue, expected: JsonValue
) -> None:
    found = compile_value(value).evaluate(context())
    assert (found, type(found)) == (expected, type(expected)), fact


def test_task_id_is_that_of_the_task_being_scheduled() -> None:
    found = compile_value(["${CPEWF_TASK_ID}", "id ${CPEWF_TASK_ID}"])
    assert found.evaluate(context(task_id="w1.t.0")) == ["w1.t.0", "id w1.t.0"]


def test_a_whole_task_shows_the_fields_of_s_509_and_no_others() -> None:
    found = compile_value("${t}").evaluate(context())
    assert isinstance(found, dict)
    assert " ".join(found) == (
        "input output taskType status referenceTaskName retryCount correlationId pollCount "
        "taskDefName scheduledTime startTime endTime workflowInstanceId taskId "
        "reasonForIncompletion callbackAfterSeconds workerId iteration"
    )


def test_the_environment_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-518 is a fault of Conductor."""
    monkeypatch.setenv("PODIUM_PROBE", "leaked")
    assert compile_value("${PODIUM_PROBE}").evaluate(context()) is None
    assert "leaked" not in str(compile_value("x${PODIUM_PROBE}").evaluate(context()))


def test_output_of_a_join_comes_from_its_members() -> None:
    joined = context(
        tasks={"j": task("j", task_type="JOIN", output=EMPTY)},
        gathered=lambda record: {"b7": {"x": record.ref}},
    )
    assert compile_value("${j.output.b7.x}").evaluate(joined) == "j"


def test_a_template_names_what_it_reads() -> None:
    template = compile_value({"a": "${j.output.b7.x} ${workflow.input.q}", "l": ["${k.output}"]})
    assert template.refs == {"j", "k"}
    assert template.join_members == {("j", "b7"), ("k", "")}
    assert template.workflow_roots == {"input"}
    assert not template.literal
    assert not template.dynamic


def test_a_path_made_while_evaluating_names_its_task_when_it_is_known() -> None:
    template = compile_value("${${workflow.input.which}.output.${later.output.key}}")
    assert template.dynamic
    assert template.refs == {"later"}
    assert template.uses_with(context()).refs == {"later", "t"}


def test_a_value_without_expressions_is_literal_and_shared() -> None:
    value: JsonValue = {"a": [1, {"b": "$${x}"}], "c": []}
    template = compile_value(value)
    assert template.literal
    first = template.evaluate(context())
    assert first == {"a": [1, {"b": "${x}"}], "c": []}
    assert template.evaluate(context()) is first


def test_input_template_fills_missing_keys_and_nulls() -> None:
    """S-256: added keys are evaluated, a null falls back to the raw text."""
    found = compile_parameters(
        {"gone": "${t.output.nope}", "own": 1, "null": None},
        {"gone": "${raw}", "own": 2, "added": "${t.output.b}"},
    ).evaluate(context())
    assert found == {"gone": "${raw}", "own": 1, "added": "text", "null": None}


def test_the_fallback_belongs_to_the_outermost_map_only() -> None:
    found = compile_parameters({"in": {"k": "${t.output.nope}"}}, {"k": 1}).evaluate(context())
    assert found == {"k": 1, "in": {"k": None}}


def test_deep_values_and_many_open_braces_cost_no_recursion() -> None:
    deep: JsonValue = "${t.output.b}"
    for _ in range(50_000):
        deep = [deep]
    found = compile_value(deep).evaluate(context())
    for _ in range(50_000):
        assert isinstance(found, list)
        found = found[0]
    assert found == "text"
    assert compile_value("${" * 100_000).evaluate(context()) == "${" * 100_000
    assert compile_value("${" * 20 + "}" * 20).evaluate(context()) is None


@pytest.mark.parametrize(
    "path",
    ["$.currentTimeMillis()", "..a", "[*].output", "['t','u'].output", "t.output.length().x",
     "t.a b", "t..", "t[", "[0].a", "t" + ".a" * 64, "t.output.a + t.output.b", "t[?(@.a)]`len`",
     "t.output[?('x' == @.a)]", "t.output[?(1 < @.a)]", "t.output[?(a == 1)]", "t.output[?()]",
     "t.output[?(@.a", "t.output[(@.length-1)]", "t[\\n]", "t[0,'a']",
     "t.output[?(@.a && 'x')]", "t.output[?(@.a == $)]", "t.output[*].sum().x"],
)  # fmt: skip
def test_what_is_no_path_is_named_and_null(path: str) -> None:
    value: JsonValue = [f"${{{path}}}"]
    assert unsupported_paths(value) == [path]
    assert compile_value(value).evaluate(context()) == [None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e7, "1.0E7"), (123456789.5, "1.234567895E8"), (0.001, "0.001"), (0.00012, "1.2E-4"),
        (-0.0, "-0.0"), (-2.5, "-2.5"), (1e300, "1.0E300"), (9999999.0, "9999999.0"),
        ({"a": {"b": [None, {}]}, "c": [[]]}, "{a={b=[null, {}]}, c=[[]]}"),
    ],
)  # fmt: skip
def test_text_is_that_of_java(value: JsonValue, expected: str) -> None:
    assert java_text(value) == expected
