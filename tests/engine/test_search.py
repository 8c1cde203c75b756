"""Paths that the sandbox evaluates: what they become, what templates get, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse

from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.path import walk_all
from podium.engine.search import SEARCHES_LIMIT, parse_search
from podium.engine.transition import Evaluate, Evaluated
from podium.engine.validate import scripts_of, validate_workflow
from podium.model.definition import SubWorkflowParams
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple

if TYPE_CHECKING:
    from podium.engine.transition import Answer, Need
    from podium.model.payload import JsonValue

OUTPUT: dict[str, JsonValue] = {
    "list": [1, 2, 3, 4],
    "map": {"where": 1, "é": 2, "2x": 3, "it's": 4, "*": 5, "a\\b": 6},
    "items": [
        {"n": 1, "a": 2, "id": "pear", "in": [{"id": "plum"}, {"k-k": 9}]},
        {"n": 2, "a": 0, "id": "pe]ar"},
        {"n": 3, "a": 9, "b": None, "id": "p"},
    ],
}
OTHER: dict[str, JsonValue] = {"limit": 2, "key ": "p"}


class Searching(Machine):
    """Answers searches as the sandbox's library does; `broken` = as a sandbox that is not there."""

    broken = False

    def answer(self, need: Need) -> Answer:
        if not isinstance(need, Evaluate):
            return super().answer(need)
        if self.broken:
            return Evaluated(error="expected a server that runs jsonpath, found one without")
        try:
            found = parse(need.program).find(orjson.loads(need.input))
        except JSONPathError as error:
            return Evaluated(error=str(error))
        return Evaluated([match.value for match in found])

    @property
    def searches(self) -> list[tuple[str, Any]]:
        """Program and document of each."""
        found = [need for need in self.needs if isinstance(need, Evaluate)]
        return [(need.program, orjson.loads(need.input)) for need in found]


