"""Where a server may listen without TLS and credentials, and what it says when it may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from podium.cli.main import main
from podium.conductor import task_service_pb2, task_service_pb2_grpc
from tests.api.credentials import Certified, Keys, bearer
from tests.cli.serving import refused, serving

if TYPE_CHECKING:
    from pathlib import Path

ANYWHERE = "0.0.0.0:0"
REMEDY = (
    ". Set them (docs/security.md), listen on 127.0.0.1, or pass --insecure to let everybody who"
    " reaches it do everything\n"
)
NO_TLS = "TLS (tls.certificate, tls.key)"
NO_KEY = (
    "auth.keys[0]: expected NAME ROLE[+ROLE] SHA256 [EXPIRES], NAME of letters, digits and _.@:/-,"
    " SHA256 of 64 hexadecimal digits in lower case, found "
)
NO_ROLE = (
    "auth.keys[0]: expected roles of reader, worker, writer, admin with + between them, found "
)
NO_FILE = "auth.keys_file: expected a file that can be read, found "
NO_AUTH = "callers' credentials (auth.*)"


def tls_of(folder: Path) -> dict[str, str]:
    settings = Certified(folder).settings(clients=False)
    return {"PODIUM_TLS_CERTIFICATE": settings.certificate, "PODIUM_TLS_KEY": settings.key}


@pytest.mark.parametrize("given", ["nothing", "tls", "keys"])
async def test_an_address_that_others_reach_needs_tls_and_credentials(
    tmp_path: Path, given: str
) -> None:
    environment = {
        "nothing": {},
        "tls": tls_of(tmp_path),
        "keys": {"PODIUM_AUTH_KEYS": ",".join(Keys().lines())},
    }[given]
    code, words = await refused("--grpc", ANYWHERE, "--store", "memory://", **environment)
    missing = {
        "nothing": f"{NO_TLS} and no {NO_AUTH}",
        "tls": NO_AUTH,
        "keys": NO_TLS,
    }[given]
    assert code == 2
    assert words == (
        f"podium: grpc.listen: expected TLS and callers' credentials on {ANYWHERE}, which others"
        f" can reach, found no {missing}{REMEDY}"
    )


@pytest.mark.parametrize("place", ["[::]:0", "podium.example:8090", "192.0.2.1:8090"])
async def test_every_other_address_is_one_that_others_reach(place: str) -> None:
    code, words = await refused("--grpc", place, "--store", "memory://")
    assert code == 2
    assert words.endswith(REMEDY)


@pytest.mark.parametrize("how", ["flag", "variable"])
async def test_an_operator_may_insist(how: str) -> None:
    flags = ("--insecure",) if how == "flag" else ()
    environment = {} if how == "flag" else {"PODIUM_GRPC_INSECURE": "true"}
    async with (
        serving("--store", "memory://", "--grpc", ANYWHERE, *flags, **environment) as server,
        grpc.aio.insecure_channel(server.target.replace("0.0.0.0", "127.0.0.1")) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        await stub.Check(health_pb2.HealthCheckRequest())
        assert (await server.end())[0] == 0


async def test_with_both_it_listens_anywhere(tmp_path: Path) -> None:
    certified, keys = Certified(tmp_path), Keys()
    settings = certified.settings(clients=False)
    environment = {
        "PODIUM_TLS_CERTIFICATE": settings.certificate,
        "PODIUM_TLS_KEY": settings.key,
        "PODIUM_AUTH_KEYS": ",".join(keys.lines()),
    }
    async with serving("--store", "memory://", "--grpc", ANYWHERE, **environment) as server:
        address = server.target.replace("0.0.0.0", "127.0.0.1")
        async with certified.channel(address) as channel:
            tasks = task_service_pb2_grpc.TaskServiceStub(channel)
            poll = task_service_pb2.PollRequest(task_type="t")
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await tasks.Poll(poll)
            assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
            await tasks.Poll(poll, metadata=bearer(keys.shown["worker"]))
        assert await server.end() == (0, "")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"PODIUM_AUTH_KEYS": "a reader"},
            f"{NO_KEY}2 words",
        ),
        (
            {"PODIUM_AUTH_KEYS": f"a root {'0' * 64}"},
            f"{NO_ROLE}'root'",
        ),
        (
            {"PODIUM_AUTH_KEYS": f"a reader {'0' * 64} soon"},
            "auth.keys[0]: expected a date or a time like 2027-01-31T12:00:00Z, found 'soon'",
        ),
        (
            {"PODIUM_AUTH_KEYS_FILE": "/proc/nowhere/keys"},
            f"{NO_FILE}/proc/nowhere/keys: No such file or directory",
        ),
        (
            {"PODIUM_AUTH_CLIENTS": "cn:a=reader"},
            "auth.clients: expected tls.client_ca, which verifies certificates, found none",
        ),
        (
            {"PODIUM_AUTH_CLIENTS": "a=reader"},
            "auth.clients: expected one of uri:NAME, dns:NAME, email:NAME, cn:NAME or *, found 'a'",
        ),
        (
            {"PODIUM_AUTH_JWT_JWKS": "https://issuer.example/keys"},
            "auth.jwt_issuer: expected a value, found none",
        ),
        (
            {"PODIUM_GRPC_INSECURE": "yes"},
            'PODIUM_GRPC_INSECURE: expected true or false, found "yes"',
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
async def test_settings_that_cannot_be_used_are_told_in_one_line(
    environment: dict[str, str], words: str
) -> None:
    found = await refused("--grpc", "127.0.0.1:0", "--store", "memory://", **environment)
    assert found == (2, f"podium: {words}\n")


async def test_a_key_is_made_and_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "ci-bot", "reader+worker", "2999-01-01"]) == 0
    key, line = capsys.readouterr().out.splitlines()
    assert len(key) == 43
    assert line.startswith("ci-bot reader+worker ")
    assert line.endswith(" 2999-01-01")
    assert key not in line
    file = tmp_path / "keys"
    file.write_text("# nobody yet\n")
    settings = {"PODIUM_AUTH_KEYS_FILE": str(file)}
    poll = task_service_pb2.PollRequest(task_type="t")
    async with (
        serving("--store", "memory://", **settings) as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        tasks = task_service_pb2_grpc.TaskServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await tasks.Poll(poll, metadata=bearer(key))
        file.write_text(f"# of the builds\n{line}  # until 2999\n")
        await tasks.Poll(poll, metadata=bearer(key))
        file.write_text(f"# of the builds\n{line}  # until 2999\nhalf a line\n")
        await tasks.Poll(poll, metadata=bearer(key))
        file.write_text("")
        with pytest.raises(grpc.aio.AioRpcError):
            await tasks.Poll(poll, metadata=bearer(key))
        code, complaints = await server.end()
        assert code == 0
        assert "auth.keys_file:3: expected NAME ROLE" in complaints


def test_a_key_for_an_unknown_role_is_not_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "ci-bot", "root"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "expected roles of reader, worker, writer, admin" in err
