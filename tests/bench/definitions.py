"""Registers the benchmark's definitions at a Podium server, through Conductor's MetadataService.

The floor program has no definitions: there a sequence is a number of tasks (jobs.py).
"""

import grpc.aio

from podium.conductor import definition_pb2, metadata_service_pb2, metadata_service_pb2_grpc
from tests.bench.jobs import SHAPES, TASK_TYPE, VERSION, Shape

OWNER = "bench@example.com"
RESPONSE_TIMEOUT_S = 600


async def register(target: str) -> None:
    """Register the task type and every shape."""
    async with grpc.aio.insecure_channel(target) as channel:
        metadata = metadata_service_pb2_grpc.MetadataServiceStub(channel)
        task = definition_pb2.TaskDef(
            name=TASK_TYPE, owner_email=OWNER, response_timeout_seconds=RESPONSE_TIMEOUT_S
        )
        await metadata.CreateTasks(metadata_service_pb2.CreateTasksRequest(defs=[task]))
        for shape in SHAPES:
            workflow = definition(shape)
            await metadata.CreateWorkflow(
                metadata_service_pb2.CreateWorkflowRequest(workflow=workflow)
            )


def definition(shape: Shape) -> definition_pb2.WorkflowDef:
    """A sequence of tasks that each get the workflow's input, as the floor's do."""
    workflow = definition_pb2.WorkflowDef(
        name=shape.workflow, version=VERSION, schema_version=2, owner_email=OWNER
    )
    for reference in shape.references():
        task = workflow.tasks.add(name=TASK_TYPE, task_reference_name=reference, type="SIMPLE")
        task.input_parameters["text"].string_value = "${workflow.input.text}"
    return workflow