def read(value: Any, **fields: Any) -> Any:
    """What a task that follows `t` and `u` gets for a parameter."""
    reader = simple("r", input_parameters={"x": value})
    machine = Searching(flow(simple("t"), simple("u"), reader)).start(fields)
    machine.work("t", output=OUTPUT)
    machine.work("u", output=OTHER)
    return machine.task("r").input.value["x"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("t.output.list[0:2]", [1, 2]),
        ("$.t.output.list[ -2 : ]", [3, 4]),
        ("t.output.list[0,9, -1]", [1, 4]),
        ("t.output.list[0:2].sum()", 3.0),
        ("t.output.list[?(@ > 1)].avg()", 3.0),
        ("t.output.nope[0:2]", []),
        ("later.output[0:2]", []),
        ("t.nope[0:2]", []),
        ("t.output.map['where','é'].x", []),
        ("t.output.items[*]['in'][*].id", ["plum"]),
        ("t.output.items[*].in[*]['id','k-k']", [{"id": "plum"}, {"k-k": 9}]),
        ("t.output.items..in..id", ["plum"]),
        ("t..in..k-k", [9]),
        ("t.output.items..['n','a']", [1, 2, 2, 0, 3, 9]),
        ("t.output.map..*", [1, 2, 3, 4, 5, 6]),
        ("t.output..[0].id", ["pear", "plum"]),
        ("t.output.items[?(@.a > 1 && @.id == 'pear')].n", [1]),
        ("t.output.items[?(@.a == 0 || (@.a > 1 && @.n != 1))].n", [2, 3]),
        ("t.output.items[ ?(@.id\n==\n'p') ].n", [3]),
        ("t.output.items[?(@.id == \"pe]ar\")].n", [2]),
        ("t.output.items[?(@.b == null)].n", [3]),
        ("t.output.items[?(!@.in)].n", [2, 3]),
        ("t.output.items[?(@['n'] >= 3)]['n','a']", [{"n": 3, "a": 9}]),
        ("t.output.items[?(@.id == ' && 1 > 2')].length()", 0),
        ("t.output.items[?(@.id =~ /P.*R/i)].n", [1, 2]),
        ("t.output.items[?(@.id =~ /p/)].n", [3]),
        ("t.output.items[?(@.id =~ /[\\]'x]|p/)].n", [3]),
        ("t.output.items[?(@.in[?(@.id)])].n", [1]),
        ("t.output.items[?(@.n == $.u.output.limit)].n", [2]),
        ("t.output.items[?(@.id == $['u']['output']['key '])].n", [3]),
        ("t.output.items[?(@.n <= $.workflow.input.most)].n", [1]),
        ("workflow['input'].list[?(@ > 1)]", [2]),
        ("t.output.map.where[?(@.x)]", []),
        ("t.output.map[?(@ > 5)]", [6]),
        ("t[?(@.list)].list[1,2]", [2, 3]),
    ],
)  # fmt: skip
def test_s_502_s_503_a_search_gives_the_list_of_all_there_is(path: str, expected: Any) -> None:
    found = read(f"${{{path}}}", most=1, list=[1, 2])
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("name", ["where", "é", "2x", "it's", "*", "a\\b", "wherenot", "true"])
def test_any_name_reaches_the_library_as_a_name(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    search = parse_search(f"t['{escaped}'][0:1]")
    assert search is not None
    found = parse(search.program).find({"t": {name: [7, 8]}})
    assert walk_all([match.value for match in found], search.tail) == [7]


def test_a_search_in_text_reads_as_json() -> None:
    assert read("n: ${t.output.items[?(@.n > 1)].n}, ${t.output.list[0:1].length()}") == (
        "n: [2,3], 1"
    )


def test_s_492_a_search_is_put_together_from_others_first() -> None:
    value = {
        "by key": "${t.output.items[?(@.id == '${u.output['key ']}')].n}",
        "whole": "${${workflow.input.path}}",
        "inner": "${t.output.list[${t.output.list[?(@ > 2)].length()}]}",
        "twice": "${t.output.list[?(@ >= ${t.output.list[0:2].length()})]}",
        "unsound": "${t.output.list[?(@ > ${workflow.input.path})]}",
        "no root": "${..${workflow.input.path}}",
    }
    assert read(value, path="t.output.list[0:1]") == {
        "by key": [3], "whole": [1], "inner": 3, "twice": [2, 3, 4],
        "unsound": None, "no root": None,
    }  # fmt: skip


def test_the_document_holds_what_is_named_and_is_asked_once() -> None:
    path = "t.output.list[?(@ > $.u.output.limit)]"
    reader = simple("r", input_parameters={"a": f"${{{path}}}", "b": [f"x${{{path}}}"]})
    machine = Searching(flow(simple("t"), simple("u"), reader)).start()
    machine.work("t", output=OUTPUT)
    machine.work("u", output=OTHER)
    document = {"t": {"output": OUTPUT}, "u": {"output": OTHER}}
    assert machine.searches == [(f"$.{path}", document)]
    assert machine.task("r").input.value == {"a": [3, 4], "b": ["x[3,4]"]}


def test_s_498_a_search_that_fails_is_null() -> None:
    reader = simple("r", input_parameters={"a": "${t.output[?(@.x)]}", "b": "x${t.output[0:1]}"})
    machine = Searching(flow(simple("t"), reader)).start()
    machine.broken = True
    machine.work("t", output=OUTPUT)
    assert machine.task("r").input.value == {"a": None, "b": "xnull"}


def test_searches_see_joins_loops_and_the_whole_task() -> None:
    reader = simple("r", input_parameters={
        "j": "${j.output[?(@.n > 1)]}", "t": "${t[?(@ == 'COMPLETED')]}",
        "w": "${workflow[?(@ == 'RUNNING')]}",
    })  # fmt: skip
    tasks = [simple("t"), fork("f", [simple("a")], [simple("b")]), join("j", "a", "b"), reader]
    machine = Searching(flow(*tasks, output_parameters={"s": "${workflow.input..a..b}"}))
    machine.start({"a": {"b": 1}})
    machine.work("t")
    machine.work("a", output={"n": 1})
    machine.work("b", output={"n": 2})
    assert machine.task("r").input.value == {"j": [{"n": 2}], "t": ["COMPLETED"], "w": ["RUNNING"]}
    machine.work("r")
    assert machine.output.value == {"s": [1]}


def test_a_plain_template_asks_the_sandbox_nothing() -> None:
    reader = simple("r", input_parameters={"a": "${t.output.list[*]} ${t.output.${t.status}}"})
    machine = Searching(flow(simple("t"), reader)).start()
    machine.work("t", output=OUTPUT)
    assert machine.searches == []


def test_a_document_over_its_limit_ends_the_workflow_with_the_sizes() -> None:
    reader = simple("r", input_parameters={"a": "${t[?(@.x)]}"})
    first = simple("t", input_parameters={"x": "${workflow.input.x}"})
    machine = Searching(flow(first, reader))
    machine.start({"x": "x" * (PAYLOAD_BYTES_LIMIT - 100)})
    machine.work("t", output={"y": "y" * (PAYLOAD_BYTES_LIMIT - 100)})
    assert machine.status == "FAILED"
    assert machine.header is not None
    assert "to search" in (machine.header.reason or "")


def test_too_many_searches_are_refused_and_end_what_makes_them() -> None:
    many = [f"${{t.output[{number}:]}}" for number in range(SEARCHES_LIMIT + 1)]
    definition = flow(simple("t"), simple("r", input_parameters={"x": many}))
    problems = [str(each) for each in validate_workflow(definition)]
    assert len(problems) == 1
    assert f"at most {SEARCHES_LIMIT} paths" in problems[0]
    machine = Searching(definition).start()
    machine.work("t")
    assert machine.status == "FAILED"
    assert machine.searches == []


def test_registration_names_every_search_with_its_place() -> None:
    inline = {"name": "inner", "tasks": [{"name": "i", "taskReferenceName": "i", "type": "NOOP",
              "inputParameters": {"k": "${workflow.input[0:1]}"}}]}  # fmt: skip
    params = SubWorkflowParams(name="inner", workflow_definition=inline)
    definition = flow(
        simple("t", input_parameters={"a": ["${workflow.input[0:2]} ${workflow.input[0:3]}"]}),
        op("DO_WHILE", "l", loop_over=[simple("b")], items="${t.output[?(@.x)]}"),
        op("SUB_WORKFLOW", "s", sub_workflow_param=params),
        output_parameters={"o": "${t.output..a..b}"},
    )
    assert validate_workflow(definition) == []
    found = {
        place: script.program
        for place, script in scripts_of(definition)
        if script.language == "jsonpath"
    }
    assert found == {
        "outputParameters.o": "$.t.output..a..b",
        "tasks[0].inputParameters.a[0]": "$.workflow.input[0:3]",
        "tasks[1].items": "$.t.output[?(@.x)]",
        "tasks[2].subWorkflowParam.workflowDefinition.tasks[0].inputParameters.k":
            "$.workflow.input[0:1]",
    }  # fmt: skip


def test_roots_that_are_not_there_and_secrets_are_refused_in_searches_too() -> None:
    definition = flow(
        simple("t", input_parameters={
            "a": "${gone.output[0:1]}", "b": "${workflow.input[?(@.x == $.lost.output)]}",
            "c": "${workflow.secrets['a','b'].c}",
        })
    )  # fmt: skip
    text = " ".join(str(each) for each in validate_workflow(definition))
    for part in ("inputParameters.a", "gone", "inputParameters.b", "lost", "secrets.NAME"):
        assert part in text
