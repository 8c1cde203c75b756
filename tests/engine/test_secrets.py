"""Where inputs name secrets (S-259, S-521 to S-523), and what they are where they are opened."""

from __future__ import annotations

import msgspec
import pytest

from podium.engine.command import Rerun, UpdateVariables
from podium.engine.expression import compile_value
from podium.engine.secret import OpenedTooLarge, opened, value_of
from podium.model.definition import TaskDef, WorkflowTask
from podium.model.execution import SecretMark
from podium.model.payload import JsonValue, Payload
from tests.engine.machine import Machine
from tests.engine.shapes import flow, join, op, simple, sub, task_def
from tests.engine.test_expression import context
from tests.engine.world import World

KEY = "${workflow.secrets.KEY}"
SECRETS = {"KEY": "k1", "OTHER": "k2", "DOC": '{"a": {"b": [7, "x"]}, "n": null}', "BAD": "{"}
LIMIT = 1_000


def mark(reference: str, *path: str | int) -> SecretMark:
    return SecretMark(path=path, reference=f"workflow.secrets.{reference}")


def shown(machine: Machine, ref: str) -> JsonValue:
    """The input of a task as whoever works on it gets it."""
    task = machine.task(ref)
    value = msgspec.json.decode(task.input.json)
    return opened(value, task.secrets, SECRETS, LIMIT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${workflow.secrets.KEY}", "k1"),
        ("${ $.workflow.secrets['KEY'] }", "k1"),
        ("a ${workflow.secrets.KEY}${workflow.secrets.OTHER} b", "a k1k2 b"),
        ("${workflow.secrets.NONE}", None),
        ("a${workflow.secrets.NONE}b", "ab"),
        ("${workflow.secrets.DOC.json.a.b[1]}", "x"),
        ("${workflow.secrets.DOC.json.a}", {"b": [7, "x"]}),
        ("is ${workflow.secrets.DOC.json.a}", "is {b=[7, x]}"),
        ("${workflow.secrets.DOC.json.gone}", None),
        ("${workflow.secrets.BAD.json.a}", None),
        ("${workflow.secrets.${workflow.input.which}EY}", None),
        ("${workflow.secrets.K${workflow.input.rest}}", "k1"),
        ("$${workflow.secrets.KEY}", "${workflow.secrets.KEY}"),
    ],
)
def test_s_521_the_text_stays_and_is_replaced_at_hand_off(text: str, expected: JsonValue) -> None:
    machine = Machine(flow(simple("t", input_parameters={"x": [text]}))).start(
        {"which": "X", "rest": "EY"}
    )
    stored = machine.task("t").input.value["x"]
    assert "k1" not in str(stored)
    assert "workflow" in str(stored)
    assert shown(machine, "t") == {"x": [expected]}


def test_data_that_spells_a_reference_names_nothing() -> None:
    machine = Machine(
        flow(
            simple("t", input_parameters={
                "mine": KEY, "yours": "${workflow.input.text}", "both": KEY + "${workflow.input.o}",
                "any": "${${workflow.input.path}}",
            }),
            simple("u", input_parameters={"x": "${t.output.x}", "y": KEY}),
        )
    ).start({
        "text": KEY, "o": "${workflow.secrets.OTHER}", "path": "workflow.secrets.KEY"
    })  # fmt: skip
    assert shown(machine, "t") == {
        "mine": "k1",
        "yours": KEY,
        "both": "k1${workflow.secrets.OTHER}",
        "any": KEY,
    }
    machine.work("t", output={"x": KEY})
    assert shown(machine, "u") == {"x": KEY, "y": "k1"}


def test_what_names_no_secret_has_no_marks() -> None:
    machine = Machine(flow(simple("t", input_parameters={"x": "${workflow.input.x}"})))
    assert machine.start({"x": KEY}).task("t").secrets == ()


def test_the_input_template_of_a_task_definition_names_secrets_too() -> None:
    template = task_def("t", input_template={"x": KEY, "y": KEY})
    parameters = {"y": "${workflow.input.y}"}
    machine = Machine(
        flow(simple("t", task_definition=template, input_parameters=parameters))
    ).start({"y": KEY})
    assert shown(machine, "t") == {"x": "k1", "y": KEY}


