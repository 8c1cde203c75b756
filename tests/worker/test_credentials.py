"""A worker that shows who it is: to real servers with TLS, keys, certificates and tokens."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
import pytest

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2
from podium.conductor.metadata_service_pb2_grpc import MetadataServiceStub
from podium.conductor.workflow_service_pb2_grpc import WorkflowServiceStub
from podium_worker import Credentials, Worker, WorkerRefused, worker_task
from tests.api.credentials import AUDIENCE, ISSUER, Certified, Issuer, Keys, bearer
from tests.cli.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

pytestmark = pytest.mark.timeout(90)

EVENT_S: Final = 40


def tls_of(certified: Certified, *, clients: bool = False) -> dict[str, str]:
    settings = certified.settings(clients=clients)
    found = {"PODIUM_TLS_CERTIFICATE": settings.certificate, "PODIUM_TLS_KEY": settings.key}
    return {**found, "PODIUM_TLS_CLIENT_CA": settings.client_ca} if clients else found


def files_of(folder: Path, certified: Certified) -> Path:
    """The CA's certificate as a file."""
    path = folder / "ca.pem"
    path.write_bytes(certified.ca.cert_pem.bytes())
    return path


def write_client(folder: Path, issued: trustme.LeafCert) -> dict[str, Any]:
    key, certificate = folder / "client.key", folder / "client.pem"
    key.write_bytes(issued.private_key_pem.bytes())
    certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    return {"certificate_file": certificate, "key_file": key}


class Done:
    """A task that tells when it ran."""

    def __init__(self) -> None:
        self.ran = asyncio.Event()

        @worker_task("t")
        async def handler(task_input: Any) -> dict[str, str]:
            self.ran.set()
            return {}

        self.task = handler


async def start_one(channel: grpc.aio.Channel, shown: Any) -> None:
    """Register a workflow of the task, and start it."""
    task = definition.WorkflowTask(name="t", task_reference_name="t")
    defs = [definition.WorkflowDef(name="w", tasks=[task], schema_version=2)]
    registry, workflows = MetadataServiceStub(channel), WorkflowServiceStub(channel)
    await registry.UpdateWorkflows(metadata.UpdateWorkflowsRequest(defs=defs), metadata=shown)
    await workflows.StartWorkflow(request_pb2.StartWorkflowRequest(name="w"), metadata=shown)


async def served(worker: Worker, done: Done) -> None:
    """The worker gets its task and ends in order."""
    async with asyncio.timeout(EVENT_S):
        running = asyncio.ensure_future(worker.run())
        await done.ran.wait()
        await worker.stop()
        await running


async def test_a_key_over_tls(tmp_path: Path) -> None:
    certified, keys, done = Certified(tmp_path), Keys(), Done()
    environment = {**tls_of(certified), "PODIUM_AUTH_KEYS": ",".join(keys.lines())}
    async with serving("--store", "memory://", "--http", "", **environment) as server:
        async with certified.channel(server.target) as channel:
            await start_one(channel, bearer(keys.shown["writer"]))
        credentials = Credentials(
            ca_file=files_of(tmp_path, certified), bearer=keys.shown["worker"]
        )
        await served(Worker(server.target, tasks=[done.task], credentials=credentials), done)
        for role in ("reader", "expired"):
            refused = Credentials(ca_file=tmp_path / "ca.pem", bearer=keys.shown[role])
            with pytest.raises(WorkerRefused) as refusal:
                await Worker(server.target, tasks=[done.task], credentials=refused).run()
            expected = "PERMISSION_DENIED" if role == "reader" else "UNAUTHENTICATED"
            assert refusal.value.code == expected


