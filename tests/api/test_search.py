"""Paths with filters over a real channel and the real sandbox."""

from __future__ import annotations

from typing import Any

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from tests.api.calls import METADATA, plain, refusal, simple, values
from tests.api.edge import Edge
from tests.api.test_flow import registered, started
from tests.api.waiting import ended

ITEMS = [{"n": 1, "id": "a"}, {"n": 2, "id": "b"}, {"n": 3, "id": "c", "tags": ["x", "y"]}]


def flow(*tasks: definition.WorkflowTask, **output: Any) -> definition.WorkflowDef:
    made = definition.WorkflowDef(name="searches", tasks=tasks)
    values(made, "output_parameters", output)
    return made


def keeps(reference: str, value: Any) -> definition.WorkflowTask:
    made = simple(reference, type="INLINE")
    values(
        made, "input_parameters", {"evaluatorType": "value-param", "expression": "v", "v": value}
    )
    return made


async def test_searches_are_evaluated_in_parameters_and_outputs() -> None:
    async with Edge() as edge:
        await registered(
            edge,
            flow(
                keeps("a", "${workflow.input.items[?(@.n >= 2 && @.id != 'x')]}"),
                keeps("b", "${a.output.result[?(@.id == '${workflow.input.id}')].tags[0:1]}"),
                big="${a.output.result[?(@.n > 2)].id}", tags="${b.output.result}",
                count="${a.output.result[?(@.n > 1)].length()} of ${workflow.input..n.length()}",
                late="${workflow.input.text[?(@ =~ /(a+)+b/)]}",
            ),
        )  # fmt: skip
        text = ["a" * 50]
        found = await ended(edge, await started(edge, "searches", items=ITEMS, id="c", text=text))
        assert found.status == execution.Workflow.COMPLETED, found.reason_for_incompletion
        assert plain(found.output) == {
            "big": ["c"], "tags": ["x"], "count": "2 of 3", "late": None,
        }  # fmt: skip
        assert edge.sandbox.kills > 0


async def test_what_no_parser_understands_is_refused_at_its_place() -> None:
    async with Edge() as edge:
        asked = metadata.CreateWorkflowRequest(
            workflow=flow(
                keeps("a", "${workflow.input.items[?(@.n in [1, 2])]}"),
                keeps("b", "${workflow.input.items[?(@.n > 1)]}"),
                bad="${workflow.input.items[?(@.n >)]}",
            )
        )
        code, text = await refusal(edge, f"{METADATA}CreateWorkflow", asked)
        assert code == "INVALID_ARGUMENT"
        for place in ("tasks[0].inputParameters.v", "outputParameters.bad"):
            assert f"{place}: expected a JSONPath, found $.workflow.input.items[?(" in text
        assert "tasks[1]" not in text
