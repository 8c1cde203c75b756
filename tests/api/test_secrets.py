"""Secrets and environment values over a real channel: pollers, schemas, limits, names (S-524)."""

from __future__ import annotations

import orjson
import pytest

from podium.conductor import execution_pb2 as execution
from podium.conductor import task_service_pb2 as tasks
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.model.definition import decode_workflow
from podium.runtime.vault import Vault
from podium.v1 import admin_values_pb2 as admin
from podium.v1 import workflow_pb2 as podium
from tests.api.calls import plain
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, started, status_of
from tests.api.waiting import ended

KEY = "${workflow.secrets.KEY}"
VAULT = Vault(
    {"KEY": "k-clear-text", "LARGE": "l" * PAYLOAD_BYTES_LIMIT}, {"REGION": "eu", "KEY": "other"}
)


async def register(edge: Edge, *steps: dict[str, object], **fields: object) -> None:
    document = {"name": "one", "version": 1, "tasks": steps, **fields}
    await edge.registry.register_workflow(decode_workflow(orjson.dumps(document)))


def step(ref: str = "step", **fields: object) -> dict[str, object]:
    return {"name": ref, "taskReferenceName": ref, **fields}


def schema(data: object) -> dict[str, object]:
    return {"name": "s", "version": 1, "type": "JSON", "data": data}


async def test_s_260_a_poller_is_given_the_names_of_runtime_metadata() -> None:
    async with Edge(vault=VAULT) as edge:
        asked = {"name": "step", "runtimeMetadata": ["KEY", "REGION", "NONE"]}
        await register(edge, step(taskDefinition=asked, inputParameters={"x": KEY}))
        workflow_id = await started(edge)
        got = await polled(edge)
        assert dict(got.runtime_metadata) == {"KEY": "k-clear-text", "REGION": "eu"}
        assert plain(got.input_data) == {"x": "k-clear-text"}
        one = (await edge.tasks.GetTask(tasks.GetTaskRequest(task_id=got.task_id))).task
        for read in (one, (await status_of(edge, workflow_id)).tasks[0]):
            assert dict(read.runtime_metadata) == {}
            assert plain(read.input_data) == {"x": KEY}


async def test_watch_and_the_failure_workflow_see_the_text_only() -> None:
    async with Edge(vault=VAULT) as edge:
        await register(edge, step("cleans"), name="cleaner")
        await register(edge, step(inputParameters={"x": KEY}), failureWorkflow="cleaner")
        workflow_id = await started(edge)
        seen = edge.podium.Watch(podium.WatchRequest(workflow_id=workflow_id))
        got = await polled(edge)
        result = execution.TaskResult(
            workflow_instance_id=workflow_id,
            task_id=got.task_id,
            status=execution.TaskResult.FAILED_WITH_TERMINAL_ERROR,
        )
        await edge.tasks.UpdateTask(tasks.UpdateTaskRequest(result=result))
        text = "".join([str(each) async for each in seen])
        assert "FAILED" in text
        cleaning = await polled(edge, "cleans")
        assert "clear-text" not in text + str(cleaning)


@pytest.mark.parametrize(
    ("length", "status"), [(len("k-clear-text"), "IN_PROGRESS"), (5, "FAILED")]
)
async def test_schemas_judge_what_the_worker_gets_and_tell_no_value(
    length: int, status: str
) -> None:
    async with Edge(vault=VAULT) as edge:
        strict = schema({"properties": {"x": {"maxLength": length}}})
        attached = {"name": "step", "retryCount": 0, "inputSchema": strict, "enforceSchema": True}
        await register(edge, step(taskDefinition=attached, inputParameters={"x": KEY}))
        workflow_id = await started(edge)
        if status == "IN_PROGRESS":
            assert plain((await polled(edge)).input_data) == {"x": "k-clear-text"}
            return
        found = await ended(edge, workflow_id)
        assert found.status == execution.Workflow.FAILED
        assert "fits its schema" in found.tasks[0].reason_for_incompletion
        assert "clear-text" not in str(found)


async def test_a_task_that_its_secrets_make_too_large_fails_with_the_sizes() -> None:
    async with Edge(vault=VAULT) as edge:
        large = "${workflow.secrets.LARGE}"
        await register(edge, step(inputParameters={"x": large}, retryCount=0))
        workflow_id = await started(edge)
        request = tasks.BatchPollRequest(task_type="step", worker_id="w", count=1, timeout=5000)
        assert [each async for each in edge.tasks.BatchPoll(request)] == []
        [task] = (await ended(edge, workflow_id)).tasks
        assert task.status == execution.Task.FAILED_WITH_TERMINAL_ERROR
        assert f"at most {PAYLOAD_BYTES_LIMIT} bytes" in task.reason_for_incompletion
        assert plain(task.input_data) == {"x": large}


async def test_a_script_that_its_secrets_make_too_large_fails_with_the_sizes() -> None:
    async with Edge(vault=VAULT) as edge:
        given = {"expression": "1", "x": "${workflow.secrets.LARGE}"}
        await register(edge, step(type="INLINE", inputParameters=given))
        found = await ended(edge, await started(edge))
        assert f"at most {PAYLOAD_BYTES_LIMIT} bytes" in found.tasks[0].reason_for_incompletion


async def test_masked_fields_hide_the_text_too_and_workers_have_the_secret() -> None:
    async with Edge(vault=VAULT) as edge:
        await register(edge, step(inputParameters={"x": KEY}), maskedFields=["x"])
        workflow_id = await started(edge)
        got = await polled(edge)
        assert plain(got.input_data) == {"x": "k-clear-text"}
        assert plain((await status_of(edge, workflow_id)).tasks[0].input_data) == {"x": "***"}
        await completed(edge, got)


async def test_s_043_the_key_of_a_cached_output_has_no_secret_in_it() -> None:
    async with Edge(vault=VAULT) as edge:
        cache = {"key": "${x}", "ttlInSecond": 600}
        await register(edge, step(inputParameters={"x": KEY}, cacheConfig=cache))
        workflow_id = await started(edge)
        await polled(edge)
        entry = await edge.runtime.executor.read(workflow_id, everything=True)
        [record] = [each for each in entry.records.tasks.values() if each is not None]
        without = Vault({}, {})
        async with Edge(vault=without) as other:
            await register(other, step(inputParameters={"x": KEY}, cacheConfig=cache))
            other_id = await started(other)
            await polled(other)
            read = await other.runtime.executor.read(other_id, everything=True)
            [plain_record] = [each for each in read.records.tasks.values() if each is not None]
        assert record.cached_as
        assert record.cached_as == plain_record.cached_as


async def test_s_524_secrets_are_listed_by_name_and_environment_values_with_their_text() -> None:
    async with Edge(vault=VAULT) as edge:
        secrets = await edge.admin.ListSecrets(admin.ListSecretsRequest())
        assert list(secrets.names) == ["KEY", "LARGE"]
        values = await edge.admin.ListEnvironment(admin.ListEnvironmentRequest())
        assert dict(values.values) == {"REGION": "eu", "KEY": "other"}
