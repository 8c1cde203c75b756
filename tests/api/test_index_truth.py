"""The index after anything that may happen to executions equals one that is made from the store.

Chance drives a server: starts, results, retries, reruns, restarts, removals, archives, on workflows
with forks, loops and retries. What the index was told commit by commit is then compared with what
it is when it is made anew.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from podium.app.search import Searches, SearchRequest
from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.index.conformance.samples import task_query, workflow_query
from podium.index.sqlite import SqliteIndex
from podium.runtime.clock import SystemIds
from podium.runtime.indexer import Indexer
from podium.runtime.loading import Loader
from tests.api.calls import simple, values
from tests.api.edge import Edge
from tests.api.test_flow import registered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

STEPS = 120
TYPES = ("a", "b", "c")


def definitions() -> list[definition.WorkflowDef]:
    """A sequence, a fork, and a loop that keeps two iterations."""
    sequence = definition.WorkflowDef(name="sequence", tasks=[simple(each) for each in TYPES])
    fork = definition.WorkflowDef(name="fork")
    forked = fork.tasks.add(name="fork", task_reference_name="fork", type="FORK_JOIN")
    for each in TYPES:
        forked.fork_tasks.add(tasks=[simple(each)])
    fork.tasks.add(name="join", task_reference_name="join", type="JOIN", join_on=list(TYPES))
    loop = definition.WorkflowDef(name="loop")
    body = loop.tasks.add(
        name="loop",
        task_reference_name="loop",
        type="DO_WHILE",
        loop_condition="$.loop.iteration < 5",
        loop_over=[simple("a"), simple("b")],
    )
    body.input_parameters["keepLastN"].number_value = 2
    return [sequence, fork, loop]


class Chance:
    """One run: what it does is drawn."""

    def __init__(self, edge: Edge, seed: int) -> None:
        self.edge = edge
        self.random = random.Random(seed)
        self.ids: list[str] = []

    async def step(self) -> None:
        move = self.random.choice(
            [self.start, self.work, self.work, self.work, self.work, self.control]
        )
        try:
            await move()
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INTERNAL:
                raise  # others say that the state is none for this

    async def start(self) -> None:
        asked = request.StartWorkflowRequest(
            name=self.random.choice(("sequence", "fork", "loop")),
            correlation_id=self.random.choice(("", "x", "y")),
        )
        values(asked, "input", {"n": self.random.random()})
        self.ids.append((await self.edge.workflows.StartWorkflow(asked)).workflow_id)

    async def work(self) -> None:
        polled = await self.edge.tasks.Poll(
            task.PollRequest(task_type=self.random.choice(TYPES), worker_id="w")
        )
        if not polled.HasField("task"):
            return
        result = execution.TaskResult(
            workflow_instance_id=polled.task.workflow_instance_id,
            task_id=polled.task.task_id,
            status=self.random.choice(
                [execution.TaskResult.COMPLETED] * 4
                + [execution.TaskResult.FAILED, execution.TaskResult.FAILED_WITH_TERMINAL_ERROR]
            ),
        )
        values(result, "output_data", {"m": self.random.random()})
        await self.edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))

    async def control(self) -> None:
        if not self.ids:
            return
        workflow_id = self.random.choice(self.ids)
        calls = self.edge.workflows
        moves: list[Callable[[], Awaitable[Any]]] = [
            lambda: calls.PauseWorkflow(workflow.PauseWorkflowRequest(workflow_id=workflow_id)),
            lambda: calls.ResumeWorkflow(workflow.ResumeWorkflowRequest(workflow_id=workflow_id)),
            lambda: calls.TerminateWorkflow(
                workflow.TerminateWorkflowRequest(workflow_id=workflow_id, reason="drawn")
            ),
            lambda: calls.RetryWorkflow(workflow.RetryWorkflowRequest(workflow_id=workflow_id)),
            lambda: calls.RestartWorkflow(workflow.RestartWorkflowRequest(workflow_id=workflow_id)),
            lambda: self.rerun(workflow_id),
            lambda: self.rerun(workflow_id),
            lambda: calls.RemoveWorkflow(
                workflow.RemoveWorkflowRequest(
                    workflod_id=workflow_id, archive_workflow=self.random.random() < 0.7
                )
            ),
        ]
        await self.random.choice(moves)()

    async def rerun(self, workflow_id: str) -> None:
        asked = request.RerunWorkflowRequest(re_run_from_workflow_id=workflow_id)
        view = await self.edge.workflows.GetWorkflowStatus(
            workflow.GetWorkflowStatusRequest(workflow_id=workflow_id, include_tasks=True)
        )
        if view.tasks and self.random.random() < 0.8:
            asked.re_run_from_task_id = self.random.choice(list(view.tasks)).task_id
        await self.edge.workflows.RerunWorkflow(asked)


async def contents(searches: Searches) -> list[Any]:
    """Everything that an index has."""
    workflows = await searches.workflows(SearchRequest(sort="workflowId:ASC"))
    tasks = await searches.tasks(SearchRequest(sort="taskId:ASC"))
    assert (workflows.total, tasks.total) == (len(workflows.hits), len(tasks.hits))
    return [*workflows.hits, *tasks.hits]


async def made_anew(edge: Edge) -> list[Any]:
    """What an index that is made from the store has."""
    index = SqliteIndex(None, edge.clock.now_ms)
    await index.open()
    indexer = Indexer(
        index=index,
        store=edge.store,
        loader=Loader(edge.store, edge.registry),
        clock=edge.clock,
        incarnation=SystemIds().incarnation(),
    )
    running = asyncio.create_task(indexer.run())
    try:
        settled = await indexer.settled()
        workflows = await settled.workflows(workflow_query(size=5_000))
        tasks = await settled.tasks(task_query(size=5_000))
    finally:
        running.cancel()
        await asyncio.wait([running])
        await index.close()
    return [*workflows.hits, *tasks.hits]


def differences(told: list[Any], true: list[Any]) -> list[tuple[str, Any]]:
    """Documents that one index has and the other has not, or has otherwise."""
    return [("told", each) for each in told if each not in true] + [
        ("true", each) for each in true if each not in told
    ]


@pytest.mark.parametrize("seed", range(6))
async def test_the_index_is_what_the_store_says(seed: int) -> None:
    async with Edge() as edge:
        await registered(edge, *definitions())
        chance = Chance(edge, seed)
        searches = Searches(edge.services)
        for number in range(STEPS):
            await chance.step()
            if number % 40 == 39:
                told, true = await contents(searches), await made_anew(edge)
                assert differences(told, true) == []
        assert chance.ids
