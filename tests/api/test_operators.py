"""Scripts and waits over a real channel: values, refusals at registration, bombs, timers."""

from __future__ import annotations

import asyncio

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from podium.v1 import workflow_pb2 as podium
from tests.api.calls import METADATA, plain, refusal, simple, values
from tests.api.edge import Edge
from tests.api.test_flow import completed, registered, started, status_of
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
            "tasks[2].inputParameters.scriptExpression",
            "tasks[3].expression",
        ):
            assert f"{place}: " in text
        # A jq program is tried when it runs: jq has dialects.
        assert "tasks[1]" not in text


async def test_a_wait_ends_by_its_timer_and_a_human_by_an_update() -> None:
    wait = simple("wait", type="WAIT")
    values(wait, "input_parameters", {"duration": "1s"})
    async with Edge() as edge:
        await registered(edge, flow(wait, simple("human", type="HUMAN")))
        workflow_id = await started(edge, "scripts")
        status = await status_of(edge, workflow_id)
        async with asyncio.timeout(30):
            changes = edge.podium.Watch(podium.WatchRequest(workflow_id=workflow_id))
            async for _ in changes:
                status = await status_of(edge, workflow_id)
                if len(status.tasks) == 2:
                    break
            changes.cancel()
        assert status.tasks[0].status == execution.Task.COMPLETED
        assert status.tasks[0].end_time - status.tasks[0].start_time >= 1_000
        await completed(edge, status.tasks[1], by="me")
        found = await ended(edge, workflow_id)
        assert found.status == execution.Workflow.COMPLETED
        assert plain(found.output) == {"by": "me"}


async def test_a_loop_of_many_iterations_keeps_the_last_ones() -> None:
    body = scripted("INLINE", "body", evaluatorType="javascript", expression="$.at * 2",
                    at="${loop.output.iteration}", text="x" * 5000)  # fmt: skip
    loop = simple("loop", type="DO_WHILE", loop_over=[body])
    loop.loop_condition = "$.loop['iteration'] < $.n"
    values(loop, "input_parameters", {"n": "${workflow.input.n}", "keepLastN": 2})
    async with Edge() as edge:
        await registered(edge, flow(loop, last="${body.output.result}"))
        found = await ended(edge, await started(edge, "scripts", n=300))
        assert found.status == execution.Workflow.COMPLETED, found.reason_for_incompletion
        assert plain(found.output) == {"last": 600}
        kept = {"iteration": 300} | {str(at): {"body": {"result": 2 * at}} for at in (299, 300)}
        assert plain(found.tasks[0].output_data) == kept
        shown = [(each.reference_task_name, each.iteration) for each in found.tasks]
        assert shown == [("loop", 300), ("body__299", 299), ("body__300", 300)]


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
