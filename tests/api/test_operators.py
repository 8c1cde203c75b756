"""Scripts and waits over a real channel: values, refusals at registration, bombs, timers."""

from __future__ import annotations

import asyncio

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.v1 import workflow_pb2 as podium
from tests.api.calls import METADATA, TASKS, WORKFLOWS, plain, refusal, simple, values
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
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


async def test_an_operator_pauses_skips_and_resumes() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a"), simple("b"), simple("c"), y="${b.output.y}"))
        workflow_id = await started(edge, "scripts")
        await edge.workflows.PauseWorkflow(workflow.PauseWorkflowRequest(workflow_id=workflow_id))
        await completed(edge, await polled(edge, "a"))
        status = await status_of(edge, workflow_id)
        assert status.status == execution.Workflow.PAUSED
        assert len(status.tasks) == 1
        skip = workflow.SkipTaskRequest(workflow_id=workflow_id, task_reference_name="b")
        values(skip.request, "task_output", {"y": 7})
        code, text = await refusal(edge, f"{WORKFLOWS}SkipTaskFromWorkflow", skip)
        assert (code, "expected RUNNING, found PAUSED" in text) == ("FAILED_PRECONDITION", True)
        resume = workflow.ResumeWorkflowRequest(workflow_id=workflow_id)
        await edge.workflows.ResumeWorkflow(resume)
        code, text = await refusal(edge, f"{WORKFLOWS}ResumeWorkflow", resume)
        assert (code, "Current status is RUNNING" in text) == ("FAILED_PRECONDITION", True)
        skip.task_reference_name = "c"
        await edge.workflows.SkipTaskFromWorkflow(skip)
        await completed(edge, await polled(edge, "b"), y=1)
        found = await ended(edge, workflow_id)
        assert found.status == execution.Workflow.COMPLETED
        assert plain(found.output) == {"y": 1}


async def test_callbacks_are_reset_and_a_decision_is_looked_at() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a")))
        workflow_id = await started(edge, "scripts")
        got = await polled(edge, "a")
        later = execution.TaskResult(workflow_instance_id=workflow_id, task_id=got.task_id,
                                     status=execution.TaskResult.IN_PROGRESS,
                                     callback_after_seconds=3600)  # fmt: skip
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=later))
        await edge.workflows.ResetWorkflowCallbacks(
            workflow.ResetWorkflowCallbacksRequest(workflow_id=workflow_id)
        )
        await completed(edge, await polled(edge, "a"))
        decide = workflow.DecideWorkflowRequest(workflow_id=workflow_id)
        await edge.workflows.DecideWorkflow(decide)
        decide.workflow_id = "gone"
        code, _ = await refusal(edge, f"{WORKFLOWS}DecideWorkflow", decide)
        assert code == "NOT_FOUND"


async def test_a_failed_workflow_is_retried_over_the_wire() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a"), simple("b")))
        workflow_id = await started(edge, "scripts")
        got = await polled(edge, "a")
        failure = execution.TaskResult(
            workflow_instance_id=workflow_id,
            task_id=got.task_id,
            status=execution.TaskResult.FAILED_WITH_TERMINAL_ERROR,
        )
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=failure))
        assert (await ended(edge, workflow_id)).status == execution.Workflow.FAILED
        retry = workflow.RetryWorkflowRequest(workflow_id=workflow_id)
        await edge.workflows.RetryWorkflow(retry)
        code, text = await refusal(edge, f"{WORKFLOWS}RetryWorkflow", retry)
        assert (code, text) == (
            "FAILED_PRECONDITION",
            "Workflow is still running. status=RUNNING",
        )
        await completed(edge, await polled(edge, "a"))
        await completed(edge, await polled(edge, "b"))
        found = await ended(edge, workflow_id)
        assert found.status == execution.Workflow.COMPLETED
        assert [each.retry_count for each in found.tasks] == [0, 1, 0]


async def failed_in_a_child(edge: Edge) -> tuple[str, execution.Workflow]:
    """The parent, and its child that failed at its second task."""
    child = definition.WorkflowDef(name="child", tasks=[simple("a"), simple("b")])
    part = simple("part", type="SUB_WORKFLOW")
    part.sub_workflow_param.name = "child"
    await registered(edge, child, flow(part, simple("c"), x="${workflow.input.x}"))
    parent_id = await started(edge, "scripts", x=1)
    await completed(edge, await polled(edge, "a"))
    got = await polled(edge, "b")
    failure = execution.TaskResult(
        workflow_instance_id=got.workflow_instance_id,
        task_id=got.task_id,
        status=execution.TaskResult.FAILED_WITH_TERMINAL_ERROR,
    )
    await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=failure))
    assert (await ended(edge, parent_id)).status == execution.Workflow.FAILED
    return parent_id, await status_of(edge, got.workflow_instance_id)


async def test_a_workflow_is_rerun_from_a_task_of_its_child() -> None:
    async with Edge() as edge:
        parent_id, child = await failed_in_a_child(edge)
        asked = request.RerunWorkflowRequest(
            re_run_from_workflow_id=parent_id, re_run_from_task_id=child.tasks[0].task_id
        )
        values(asked, "task_input", {"t": 5})
        values(asked, "workflow_input", {"x": 2})
        answer = await edge.workflows.RerunWorkflow(asked)
        assert answer.workflow_id == parent_id
        got = await polled(edge, "a")
        assert plain(got.input_data) == {"t": 5}
        code, text = await refusal(edge, f"{WORKFLOWS}RerunWorkflow", asked)
        assert code == "FAILED_PRECONDITION"
        assert text.startswith(f"Workflow: {child.workflow_id} is not in terminal state")
        await completed(edge, got)
        await completed(edge, await polled(edge, "b"))
        await completed(edge, await polled(edge, "c"))
        found = await ended(edge, parent_id)
        assert found.status == execution.Workflow.COMPLETED
        assert plain(found.output) == {"x": 2}
        whole = request.RerunWorkflowRequest(re_run_from_workflow_id=parent_id)
        await edge.workflows.RerunWorkflow(whole)
        assert (await status_of(edge, parent_id)).status == execution.Workflow.RUNNING


