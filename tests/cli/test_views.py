"""GetConfig, ListMembers and ListWorkers of a server that runs as a process of its own."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from podium.app.config_view import without_secrets
from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import metadata_service_pb2_grpc as metadata_grpc
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import task_service_pb2_grpc as task_grpc
from podium.conductor import workflow_service_pb2_grpc as workflow_grpc
from podium.config import SettingInvalid, origins_of
from podium.v1 import admin_pb2_grpc, worker_pb2, worker_pb2_grpc
from podium.v1 import admin_view_pb2 as pb
from tests.cli.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    from podium.model.payload import JsonValue

ANSWER_S = 15


async def workers(channel: grpc.aio.Channel) -> pb.ListWorkersResponse:
    return await admin_pb2_grpc.AdminServiceStub(channel).ListWorkers(pb.ListWorkersRequest())


async def polls(channel: grpc.aio.Channel) -> list[pb.WaitingWorkers]:
    return [each for each in (await workers(channel)).waiting if each.kind == "poll"]


async def test_every_setting_is_told_with_its_origin(tmp_path: Path) -> None:
    config = tmp_path / "podium.toml"
    config.write_text('[http]\nallow = ["10.0.0.0/8"]\n\n[limits]\ncache_bytes = 1000000\n')
    async with (
        serving(str(config), "--store", "memory://", PODIUM_SANDBOX_CHILDREN="1") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        answer = await stub.GetConfig(pb.GetConfigRequest())
        values = {(each.section, each.key): each for each in answer.values}
        told = {name: (json.loads(each.value), each.origin) for name, each in values.items()}
        assert told["http", "allow"] == (["10.0.0.0/8"], f"file {config}")
        assert told["limits", "cache_bytes"] == (1_000_000, f"file {config}")
        assert told["sandbox", "children"] == (1, "environment PODIUM_SANDBOX_CHILDREN")
        assert told["store", "url"] == ("memory://", "command line")
        assert told["http", "tasks_max"] == (100, "default")
        hidden = {name for name, each in values.items() if each.redacted}
        assert hidden == {("auth", "keys")}, hidden


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("admin_key", "hush", "(redacted)"),
        ("keys", ["hush"], "(redacted)"),
        ("secret", "hush", "(redacted)"),
        ("password", "", ""),
        ("api_token", "hush", "(redacted)"),
        ("key_file", "/etc/podium/key.pem", "/etc/podium/key.pem"),
        ("token_ms_max", 5, 5),
        ("url", "redis://user:hush@host:6379/0", "redis://(redacted)@host:6379/0"),
        ("allow", ["http://u:hush@a", "b"], ["http://(redacted)@a", "b"]),
        ("table", {"password": "hush", "plain": "x"}, {"password": "(redacted)", "plain": "x"}),
        ("keys_max", 3, 3),
        ("monkey", "shown", "shown"),
    ],
)
def test_secrets_are_not_told(key: str, value: JsonValue, shown: JsonValue) -> None:
    assert without_secrets(key, value) == shown


def test_origins_are_read_as_settings_are(tmp_path: Path) -> None:
    config = tmp_path / "podium.toml"
    config.write_text('[grpc]\nlisten = "127.0.0.1:1"\n')
    environment = {"PODIUM_GRPC_LISTEN": "127.0.0.1:2", "PODIUM_HTTP_TASKS_MAX": "3", "HOME": "/"}
    found = origins_of(config, environment=environment, overrides={("store", "url"): "memory://"})
    assert found == {
        ("grpc", "listen"): "environment PODIUM_GRPC_LISTEN",
        ("http", "tasks_max"): "environment PODIUM_HTTP_TASKS_MAX",
        ("store", "url"): "command line",
    }
    assert origins_of(config, environment={})["grpc", "listen"] == f"file {config}"
    with pytest.raises(SettingInvalid):
        origins_of(tmp_path / "absent.toml", environment={})


async def test_the_server_is_a_member_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/podium.db"
    async with (
        serving("--store", store) as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        [member] = (await stub.ListMembers(pb.ListMembersRequest())).members
        assert (member.self, member.alive, member.partitions) == (True, True, 256)
        assert member.address == server.target
        assert 0 <= member.heartbeat_age_ms < 10_000
        assert member.started_ms > 0
        assert member.version


async def test_workers_are_told_with_credits_and_tasks_and_polls_by_queue() -> None:
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
        asyncio.timeout(ANSWER_S),
    ):
        step = definition.WorkflowTask(name="t", task_reference_name="t")
        made = definition.WorkflowDef(name="one", tasks=[step])
        stub = metadata_grpc.MetadataServiceStub(channel)
        await stub.CreateWorkflow(metadata.CreateWorkflowRequest(workflow=made))
        call: Any = worker_pb2_grpc.WorkerServiceStub(channel).Connect()
        types = [worker_pb2.TaskType(name="t"), worker_pb2.TaskType(name="u", domain="eu")]
        hello = worker_pb2.Hello(worker_id="w", sdk="test/1", task_types=types)
        room = [worker_pb2.Credit(task_type="t", delta=3)]
        await call.write(worker_pb2.WorkerFrame(hello=hello, credits=room))
        assert "welcome" in str(await call.read())
        start = request.StartWorkflowRequest(name="one")
        await workflow_grpc.WorkflowServiceStub(channel).StartWorkflow(start)
        while not (frame := await call.read()).tasks:
            pass
        [handed] = frame.tasks
        poll = task.BatchPollRequest(task_type="v", worker_id="p", count=2, timeout=5_000)
        parked = task_grpc.TaskServiceStub(channel).BatchPoll(poll)
        waiting = asyncio.ensure_future(parked.read())
        while not await polls(channel):  # noqa: ASYNC110 - it has no signal
            await asyncio.sleep(0.02)
        answer = await workers(channel)
        [worker] = answer.workers
        assert (worker.worker_id, worker.sdk, worker.state) == ("w", "test/1", "open")
        assert [(each.task_type, each.domain, each.credit) for each in worker.queues] == [
            ("t", "", 2), ("u", "eu", 0),
        ]  # fmt: skip
        assert [(each.task_id, each.lease_epoch) for each in worker.leases] == [
            (handed.task_id, handed.lease_epoch)
        ]
        assert worker.lease_count == 1
        assert 0 < worker.connected_ms <= worker.last_frame_ms
        assert worker.session
        [polled] = await polls(channel)
        assert (polled.task_type, polled.count, list(polled.worker_ids), polled.credit) == (
            "v", 1, ["p"], 2,
        )  # fmt: skip
        own = {each.task_type for each in answer.waiting if each.kind == "server"}
        assert "HTTP" in own
        waiting.cancel()
        call.cancel()
