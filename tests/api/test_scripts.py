"""Scripts over a real channel: values, refusals at registration, bombs."""

from __future__ import annotations

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from tests.api.calls import METADATA, plain, refusal, simple, values
from tests.api.edge import Edge
from tests.api.test_flow import registered, started, status_of
from tests.api.waiting import ended


def scripted(kind: str, reference: str, **parameters: object) -> definition.WorkflowTask:
    task = simple(reference, type=kind)
    values(task, "input_parameters", parameters)
    return task


def flow(*tasks: definition.WorkflowTask, **output: object) -> definition.WorkflowDef:
    made = definition.WorkflowDef(name="scripts", tasks=tasks)
    values(made, "output_parameters", output)
    return made


async def test_scripts_compute_and_choose() -> None:
    choice = simple("choice", type="SWITCH", evaluator_type="javascript", expression="$.n % 2")
    values(choice, "input_parameters", {"n": "${inline.output.result}"})
    odd = scripted(
        "LAMBDA", "odd", scriptExpression="return {odd: $.n};", n="${inline.output.result}"
    )
    choice.decision_cases["1"].tasks.append(odd)
    async with Edge() as edge:
        await registered(
            edge,
            flow(
                scripted("INLINE", "inline", evaluatorType="javascript", expression="$.n * 3",
                         n="${workflow.input.n}"),
                scripted("JSON_JQ_TRANSFORM", "jq", queryExpression=".list | map(. + 1)",
                         list=[1, 2]),
                choice,
                jq="${jq.output.result}", odd="${odd.output.result}",
            ),
        )  # fmt: skip
        found = await ended(edge, await started(edge, "scripts", n=7))
        assert found.status == execution.Workflow.COMPLETED
        assert plain(found.output) == {"jq": [2, 3], "odd": {"odd": 21}}


async def test_a_program_that_cannot_be_understood_is_refused_at_its_place() -> None:
    async with Edge() as edge:
        choice = simple("choice", type="SWITCH", evaluator_type="graaljs", expression="$.n +")
        choice.decision_cases["1"].tasks.append(simple("d"))
        asked = metadata.CreateWorkflowRequest(
            workflow=flow(
                scripted("INLINE", "a", evaluatorType="javascript", expression="let x = ;"),
                scripted("JSON_JQ_TRANSFORM", "b", queryExpression=".a | map("),
                scripted("LAMBDA", "c", scriptExpression="return ("),
                choice,
            )
        )
        code, text = await refusal(edge, f"{METADATA}CreateWorkflow", asked)
        assert code == "INVALID_ARGUMENT"
        for place in (
            "tasks[0].inputParameters.expression",
            "tasks[1].inputParameters.queryExpression",
            "tasks[2].inputParameters.scriptExpression",
            "tasks[3].expression",
        ):
            assert f"{place}: " in text


async def test_a_bomb_fails_its_task_and_no_other() -> None:
    async with Edge() as edge:
        bomb = scripted("INLINE", "bomb", evaluatorType="javascript", expression="while (true) {}")
        await registered(edge, flow(bomb))
        good = definition.WorkflowDef(name="good", tasks=[
            scripted("INLINE", "sum", evaluatorType="javascript", expression="1 + 1"),
        ])  # fmt: skip
        await registered(edge, good)
        bombs = [await started(edge, "scripts") for _ in range(3)]
        goods = [await started(edge, "good") for _ in range(3)]
        for workflow_id in goods:
            assert (await ended(edge, workflow_id)).status == execution.Workflow.COMPLETED
        for workflow_id in bombs:
            found = await ended(edge, workflow_id)
            assert found.status == execution.Workflow.FAILED
            assert "expected a script that ends within 100 ms" in found.reason_for_incompletion
        status = await status_of(edge, bombs[0])
        assert status.tasks[-1].status == execution.Task.FAILED
