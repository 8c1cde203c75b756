"""Rows of the searches, of Conductor's and of podium.v1, and their bad requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.api.every.acting import PODIUM, TASKS, WORKFLOWS, begun, report, start, take
from tests.api.every.calling import REFUSALS, row
from tests.api.every.podium_admin import ADMIN

if TYPE_CHECKING:
    from tests.api.every.calling import Bad, Rpcs

QUERY = "workflowType = w AND status IN (RUNNING)"
BAD_SEARCHES: list[Bad] = [
    ({"query": "status ="}, "INVALID_ARGUMENT", "query: expected a value, found the end"),
    ({"sort": "status:UP"}, "INVALID_ARGUMENT", "sort: expected ASC or DESC"),
    ({"free_text": "!"}, "INVALID_ARGUMENT", "free_text: expected 1 to 64 words"),
    ({"size": 5001}, "INVALID_ARGUMENT", "Cannot return more than 5000 results"),
    ({"start": -1}, "INVALID_ARGUMENT", "start: expected 0 to"),
]


@row(f"{WORKFLOWS}Search")
async def search(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    found = await rpcs.ask(f"{WORKFLOWS}Search", query=QUERY)
    assert [each["workflow_id"] for each in found["results"]] == [workflow_id]
    assert int(found["total_hits"]) == 1


@row(f"{WORKFLOWS}SearchV2")
async def search_whole(rpcs: Rpcs) -> None:
    await begun(rpcs)
    workflow_id = await start(rpcs, n=7)
    found = await rpcs.ask(f"{WORKFLOWS}SearchV2", query=f"workflowId = {workflow_id}")
    assert found["results"][0]["input"] == {"n": 7}


@row(f"{WORKFLOWS}SearchByTasks")
async def search_by_tasks(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    found = await rpcs.ask(f"{WORKFLOWS}SearchByTasks", query="taskType = a")
    assert [each["workflow_id"] for each in found["results"]] == [workflow_id]


@row(f"{WORKFLOWS}SearchByTasksV2")
async def search_whole_by_tasks(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    found = await rpcs.ask(f"{WORKFLOWS}SearchByTasksV2", query="taskType = a")
    assert [each["workflow_id"] for each in found["results"]] == [workflow_id]


@row(f"{TASKS}Search")
async def search_tasks(rpcs: Rpcs) -> None:
    await begun(rpcs)
    got = await take(rpcs)
    found = await rpcs.ask(f"{TASKS}Search", query="status = IN_PROGRESS")
    assert [each["task_id"] for each in found["results"]] == [got["task_id"]]


@row(f"{TASKS}SearchV2")
async def search_whole_tasks(rpcs: Rpcs) -> None:
    await begun(rpcs)
    await report(rpcs, await take(rpcs), output_data={"m": 8})
    found = await rpcs.ask(f"{TASKS}SearchV2", query="status = COMPLETED")
    assert found["results"][0]["output_data"] == {"m": 8}


@row(f"{WORKFLOWS}GetWorkflows")
async def by_correlation_id(rpcs: Rpcs) -> None:
    await begun(rpcs)
    asked = {"name": "w", "correlation_id": "c"}
    started = await rpcs.ask(f"{WORKFLOWS}StartWorkflow", **asked)
    found = await rpcs.ask(f"{WORKFLOWS}GetWorkflows", name="w", correlation_id=["c", "d"])
    [one] = found["workflows_by_id"]["c"]["workflows"]
    assert one["workflow_id"] == started["workflow_id"]
    assert found["workflows_by_id"]["d"] == {}


@row(f"{WORKFLOWS}GetRunningWorkflows")
async def running(rpcs: Rpcs) -> None:
    [over, workflow_id] = await begun(rpcs, 2)
    await rpcs.ask(f"{WORKFLOWS}TerminateWorkflow", workflow_id=over)
    found = await rpcs.ask(f"{WORKFLOWS}GetRunningWorkflows", name="w")
    assert found["workflow_ids"] == [workflow_id]


@row(f"{PODIUM}List")
async def list_workflows(rpcs: Rpcs) -> None:
    ids = await begun(rpcs, 2)
    first = await rpcs.ask(f"{PODIUM}List", filter={"query": QUERY}, page_size=1)
    rest: dict[str, Any] = {"filter": {"query": QUERY}, "page_token": first["next_page_token"]}
    second = await rpcs.ask(f"{PODIUM}List", **rest)
    found = [each["workflow_id"] for each in first["workflows"] + second["workflows"]]
    assert sorted(found) == sorted(ids)


@row(f"{ADMIN}RemoveByQuery")
async def remove_by_query(rpcs: Rpcs) -> None:
    await begun(rpcs, 2)
    asked: dict[str, Any] = {"filter": {"query": QUERY}}
    run = await rpcs.ask(f"{ADMIN}RemoveByQuery", **asked)
    assert int(run["remaining"]) == 2
    done = await rpcs.ask(f"{ADMIN}RemoveByQuery", confirmation=run["confirmation"], **asked)
    assert done["removed"] == 2
    assert "workflows" not in await rpcs.ask(f"{PODIUM}List")


BAD: dict[str, list[Bad]] = {
    f"{WORKFLOWS}Search": BAD_SEARCHES,
    f"{WORKFLOWS}SearchV2": BAD_SEARCHES,
    f"{WORKFLOWS}SearchByTasks": BAD_SEARCHES,
    f"{WORKFLOWS}SearchByTasksV2": BAD_SEARCHES,
    f"{TASKS}Search": BAD_SEARCHES,
    f"{TASKS}SearchV2": BAD_SEARCHES,
    f"{WORKFLOWS}GetWorkflows": [
        ({}, "INVALID_ARGUMENT", "name: "),
        ({"name": "w", "correlation_id": ["c"] * 1001}, "INVALID_ARGUMENT", "at most 1000"),
    ],
    f"{WORKFLOWS}GetRunningWorkflows": [
        ({}, "INVALID_ARGUMENT", "name: "),
        ({"name": "w", "version": -1}, "INVALID_ARGUMENT", "version: "),
    ],
    f"{PODIUM}List": [
        ({"filter": {"query": "nothing = 1"}}, "INVALID_ARGUMENT", "filter.query: expected one of"),
        ({"page_size": 1001}, "INVALID_ARGUMENT", "page_size: expected 0 to 1000"),
        ({"page_token": "none"}, "INVALID_ARGUMENT", "page_token: expected a token"),
    ],
    f"{ADMIN}RemoveByQuery": [
        ({}, "INVALID_ARGUMENT", "filter: expected one, found none"),
        ({"filter": {}, "confirmation": "none"}, "INVALID_ARGUMENT", "confirmation: expected a"),
        ({"filter": {"version": -1}}, "INVALID_ARGUMENT", "filter.version: expected 0 or more"),
    ],
}

REFUSALS.update(BAD)
