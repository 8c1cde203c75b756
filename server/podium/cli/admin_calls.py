"""`podium admin verify | repair | rebuild-queues`: AdminService, asked by the command line.

Answers are lines of text; what is wrong and stays so gives exit code 1. The caller's API key or
token is read from a file: a command line can be read by everybody on the machine.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
import msgspec

from podium.cli.admin import AdminFailed
from podium.v1 import admin_mend_pb2, admin_pb2_grpc, admin_queues_pb2

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import TypeAlias

    Asked: TypeAlias = tuple[admin_pb2_grpc.AdminServiceStub, tuple[tuple[str, str], ...]]

REACHED_S: Final = 10
KIND: Final = "FINDING_KIND_"


class Findings(Exception):
    """Something is wrong, and stays so."""


class Place(msgspec.Struct, frozen=True):
    """A server (HOST:PORT), the certificates that it is known by (None = no TLS), and a file with
    what its caller shows.
    """

    server: str
    ca: Path | None = None
    key: Path | None = None


@contextmanager
def admin(place: Place) -> Generator[Asked]:
    """AdminService and the metadata to call it with. Calls in the block end with AdminFailed."""
    shown = "" if place.key is None else _read(place.key, "a key").decode().strip()
    try:
        with _channel(place) as channel:
            grpc.channel_ready_future(channel).result(timeout=REACHED_S)
            metadata = (("authorization", f"Bearer {shown}"),) if shown else ()
            yield admin_pb2_grpc.AdminServiceStub(channel), metadata
    except grpc.FutureTimeoutError:
        raise AdminFailed(
            f"expected a server at {place.server}, found none in {REACHED_S} s"
        ) from None
    except grpc.RpcError as refused:
        told = refused if isinstance(refused, grpc.Call) else None
        words = "" if told is None else f"{told.code().name}: {told.details()}"
        raise AdminFailed(words or f"{place.server} answers no more") from None


def verify(place: Place, *, partitions: list[int], repair: bool) -> Iterator[str]:
    """A line for each finding, and the sum. Raises AdminFailed, and Findings after the last line
    where one was not mended.
    """
    executions = mended = left = 0
    asked = admin_mend_pb2.VerifyPartitionsRequest(partitions=partitions, repair=repair)
    with admin(place) as (stub, metadata):
        for answer in stub.VerifyPartitions(asked, metadata=metadata):
            if not answer.HasField("finding"):
                executions += answer.executions
                continue
            mended += answer.repaired
            left += not answer.repaired
            yield f"{_words(answer.finding)}{' (mended)' if answer.repaired else ''}"
    yield f"{executions} executions: {left} findings{f', {mended} mended' if repair else ''}"
    if left:
        raise Findings


def repair_workflow(place: Place, workflow_id: str) -> Iterator[str]:
    """What was changed. As `verify`."""
    asked = admin_mend_pb2.RepairWorkflowRequest(workflow_id=workflow_id)
    with admin(place) as (stub, metadata):
        answer = stub.RepairWorkflow(asked, metadata=metadata)
    yield from (f"{_words(each)} (mended)" for each in answer.mended)
    yield from (f"decided: {each}" for each in answer.decided)
    if answer.effects:
        yield f"{answer.effects} effects carried out once more"
    if answer.parked:
        yield "it is parked, so it was not decided again: AdminService.RetryParked does that"
    yield from (f"{_words(each)} (stays)" for each in answer.left)
    if not (answer.mended or answer.decided or answer.effects or answer.parked or answer.left):
        yield "sound"
    if answer.left:
        raise Findings


def rebuild_queues(place: Place, task_type: str) -> Iterator[str]:
    """A line for each queue. As `verify`."""
    asked = admin_queues_pb2.RebuildQueuesRequest(task_type=task_type)
    with admin(place) as (stub, metadata):
        answer = stub.RebuildQueues(asked, metadata=metadata)
    for queue in answer.queues:
        name = f"{queue.task_type}{f' in {queue.domain}' if queue.domain else ''}"
        yield f"{name}: {queue.before_count} before, {queue.after_count} after"
    yield f"{len(answer.queues)} queues"


def _channel(place: Place) -> grpc.Channel:
    if place.ca is None:
        return grpc.insecure_channel(place.server)
    trusted = grpc.ssl_channel_credentials(_read(place.ca, "certificates"))
    return grpc.secure_channel(place.server, trusted)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise AdminFailed(f"expected {what} in {path}, found: {problem.strerror}") from None


def _words(finding: admin_mend_pb2.Finding) -> str:
    kind = admin_mend_pb2.FindingKind.Name(finding.kind).removeprefix(KIND).lower()
    place = f"{finding.workflow_id}{f' task {finding.task_id}' if finding.task_id else ''}"
    return f"{place}: {kind}: expected {finding.expected}, found {finding.found}"
