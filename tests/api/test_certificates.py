"""TLS: whose handshake succeeds, and certificates that change while the server runs."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from podium import config
from podium.api.protection import Protection, ProtectionUnsound
from podium.runtime.clock import SystemClock
from tests.api.credentials import Certified, settings_of
from tests.api.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANSWER_S = 10
EVERYBODY = config.Auth(clients={"*": "admin"})
YEAR = dt.timedelta(days=365)


def protection_of(certified: Certified, *, clients: bool) -> Protection:
    auth = EVERYBODY if clients else config.Auth()
    settings = settings_of(auth, certified.settings(clients=clients))
    return Protection(settings, now_ms=SystemClock().now_ms)


async def answered(channel: grpc.aio.Channel) -> bool:
    """Whether a health check is answered; False = there is no connection."""
    async with channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
    return True


async def test_tls_serves_who_trusts_the_authority(tmp_path: Path) -> None:
    certified = Certified(tmp_path)
    async with Edge(protection=protection_of(certified, clients=False)) as edge:
        assert await answered(certified.channel(edge.address))
        assert not await answered(grpc.aio.insecure_channel(edge.address))
        roots = trustme.CA().cert_pem.bytes()
        strangers = grpc.ssl_channel_credentials(roots)
        assert not await answered(grpc.aio.secure_channel(edge.address, strangers))


WRONG_CLIENTS: dict[str, Callable[[Certified], trustme.LeafCert | None]] = {
    "none": lambda _: None,
    "of another authority": lambda _: trustme.CA().issue_cert("x.example"),
    "expired": lambda certified: certified.ca.issue_cert(
        "x.example",
        not_before=dt.datetime.now(dt.UTC) - YEAR,
        not_after=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1),
    ),
    "not yet valid": lambda certified: certified.ca.issue_cert(
        "x.example",
        not_before=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1),
        not_after=dt.datetime.now(dt.UTC) + YEAR,
    ),
}


@pytest.mark.parametrize("wrong", WRONG_CLIENTS)
async def test_a_client_needs_a_valid_certificate(tmp_path: Path, wrong: str) -> None:
    certified = Certified(tmp_path)
    client = WRONG_CLIENTS[wrong](certified)
    async with Edge(protection=protection_of(certified, clients=True)) as edge:
        assert not await answered(certified.channel(edge.address, client))
        good = certified.ca.issue_cert("x.example")
        assert await answered(certified.channel(edge.address, good))


async def shown_by(address: str) -> bytes:
    """The certificate that a new connection is shown."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    async with asyncio.timeout(ANSWER_S):
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
    return found


async def test_a_renewed_certificate_is_served_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certified = Certified(tmp_path)
    async with Edge(protection=protection_of(certified, clients=False)) as edge:
        first = await shown_by(edge.address)
        async with certified.channel(edge.address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            await stub.Check(health_pb2.HealthCheckRequest())
            key = (tmp_path / "server.key").read_bytes()
            certified.issue_server()
            new_key = (tmp_path / "server.key").read_bytes()
            # The rotation in its middle: the certificate is new, its key not there yet.
            (tmp_path / "server.key").write_bytes(key)
            assert await shown_by(edge.address) == first
            assert "tls.key: expected the key of the certificate" in caplog.text
            (tmp_path / "server.key").write_bytes(new_key)
            second = await shown_by(edge.address)
            assert second != first
            for broken in (b"", b"no certificate"):
                (tmp_path / "server.pem").write_bytes(broken)
                assert await shown_by(edge.address) == second
            (tmp_path / "server.pem").unlink()
            assert await shown_by(edge.address) == second
            await stub.Check(health_pb2.HealthCheckRequest())


async def test_an_authority_that_is_removed_lets_nobody_in_any_more(tmp_path: Path) -> None:
    certified = Certified(tmp_path)
    client = certified.ca.issue_cert("x.example")
    others = trustme.CA()
    async with Edge(protection=protection_of(certified, clients=True)) as edge:
        assert await answered(certified.channel(edge.address, client))
        (tmp_path / "clients.pem").write_bytes(others.cert_pem.bytes())
        assert not await answered(certified.channel(edge.address, client))
        assert await answered(certified.channel(edge.address, others.issue_cert("x.example")))


def spoil(tmp_path: Path, name: str, data: bytes | None) -> config.Tls:
    settings = Certified(tmp_path).settings(clients=True)
    if data is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(data)
    return settings


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("server.pem", None, "tls.certificate: expected a file that can be read, found "),
        ("server.key", None, "tls.key: expected a file that can be read, found "),
        ("clients.pem", None, "tls.client_ca: expected a file that can be read, found "),
        ("server.pem", b"x", "tls.certificate: expected certificates in PEM, found none"),
        ("clients.pem", b"x", "tls.client_ca: expected certificates in PEM, found none"),
        ("server.key", b"x", "tls.key: expected a private key in PEM without a password"),
    ],
)
def test_files_that_cannot_be_used_are_refused_at_the_start(
    tmp_path: Path, name: str, data: bytes | None, words: str
) -> None:
    settings = settings_of(EVERYBODY, spoil(tmp_path, name, data))
    with pytest.raises(ProtectionUnsound) as problem:
        Protection(settings, now_ms=SystemClock().now_ms)
    assert str(problem.value).startswith(words)


def test_a_key_of_another_certificate_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = Certified(tmp_path).settings(clients=False)
    (tmp_path / "server.key").write_bytes(
        trustme.CA().issue_cert("localhost").private_key_pem.bytes()
    )
    with pytest.raises(ProtectionUnsound, match=r"tls\.key: expected the key of the certificate"):
        Protection(settings_of(config.Auth(), settings), now_ms=SystemClock().now_ms)


@pytest.mark.parametrize("given", ["certificate", "key", "client_ca"])
def test_half_of_tls_is_refused_at_the_start(tmp_path: Path, given: str) -> None:
    settings = settings_of(config.Auth(), config.Tls(**{given: "somewhere.pem"}))
    with pytest.raises(ProtectionUnsound, match="belong together"):
        Protection(settings, now_ms=SystemClock().now_ms)
