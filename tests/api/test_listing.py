"""Lists of executions by filter, and removal of what a filter means, over a real channel."""

from __future__ import annotations

from typing import Any

import pytest

from podium.conductor import workflow_service_pb2 as workflow
from podium.v1 import listing_pb2 as listing
from tests.api.calls import PODIUM, refusal
from tests.api.edge import Edge
from tests.api.test_searching import begun, found, ids, prepared

ADMIN = "/podium.v1.AdminService/"
meant = listing.WorkflowFilter


async def test_a_list_has_pages_that_new_executions_do_not_shift() -> None:
    async with Edge() as edge:
        await prepared(edge, "order", "invoice")
        started = [await begun(edge, "order") for _ in range(5)]
        await begun(edge, "invoice")
        asked = listing.ListRequest(page_size=2, count_total=True)
        asked.filter.names.append("order")
        seen: list[str] = []
        for total, size in ((5, 2), (6, 2), (7, 1)):
            page = await edge.podium.List(asked)
            seen += ids(page.workflows)
            assert (page.total, len(page.workflows)) == (total, size)
            asked.page_token = page.next_page_token
            await begun(edge, "order")
        assert not asked.page_token
        assert seen == started[::-1]
        # A token belongs to its filter
        asked.page_token = (await edge.podium.List(asked)).next_page_token
        asked.filter.names.append("invoice")
        code, text = await refusal(edge, f"{PODIUM}List", asked)
        assert code == "INVALID_ARGUMENT"
        assert "page_token: expected one of this filter" in text


async def test_a_list_has_what_its_filter_says() -> None:
    async with Edge() as edge:
        await prepared(edge, "order", "invoice")
        at_ms = edge.clock.now_ms()
        first = await begun(edge, "order", correlation_id="c", item="lamp")
        second = await begun(edge, "invoice", priority=9)
        await edge.workflows.TerminateWorkflow(workflow.TerminateWorkflowRequest(workflow_id=first))
        hour = 3_600_000
        filters: tuple[tuple[dict[str, Any], list[str]], ...] = (
            ({}, [second, first]),
            ({"names": ["order"]}, [first]),
            ({"version": 1, "statuses": ["RUNNING", "PAUSED"]}, [second]),
            ({"version": 2}, []),
            ({"correlation_ids": ["c", "d"]}, [first]),
            ({"started_from_ms": at_ms - hour, "started_before_ms": at_ms + hour}, [second, first]),
            ({"started_before_ms": at_ms}, []),
            ({"ended_from_ms": at_ms}, [first]),
            ({"ended_before_ms": at_ms + hour}, [first]),
            ({"query": "priority > 5 OR status = FAILED"}, [second]),
            ({"free_text": "lamp"}, [first]),
        )
        for fields, wanted in filters:
            page = await edge.podium.List(
                listing.ListRequest(filter=meant(**fields), include_payloads=True)
            )
            assert ids(page.workflows) == wanted, fields
        shown = (await edge.podium.List(listing.ListRequest(include_payloads=True))).workflows[1]
        assert (shown.input, shown.status) == ('{"item":"lamp"}', "TERMINATED")
        assert at_ms <= shown.start_ms <= shown.end_ms


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"filter": {"query": "nme = 1"}}, "filter.query: expected one of the fields workflowId"),
        ({"filter": {"free_text": "?"}}, "filter.free_text: expected 1 to 64 words"),
        ({"filter": {"statuses": ["running"]}}, "filter.statuses: expected one of RUNNING, PAUSED"),
        ({"filter": {"version": -1}}, "filter.version: expected 0 or more, found -1"),
        ({"filter": {"names": ["x"] * 1001}}, "filter.names: expected at most 1000, found 1001"),
        ({"page_size": 1001}, "page_size: expected 0 to 1000, found 1001"),
        ({"page_token": "junk"}, "page_token: expected a token of an answer, found junk"),
        ({"page_token": "Ä"}, "page_token: expected a token of an answer, found Ä"),
    ],
)
async def test_a_list_that_cannot_be_made_is_refused(fields: dict[str, Any], expected: str) -> None:
    async with Edge() as edge:
        code, text = await refusal(edge, f"{PODIUM}List", listing.ListRequest(**fields))
        assert code == "INVALID_ARGUMENT"
        assert expected in text