async def test_a_workflow_is_restarted_with_its_latest_definition() -> None:
    async with Edge() as edge:
        parent_id, child = await failed_in_a_child(edge)
        await registered(edge, definition.WorkflowDef(name="child", version=2, tasks=[simple("n")]))
        restart = workflow.RestartWorkflowRequest(
            workflow_id=child.workflow_id, use_latest_definitions=True
        )
        await edge.workflows.RestartWorkflow(restart)
        code, _ = await refusal(edge, f"{WORKFLOWS}RestartWorkflow", restart)
        assert code == "FAILED_PRECONDITION"
        again = await status_of(edge, child.workflow_id)
        assert [each.reference_task_name for each in again.tasks] == ["n"]
        assert again.workflow_definition.version == 2
        await completed(edge, await polled(edge, "n"))
        await completed(edge, await polled(edge, "c"))
        assert (await ended(edge, parent_id)).status == execution.Workflow.COMPLETED


async def test_what_cannot_be_rerun_is_refused_by_name() -> None:
    async with Edge() as edge:
        parent_id, child = await failed_in_a_child(edge)
        asked = request.RerunWorkflowRequest(re_run_from_workflow_id=parent_id)
        for task_id in ("x", f"{parent_id}.key.0", f"{'0' * 36}.key.0"):
            asked.re_run_from_task_id = task_id
            assert await refusal(edge, f"{WORKFLOWS}RerunWorkflow", asked) == (
                "INVALID_ARGUMENT",
                f"Task {task_id} not found",
            )
        asked.re_run_from_task_id = ""
        values(asked, "task_input", {"t": 5})
        code, text = await refusal(edge, f"{WORKFLOWS}RerunWorkflow", asked)
        assert (code, text) == (
            "INVALID_ARGUMENT",
            "task_input: expected a task to give it to, found none",
        )
        asked.Clear()
        asked.re_run_from_workflow_id = "gone"
        code, _ = await refusal(edge, f"{WORKFLOWS}RerunWorkflow", asked)
        assert code == "NOT_FOUND"
        assert child.status == execution.Workflow.FAILED


async def test_a_removed_workflow_is_gone_and_an_archived_one_can_be_read() -> None:
    async with Edge() as edge:
        parent_id, child = await failed_in_a_child(edge)
        await edge.workflows.RemoveWorkflow(
            workflow.RemoveWorkflowRequest(workflod_id=parent_id, archive_workflow=True)
        )
        before = child.tasks[0]
        remove = workflow.RemoveWorkflowRequest(workflod_id=child.workflow_id)
        await edge.workflows.RemoveWorkflow(remove)
        found = await status_of(edge, parent_id)
        assert found.status == execution.Workflow.FAILED
        assert [each.reference_task_name for each in found.tasks] == ["part"]
        got = await edge.tasks.GetTask(task.GetTaskRequest(task_id=found.tasks[0].task_id))
        assert got.task.sub_workflow_id == child.workflow_id
        retry = workflow.RetryWorkflowRequest(workflow_id=parent_id)
        assert (await refusal(edge, f"{WORKFLOWS}RetryWorkflow", retry))[0] == "NOT_FOUND"
        for method, asked in (
            (f"{WORKFLOWS}RemoveWorkflow", remove),
            (f"{WORKFLOWS}GetWorkflowStatus",
             workflow.GetWorkflowStatusRequest(workflow_id=child.workflow_id)),
            (f"{TASKS}GetTask", task.GetTaskRequest(task_id=before.task_id)),
        ):  # fmt: skip
            assert (await refusal(edge, method, asked))[0] == "NOT_FOUND"
        again = workflow.RemoveWorkflowRequest(workflod_id=parent_id)
        await edge.workflows.RemoveWorkflow(again)
        assert (await refusal(edge, f"{WORKFLOWS}RemoveWorkflow", again))[0] == "NOT_FOUND"


async def test_what_runs_is_not_archived_and_ends_before_it_is_removed() -> None:
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="child", tasks=[simple("a")]))
        part = simple("part", type="SUB_WORKFLOW")
        part.sub_workflow_param.name = "child"
        await registered(edge, flow(part))
        parent_id = await started(edge, "scripts")
        got = await polled(edge, "a")
        child_id = got.workflow_instance_id
        remove = workflow.RemoveWorkflowRequest(workflod_id=child_id, archive_workflow=True)
        assert await refusal(edge, f"{WORKFLOWS}RemoveWorkflow", remove) == (
            "INVALID_ARGUMENT",
            f"Cannot archive workflow: {child_id} with status: RUNNING",
        )
        remove.archive_workflow = False
        await edge.workflows.RemoveWorkflow(remove)
        parent = await ended(edge, parent_id)
        assert parent.status == execution.Workflow.TERMINATED
        result = execution.TaskResult(workflow_instance_id=child_id, task_id=got.task_id,
                                      status=execution.TaskResult.COMPLETED)  # fmt: skip
        late = task.UpdateTaskRequest(result=result)
        assert (await refusal(edge, f"{TASKS}UpdateTask", late))[0] == "NOT_FOUND"


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
