"""Rows of podium.v1.WorkflowService, but for its bulk calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.every.acting import (
    PODIUM,
    begun,
    ended,
    look,
    register,
    report,
    start,
    status,
    take,
    task,
)
from tests.api.every.calling import payload, read, row

if TYPE_CHECKING:
    from tests.api.every.calling import Rpcs


@row(f"{PODIUM}StartWorkflows")
async def start_workflows(rpcs: Rpcs) -> None:
    await register(rpcs)
    items = [{"name": "w", "input": payload(n=n)} for n in range(3)]
    answer = await rpcs.ask(f"{PODIUM}StartWorkflows", items=[*items, {"name": "none"}])
    *good, bad = answer["results"]
    found = [(await look(rpcs, each["workflow_id"]))["input"] for each in good]
    assert found == [{"n": 0.0}, {"n": 1.0}, {"n": 2.0}]
    assert bad["error"]["code"] == 5


@row(f"{PODIUM}StreamStarts")
async def stream_starts(rpcs: Rpcs) -> None:
    await register(rpcs)
    batches = [{"items": [{"name": "w", "correlation_id": each}] * 2} for each in ("c", "d")]
    answers = [each async for each in rpcs.answers(f"{PODIUM}StreamStarts", *batches)]
    for answer, correlation_id in zip(answers, ("c", "d"), strict=True):
        for each in answer["results"]:
            assert (await look(rpcs, each["workflow_id"]))["correlation_id"] == correlation_id


@row(f"{PODIUM}Wait")
async def wait(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    asked = {"workflow_id": workflow_id, "timeout_ms": 1}
    assert (await rpcs.ask(f"{PODIUM}Wait", **asked)) == {"status": "RUNNING"}
    await report(rpcs, await take(rpcs), output_data={"y": 1.0})
    answer = await rpcs.ask(f"{PODIUM}Wait", workflow_id=workflow_id, timeout_ms=20_000)
    assert (answer["status"], answer["finished"]) == ("COMPLETED", True)
    assert read(answer["output"]) == {"y": 1.0}


@row(f"{PODIUM}Watch")
async def watch(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    await report(rpcs, await take(rpcs))
    answers = await rpcs.listed(f"{PODIUM}Watch", workflow_id=workflow_id)
    changes = [change for answer in answers for change in answer["changes"]]
    seen = [each.get("task_status") or each["workflow_status"] for each in changes]
    assert seen[-2:] == ["COMPLETED", "COMPLETED"]
    assert seen.index("SCHEDULED") < seen.index("IN_PROGRESS") < seen.index("COMPLETED")


@row(f"{PODIUM}PushMessage")
async def push_message(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    answer = await rpcs.ask(f"{PODIUM}PushMessage", workflow_id=workflow_id)
    assert answer["message_id"]  # what takes it: tests/api/test_messages.py


@row(f"{PODIUM}Signal")
async def signal(rpcs: Rpcs) -> None:
    await register(rpcs, task("hold", type="WAIT"))
    workflow_id = await start(rpcs)
    asked = {"workflow_id": workflow_id, "output": payload(y=1)}
    answer = await rpcs.ask(f"{PODIUM}Signal", **asked)
    [waited] = (await ended(rpcs, workflow_id))["tasks"]
    assert (answer["workflow_id"], answer["task_id"]) == (workflow_id, waited["task_id"])
    assert (waited["status"], waited["output_data"]) == ("COMPLETED", {"y": 1.0})


@row(f"{PODIUM}UpdateVariables")
async def update_variables(rpcs: Rpcs) -> None:
    given = {"v": "${workflow.variables.v}"}
    await register(rpcs, task("a"), task("b", input_parameters=given))
    workflow_id = await start(rpcs)
    await rpcs.ask(f"{PODIUM}UpdateVariables", workflow_id=workflow_id, variables=payload(v=3))
    await report(rpcs, await take(rpcs))
    assert (await take(rpcs, "b"))["input_data"] == {"v": 3.0}
    assert await status(rpcs, workflow_id) == ["RUNNING"]