async def test_a_dry_run_counts_and_its_confirmation_removes_in_batches() -> None:
    async with Edge() as edge:
        await prepared(edge, "order", "invoice")
        mine = [await begun(edge, "order") for _ in range(5)]
        other = await begun(edge, "invoice")
        asked = listing.RemoveByQueryRequest(filter=meant(query="workflowType = order"))
        run = await edge.admin.RemoveByQuery(asked)
        assert (run.remaining, ids(run.sample)) == (5, mine[::-1])
        assert (await found(edge)).total_hits == 6
        # What was started afterwards is not meant: a millisecond later, the measure of time here
        await edge.clock.sleep(2)
        later = await begun(edge, "order")
        asked.confirmation, asked.limit = run.confirmation, 3
        batch = await edge.admin.RemoveByQuery(asked)
        assert (batch.removed, batch.remaining, len(batch.failures)) == (3, 2, 0)
        asked.confirmation = batch.confirmation
        batch = await edge.admin.RemoveByQuery(asked)
        assert (batch.removed, batch.remaining, batch.confirmation) == (2, 0, "")
        assert set(ids((await found(edge)).results)) == {other, later}


async def test_what_cannot_be_removed_is_told_and_passed_over() -> None:
    async with Edge() as edge:
        await prepared(edge, "order")
        ended, running = [await begun(edge, "order") for _ in range(2)]
        await edge.workflows.TerminateWorkflow(workflow.TerminateWorkflowRequest(workflow_id=ended))
        asked = listing.RemoveByQueryRequest(archive=True, filter=meant())
        asked.confirmation = (await edge.admin.RemoveByQuery(asked)).confirmation
        answer = await edge.admin.RemoveByQuery(asked)
        (failure,) = answer.failures
        assert (answer.removed, answer.remaining) == (1, 0)
        assert (failure.workflow_id, failure.code) == (running, 3)
        assert "with status: RUNNING" in failure.message
        # The archived one is found, and not counted again
        assert (await found(edge, "archived = 1")).total_hits == 1
        asked.confirmation = ""
        assert (await edge.admin.RemoveByQuery(asked)).remaining == 1


async def test_a_confirmation_holds_for_what_was_counted_alone() -> None:
    async with Edge() as edge:
        await prepared(edge, "order")
        first, second = [await begun(edge, "order") for _ in range(2)]
        asked = listing.RemoveByQueryRequest(filter=meant(statuses=["TERMINATED"]))
        path = f"{ADMIN}RemoveByQuery"
        code, text = await refusal(edge, path, listing.RemoveByQueryRequest())
        assert (code, text[:23]) == ("INVALID_ARGUMENT", "filter: expected one, f")
        await edge.workflows.TerminateWorkflow(workflow.TerminateWorkflowRequest(workflow_id=first))
        asked.confirmation = (await edge.admin.RemoveByQuery(asked)).confirmation
        # Another filter, or archive where there was none
        wrong = listing.RemoveByQueryRequest(confirmation=asked.confirmation, filter=meant())
        archiving = listing.RemoveByQueryRequest()
        archiving.CopyFrom(asked)
        archiving.archive = True
        for each in (wrong, archiving):
            code, text = await refusal(edge, path, each)
            assert (code, "found another's" in text) == ("INVALID_ARGUMENT", True)
        # More than there were
        await edge.workflows.TerminateWorkflow(
            workflow.TerminateWorkflowRequest(workflow_id=second)
        )
        code, text = await refusal(edge, path, asked)
        assert code == "FAILED_PRECONDITION"
        assert "expected at most 1 workflows, as the dry run counted, found 2" in text
        assert (await found(edge)).total_hits == 2