def test_a_task_reads_the_input_of_another_with_its_secrets() -> None:
    machine = Machine(
        flow(
            simple("a", input_parameters={"deep": {"x": [KEY, 1]}, "y": "${workflow.input.y}"}),
            simple("b", input_parameters={
                "one": "${a.input.deep.x[0]}", "all": "${a.input}", "text": "<${a.input.deep}>",
                "wide": "${a.input.deep.x[*]}",
            }),
        )
    ).start({"y": KEY})  # fmt: skip
    machine.work("a")
    assert shown(machine, "b") == {
        "one": "k1",
        "all": {"deep": {"x": ["k1", 1]}, "y": KEY},
        "text": "<{x=[k1, 1]}>",
        "wide": [KEY, 1],
    }


def test_s_523_a_child_has_the_text_and_its_tasks_the_secret() -> None:
    inner = flow(
        simple("t", input_parameters={
            "x": "${workflow.input.token}", "in": "${workflow.input.deep.er}",
            "yours": "${workflow.input.user}",
        }),
        name="inner",
    )  # fmt: skip
    middle = flow(
        sub("s", "inner", input_parameters={
            "token": "${workflow.input.token}", "deep": {"er": "${workflow.input}"},
            "user": "${workflow.input.user}",
        }),
        name="middle",
    )  # fmt: skip
    outer = flow(
        sub("s", "middle", input_parameters={"token": KEY, "user": "${workflow.input.user}"}),
        name="outer",
    )
    world = World(outer, middle, inner)
    world.start("outer", {"user": KEY})
    _, child, leaf = world.machines.values()
    assert child.input.value == {"token": KEY, "user": KEY}
    assert shown(leaf, "t") == {"x": "k1", "in": {"token": "k1", "user": KEY}, "yours": KEY}


def test_a_started_workflow_has_the_text_and_its_tasks_the_secret() -> None:
    inner = flow(simple("t", input_parameters={"x": "${workflow.input.token}"}), name="inner")
    request: JsonValue = {"name": "inner", "input": {"token": KEY}}
    outer = flow(
        op("START_WORKFLOW", "s", input_parameters={"startWorkflow": request}), name="outer"
    )
    world = World(outer, inner)
    world.start("outer")
    started = next(each for each in world.machines.values() if each.id != "root")
    assert started.input.value == {"token": KEY}
    assert shown(started, "t") == {"x": "k1"}


def test_variables_name_secrets_until_they_are_set_anew() -> None:
    def read(ref: str) -> WorkflowTask:
        return simple(ref, input_parameters={"v": "${workflow.variables.v}"})

    machine = Machine(
        flow(
            op("SET_VARIABLE", "set", input_parameters={"v": {"k": KEY}, "w": KEY}),
            read("a"),
            op("SET_VARIABLE", "again", input_parameters={"v": {"k": "${workflow.input.x}"}}),
            read("b"),
            simple("c", input_parameters={"w": "${workflow.variables.w}"}),
            simple("d", input_parameters={"w": "${workflow.variables.w}"}),
        )
    ).start({"x": KEY})
    assert machine.variables.value == {"v": {"k": KEY}, "w": KEY}
    assert shown(machine, "a") == {"v": {"k": "k1"}}
    machine.work("a")
    assert shown(machine, "b") == {"v": {"k": KEY}}
    machine.work("b")
    assert shown(machine, "c") == {"w": "k1"}
    machine.send(UpdateVariables(variables=Payload.of({"w": KEY})))
    machine.work("c")
    assert shown(machine, "d") == {"w": KEY}