async def test_a_client_certificate_that_is_renewed_meanwhile(tmp_path: Path) -> None:
    certified, done = Certified(tmp_path), Done()
    environment = {
        **tls_of(certified, clients=True),
        "PODIUM_AUTH_CLIENTS": "cn:w-1=worker,cn:admin-1=admin",
    }
    admin = certified.ca.issue_cert("admin.example", common_name="admin-1")
    stranger = certified.ca.issue_cert("s.example", common_name="stranger")
    async with serving("--store", "memory://", "--http", "", **environment) as server:
        async with certified.channel(server.target, admin) as channel:
            await start_one(channel, ())
        client = write_client(tmp_path, stranger)
        credentials = Credentials(ca_file=files_of(tmp_path, certified), **client)
        with pytest.raises(WorkerRefused) as refusal:
            await Worker(server.target, tasks=[done.task], credentials=credentials).run()
        assert refusal.value.code == "PERMISSION_DENIED"
        write_client(tmp_path, certified.ca.issue_cert("w.example", common_name="w-1"))
        await served(Worker(server.target, tasks=[done.task], credentials=credentials), done)


async def test_tokens_of_a_provider_also_where_one_is_refused(tmp_path: Path) -> None:
    issuer, keys, done = Issuer(tmp_path), Keys(), Done()
    environment = {
        "PODIUM_AUTH_KEYS": ",".join(keys.lines()),
        "PODIUM_AUTH_JWT_JWKS": str(issuer.file),
        "PODIUM_AUTH_JWT_ISSUER": ISSUER,
        "PODIUM_AUTH_JWT_AUDIENCE": AUDIENCE,
    }
    asked = 0

    async def provider() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise RuntimeError("the issuer is away")
        return issuer.token(aud="others" if asked == 2 else AUDIENCE, roles=["worker"])

    async with serving("--store", "memory://", "--http", "", **environment) as server:
        async with grpc.aio.insecure_channel(server.target) as channel:
            await start_one(channel, bearer(keys.shown["writer"]))
        credentials = Credentials(tls=False, bearer=provider)
        await served(Worker(server.target, tasks=[done.task], credentials=credentials), done)
    assert asked == 3


async def test_a_worker_whose_token_expires_comes_back_with_a_new_one(tmp_path: Path) -> None:
    """The stream is sent away; what is in hand is kept, and its result counts."""
    issuer, keys = Issuer(tmp_path), Keys()
    environment = {
        "PODIUM_AUTH_KEYS": ",".join(keys.lines()),
        "PODIUM_AUTH_JWT_JWKS": str(issuer.file),
        "PODIUM_AUTH_JWT_ISSUER": ISSUER,
        "PODIUM_AUTH_JWT_AUDIENCE": AUDIENCE,
    }
    asked, ran = 0, 0
    again, begun = asyncio.Event(), asyncio.Event()

    def provider() -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            again.set()
        # 30 s of leeway: the first is over in about four seconds.
        left_s = -26 if asked == 1 else 3_600
        return issuer.token(exp=int(time.time()) + left_s, roles=["worker"])

    @worker_task("t")
    async def holding(task_input: Any) -> dict[str, str]:
        nonlocal ran
        ran += 1
        begun.set()
        await again.wait()
        return {}

    async with (
        serving("--store", "memory://", "--http", "", **environment) as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        await start_one(channel, bearer(keys.shown["writer"]))
        worker = Worker(
            server.target, tasks=[holding], credentials=Credentials(tls=False, bearer=provider)
        )
        async with asyncio.timeout(EVENT_S):
            running = asyncio.ensure_future(worker.run())
            await begun.wait()
            await again.wait()
            await worker.stop()
            await running
    assert (asked, ran) == (2, 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bearer": "k", "tls": False}, "expected tls for a bearer to podium.example:1"),
        ({"certificate_file": "a"}, "expected certificate_file and key_file"),
        ({"ca_file": "a", "tls": False}, "found tls=False"),
    ],
)
def test_credentials_that_would_be_seen_or_are_halves_are_refused(
    given: dict[str, Any], words: str
) -> None:
    done = Done()
    with pytest.raises(ValueError, match=words):
        Worker("podium.example:1", tasks=[done.task], credentials=Credentials(**given))
