"""Rows of podium.v1.WorkflowService that run executions to an answer, or update by reference."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.api.every.acting import PODIUM, look, register, report, start, take, task
from tests.api.every.calling import payload, read, row

if TYPE_CHECKING:
    from tests.api.every.calling import Rpcs


@row(f"{PODIUM}Execute")
async def execute(rpcs: Rpcs) -> None:
    await register(rpcs)
    asked = {"start": {"name": "w", "input": payload(n=1)}, "timeout_ms": 20_000}
    call = asyncio.ensure_future(rpcs.ask(f"{PODIUM}Execute", **asked))
    await report(rpcs, await take(rpcs))
    answer = await call
    found = read(answer["result"])
    assert (found["workflowId"], found["status"]) == (answer["workflow_id"], "COMPLETED")


@row(f"{PODIUM}TestWorkflow")
async def try_workflow(rpcs: Rpcs) -> None:
    await register(rpcs)
    mocks = {"tasks": {"a": {"mocks": [{"output": payload(y=1)}]}}}
    answer = await rpcs.ask(f"{PODIUM}TestWorkflow", start={"name": "w"}, mocks=mocks)
    assert (answer["finished"], "problems" in answer) == (True, False)
    [tried] = (await look(rpcs, answer["workflow_id"]))["tasks"]
    assert (tried["status"], tried["output_data"]) == ("COMPLETED", {"y": 1.0})


@row(f"{PODIUM}UpdateTask")
async def update_task(rpcs: Rpcs) -> None:
    await register(rpcs, task("a"))
    workflow_id = await start(rpcs)
    asked = {"workflow_id": workflow_id, "reference_name": "a", "output": payload(y=1)}
    answer = await rpcs.ask(f"{PODIUM}UpdateTask", **asked)
    [updated] = (await look(rpcs, workflow_id))["tasks"]
    assert (updated["task_id"], updated["status"]) == (answer["task_id"], "COMPLETED")
    assert "task_id" not in await rpcs.ask(f"{PODIUM}UpdateTask", **asked)