@pytest.mark.parametrize("form", ["inputs", "tasks", "join"])
def test_branches_of_a_dynamic_fork_get_what_the_fork_names_and_not_what_its_data_spell(
    form: str,
) -> None:
    mine: JsonValue = {"x": KEY, "y": "${workflow.input.text}"}
    if form == "inputs":
        fork = op("FORK_JOIN_DYNAMIC", "f", input_parameters={
            "forkTaskName": "work", "forkTaskInputs": [{"n": 0}, mine]})  # fmt: skip
        ref = "_work_1"
    elif form == "tasks":
        tasks: list[JsonValue] = [
            {"name": "work", "taskReferenceName": "b0"},
            {"name": "work", "taskReferenceName": "b1", "inputParameters": {"z": KEY}},
        ]
        fork = op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_tasks_param="ts",
                  dynamic_fork_tasks_input_param_name="ins",
                  input_parameters={"ts": tasks, "ins": {"b1": mine}})  # fmt: skip
        ref = "b1"
    else:
        entries: list[JsonValue] = [{"taskName": "work", "referenceName": "b0", "input": mine}]
        fork = op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_join_tasks_param="ts",
                  input_parameters={"ts": {"dynamicTasks": entries}})  # fmt: skip
        ref = "b0"
    machine = Machine(flow(fork, join("j"))).start({"text": KEY})
    found = shown(machine, ref)
    assert isinstance(found, dict)
    assert (found["x"], found["y"]) == ("k1", KEY)
    if form == "tasks":
        assert found["z"] == "k1"


def test_retries_and_reruns_keep_the_marks() -> None:
    once = TaskDef(name="t", retry_count=1, retry_delay_seconds=0)
    machine = Machine(
        flow(simple("t", task_definition=once, input_parameters={"x": KEY}), name="w")
    ).start()
    machine.work("t", "FAILED")
    assert (machine.task("t").attempt, shown(machine, "t")) == (1, {"x": "k1"})
    machine.work("t")
    task_id = machine.task("t").id
    given = Payload.of({"x": KEY, "y": KEY})
    machine.send(Rerun(task_ids=(task_id,), task_input=given))
    machine.run_effects()
    assert shown(machine, "t") == {"x": "k1", "y": KEY}


def test_what_secrets_add_is_bounded() -> None:
    value: dict[str, JsonValue] = {
        "x": "${workflow.secrets.KEY}" * 30,
        "y": "${workflow.secrets.KEY}",
    }
    big = {"KEY": "k" * 400}
    with pytest.raises(OpenedTooLarge) as large:
        opened(dict(value), [mark("KEY", "x")], big, LIMIT)
    assert large.value.size == 12_000
    with pytest.raises(OpenedTooLarge):
        opened({"a": KEY, "b": KEY, "c": KEY}, [mark("KEY", n) for n in "abc"], big, LIMIT)
    assert opened({"a": KEY, "b": KEY}, [mark("KEY", n) for n in "ab"], big, LIMIT)


def test_marks_that_lead_nowhere_change_nothing() -> None:
    marks = [mark("KEY"), mark("KEY", "a", "b"), mark("KEY", "l", 7), mark("KEY", "n")]
    value: dict[str, JsonValue] = {"a": KEY, "l": [KEY], "n": 3}
    assert opened(dict(value), marks, SECRETS, LIMIT) == value


@pytest.mark.parametrize(
    "reference",
    ["workflow.secrets", "workflow.env.KEY", "workflow.secrets.KEY.x", "t.secrets.KEY", "a b"],
)
def test_what_is_no_reference_is_no_value(reference: str) -> None:
    assert value_of(reference, SECRETS) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${workflow.env.REGION}", "eu"),
        ("in ${workflow.env.REGION}-${workflow.env.NONE}", "in eu-null"),
        ("${workflow.env.LIMITS.json.max[0]}", 5),
        ("${workflow.env.LIMITS.json}", {"max": [5]}),
        ("${workflow.env.REGION.json.max}", None),
        ("${workflow.env.LIMITS.max}", None),
        ("${workflow.env}", None),
        ("${workflow.env.NONE}", None),
    ],
)
def test_s_520_environment_values_are_read_when_the_input_is_made(
    text: str, expected: JsonValue
) -> None:
    given = {"REGION": "eu", "LIMITS": '{"max": [5]}'}
    assert compile_value(text).evaluate(context(environment=given)) == expected
