"""The floor program: what a bare server on the same parts reaches; Podium is judged by the ratio.

Run as `python -m tests.bench.floor DATABASE`. It serves the two rpcs that the generator uses, under
the names of Podium's services, with every habit that architecture §3 prescribes (group commit, one
write in flight per stream, durable before told) and nothing else: no engine, no definitions, no
leases, no deadlines, no recovery. A sequence is a number that counts up.
"""

import asyncio
import json
import signal
import sys
import uuid
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import msgspec
import uvloop

from podium.conductor import request_pb2, workflow_service_pb2
from podium.v1 import worker_pb2
from tests.bench.floor_store import FloorStore, Row
from tests.bench.jobs import SHAPES, TASK_TYPE, VERSION

SEQUENCES = {shape.workflow: shape.references() for shape in SHAPES}
PORT_OPTIONS = (("grpc.so_reuseport", 0),)


class WorkflowRecord(msgspec.Struct):
    """A workflow as stored; `position` is the index of the task it is at."""

    id: str
    name: str
    correlation_id: str
    input: bytes
    status: str
    position: int


class TaskRecord(msgspec.Struct, frozen=True):
    """A task as stored."""

    id: str
    workflow_id: str
    reference_name: str
    status: str
    output: bytes


class Stream:
    """A connected worker: what waits to be written, and how many tasks it can take."""

    def __init__(self) -> None:
        self.credits = 0
        self._tasks: list[worker_pb2.Task] = []
        self._acks: list[worker_pb2.ResultAck] = []
        self._wake = asyncio.Event()

    def hand_out(self, task: worker_pb2.Task) -> None:
        self.credits -= 1
        self._tasks.append(task)
        self._wake.set()

    def acknowledge(self, task_id: str) -> None:
        ack = worker_pb2.ResultAck(
            task_id=task_id, lease_epoch=1, verdict=worker_pb2.RESULT_VERDICT_OK
        )
        self._acks.append(ack)
        self._wake.set()

    async def write(self, context: grpc.aio.ServicerContext) -> None:
        """One frame in flight; the next takes all that waits."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            frame = worker_pb2.ServerFrame(tasks=self._tasks, acks=self._acks)
            self._tasks, self._acks = [], []
            await context.write(frame)


class Floor:
    """Both rpcs over one store; what is open is held in memory."""

    def __init__(self, store: FloorStore) -> None:
        self._store = store
        self._open: dict[str, WorkflowRecord] = {}
        self._streams: list[Stream] = []
        self._ready: deque[worker_pb2.Task] = deque()

    async def start_workflow(
        self, request: request_pb2.StartWorkflowRequest, context: object
    ) -> workflow_service_pb2.StartWorkflowResponse:
        values = {key: value.string_value for key, value in request.input.items()}
        workflow = WorkflowRecord(
            str(uuid.uuid4()),
            request.name,
            request.correlation_id,
            msgspec.json.encode(values),
            "RUNNING",
            0,
        )
        durable = asyncio.get_running_loop().create_future()
        self._store.put(row(workflow), [new_task(workflow)], partial(resolve, durable))
        await durable
        self._open[workflow.id] = workflow
        self._push(workflow)
        return workflow_service_pb2.StartWorkflowResponse(workflow_id=workflow.id)

    async def connect(
        self, frames: AsyncIterator[worker_pb2.WorkerFrame], context: grpc.aio.ServicerContext
    ) -> None:
        stream = Stream()
        await context.write(worker_pb2.ServerFrame(welcome=worker_pb2.Welcome(session="floor")))
        self._streams.append(stream)
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(stream.write(context))
                async for frame in frames:
                    self._take(stream, frame)
                writing.cancel()
        finally:
            self._streams.remove(stream)

    def _take(self, stream: Stream, frame: worker_pb2.WorkerFrame) -> None:
        stream.credits += sum(credit.delta for credit in frame.credits) + len(frame.results)
        for result in frame.results:
            self._complete(stream, result)
        while self._ready and stream.credits > 0:
            stream.hand_out(self._ready.popleft())

    def _complete(self, stream: Stream, result: worker_pb2.Result) -> None:
        """Store the result and, in the same commit, the next task or the workflow's end."""
        workflow_id, _, number = result.task_id.partition("/")
        workflow = self._open[workflow_id]
        reference = SEQUENCES[workflow.name][int(number)]
        done = TaskRecord(result.task_id, workflow_id, reference, "COMPLETED", result.output.json)
        tasks = [(done.id, msgspec.msgpack.encode(done))]
        workflow.position += 1
        if workflow.position == len(SEQUENCES[workflow.name]):
            workflow.status = "COMPLETED"
            del self._open[workflow_id]
        else:
            tasks.append(new_task(workflow))
        self._store.put(row(workflow), tasks, partial(self._completed, stream, workflow, done.id))

    def _completed(self, stream: Stream, workflow: WorkflowRecord, task_id: str) -> None:
        stream.acknowledge(task_id)
        if workflow.status == "RUNNING":
            self._push(workflow)

    def _push(self, workflow: WorkflowRecord) -> None:
        task = worker_pb2.Task(
            task_id=f"{workflow.id}/{workflow.position}",
            lease_epoch=1,
            task_type=TASK_TYPE,
            workflow_id=workflow.id,
            workflow_name=workflow.name,
            workflow_version=VERSION,
            reference_name=SEQUENCES[workflow.name][workflow.position],
            poll_count=1,
            correlation_id=workflow.correlation_id,
            input=worker_pb2.Payload(json=workflow.input),
        )
        stream = next((stream for stream in self._streams if stream.credits > 0), None)
        if stream is None:
            self._ready.append(task)
        else:
            stream.hand_out(task)


