"""AdminService on a database that outlives its server: killed, started again, looked at."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc.aio

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import metadata_service_pb2_grpc as metadata_grpc
from podium.conductor import request_pb2 as request
from podium.conductor import workflow_service_pb2 as workflow
from podium.conductor import workflow_service_pb2_grpc as workflow_grpc
from podium.v1 import (
    admin_audit_pb2,
    admin_explain_pb2,
    admin_mend_pb2,
    admin_pb2_grpc,
    admin_view_pb2,
)
from tests.cli.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@asynccontextmanager
async def served(path: Path) -> AsyncGenerator[grpc.aio.Channel]:
    """A server on this file, killed at the end of the block."""
    async with (
        serving("--store", f"sqlite:///{path}/podium.db") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        yield channel
        server.process.kill()
        await server.process.wait()


async def test_after_a_kill_the_trail_is_there_and_everything_is_sound(tmp_path: Path) -> None:
    async with served(tmp_path) as channel:
        step = definition.WorkflowTask(name="t", task_reference_name="t")
        made = definition.WorkflowDef(name="one", tasks=[step])
        stub = metadata_grpc.MetadataServiceStub(channel)
        await stub.CreateWorkflow(metadata.CreateWorkflowRequest(workflow=made))
        workflows = workflow_grpc.WorkflowServiceStub(channel)
        start = request.StartWorkflowRequest(name="one")
        ids = [(await workflows.StartWorkflow(start)).workflow_id for _ in range(5)]
        await workflows.PauseWorkflow(workflow.PauseWorkflowRequest(workflow_id=ids[0]))
    async with served(tmp_path) as channel:
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        trail = await admin.ListAudit(admin_audit_pb2.ListAuditRequest(workflow_id=ids[0]))
        [call] = trail.calls
        assert (call.method.rpartition("/")[2], call.code) == ("PauseWorkflow", "OK")
        found = await admin.Explain(admin_explain_pb2.ExplainRequest(workflow_id=ids[0]))
        kinds = [admin_explain_pb2.CauseKind.Name(each.kind) for each in found.explanation.causes]
        assert kinds == ["CAUSE_KIND_PAUSED", "CAUSE_KIND_NO_WORKER"]
        asked = admin_mend_pb2.VerifyPartitionsRequest(repair=True)
        ends = [each async for each in admin.VerifyPartitions(asked)]
        assert sum(each.executions for each in ends) == len(ids)
        assert [each for each in ends if each.HasField("finding")] == []
        assert [each.partition for each in ends] == list(range(256))
        gone = await admin.PurgeWorkflow(admin_mend_pb2.PurgeWorkflowRequest(workflow_id=ids[0]))
        assert (gone.status, gone.forced) == ("PAUSED", False)
        members = (await admin.ListMembers(admin_view_pb2.ListMembersRequest())).members
        assert [each.alive for each in members if each.self] == [True]
    async with served(tmp_path) as channel:
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        calls = (await admin.ListAudit(admin_audit_pb2.ListAuditRequest())).calls
        assert [each.method.rpartition("/")[2] for each in calls] == [
            "PurgeWorkflow", "VerifyPartitions", "PauseWorkflow", "CreateWorkflow",
        ]  # fmt: skip
