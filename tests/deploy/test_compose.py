"""The compose file's own settings, run: its Redis, its two servers, one workflow over both.

No container is made: the commands and variables are taken from the file, with addresses of this
machine in place of the compose network's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import grpc.aio
import pytest
import yaml

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2, task_service_pb2
from podium.conductor.metadata_service_pb2_grpc import MetadataServiceStub
from podium.conductor.task_service_pb2_grpc import TaskServiceStub
from podium.conductor.workflow_service_pb2_grpc import WorkflowServiceStub
from tests.cli.serving import serving
from tests.store.nodes import Node

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
CALL_S: Final = 20
SERVERS: Final = ("one", "two")


def services() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def test_ports_of_servers_that_ask_nobody_are_on_loopback_only() -> None:
    for name in SERVERS:
        service = services()[name]
        assert service["environment"]["PODIUM_GRPC_INSECURE"] == "true"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name


@pytest.mark.part("redis-server")
@pytest.mark.timeout(90)
async def test_what_one_server_starts_a_worker_of_the_other_does(tmp_path: Path) -> None:
    named = services()
    settings = named["redis"]["command"]
    assert settings[0] == "redis-server"
    with Node(tmp_path, *settings[1:]) as redis:
        one, two = (here(named[name]["environment"], redis) for name in SERVERS)
        async with (
            serving(**one) as first,
            serving(**two) as second,
            grpc.aio.insecure_channel(first.target) as starts,
            grpc.aio.insecure_channel(second.target) as works,
        ):
            await register(starts)
            started = await WorkflowServiceStub(starts).StartWorkflow(
                request_pb2.StartWorkflowRequest(name="deployed", version=1),
                timeout=CALL_S,
            )
            poll = task_service_pb2.PollRequest(task_type="deploy", worker_id="w")
            task = None
            while task is None or not task.task_id:
                task = (await TaskServiceStub(works).Poll(poll, timeout=CALL_S)).task
            assert task.workflow_instance_id == started.workflow_id


def here(environment: dict[str, str], redis: Node) -> dict[str, str]:
    """The variables, with places of this machine."""
    url = environment["PODIUM_STORE_URL"].replace("redis://redis:6379", redis.url)
    assert url.startswith(redis.url)
    return {
        **environment,
        "PODIUM_STORE_URL": url,
        "PODIUM_GRPC_LISTEN": "127.0.0.1:0",
        "PODIUM_GATEWAY_LISTEN": "127.0.0.1:0",
    }


async def register(channel: grpc.aio.Channel) -> None:
    stub = MetadataServiceStub(channel)
    task = definition.TaskDef(
        name="deploy", owner_email="a@b.de", timeout_seconds=60, response_timeout_seconds=60
    )
    await stub.CreateTasks(metadata.CreateTasksRequest(defs=[task]), timeout=CALL_S)
    workflow = definition.WorkflowDef(
        name="deployed", version=1, schema_version=2, owner_email="a@b.de", timeout_seconds=60
    )
    workflow.tasks.add(name="deploy", task_reference_name="deploy", type="SIMPLE")
    await stub.CreateWorkflow(metadata.CreateWorkflowRequest(workflow=workflow), timeout=CALL_S)