def row(workflow: WorkflowRecord) -> Row:
    """The workflow as its row."""
    return workflow.id, msgspec.msgpack.encode(workflow)


def new_task(workflow: WorkflowRecord) -> Row:
    """The row of the task that the workflow is at."""
    reference = SEQUENCES[workflow.name][workflow.position]
    task = TaskRecord(f"{workflow.id}/{workflow.position}", workflow.id, reference, "RUNNING", b"")
    return task.id, msgspec.msgpack.encode(task)


def resolve(durable: asyncio.Future[None]) -> None:
    """Wake the call, unless its client has given up."""
    if not durable.done():
        durable.set_result(None)


def handlers(floor: Floor) -> tuple[grpc.GenericRpcHandler, ...]:
    """The two rpcs under their wire names."""
    start = grpc.unary_unary_rpc_method_handler(
        floor.start_workflow,
        request_deserializer=request_pb2.StartWorkflowRequest.FromString,
        response_serializer=workflow_service_pb2.StartWorkflowResponse.SerializeToString,
    )
    connect = grpc.stream_stream_rpc_method_handler(
        floor.connect,
        request_deserializer=worker_pb2.WorkerFrame.FromString,
        response_serializer=worker_pb2.ServerFrame.SerializeToString,
    )
    return (
        grpc.method_handlers_generic_handler(
            "conductor.grpc.workflows.WorkflowService", {"StartWorkflow": start}
        ),
        grpc.method_handlers_generic_handler("podium.v1.WorkerService", {"Connect": connect}),
    )


async def serve(path: Path) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = FloorStore(path)
    floor = Floor(store)
    server = grpc.aio.server(options=PORT_OPTIONS)
    server.add_generic_rpc_handlers(handlers(floor))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"event": "serving", "grpc": f"127.0.0.1:{port}"}), flush=True)
    try:
        async with asyncio.TaskGroup() as group:
            # A failed commit ends the program: nothing would be durable any more.
            committing = group.create_task(store.run())
            await stop.wait()
            committing.cancel()
    finally:
        await server.stop(0)
        store.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
