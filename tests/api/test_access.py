"""Access: a row for every method, and every kind of caller against every method."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc

import podium.conductor
import podium.v1
from podium import config
from podium.api import reflection
from podium.api.access import GRANTS, LEVELS, ROWS, Level
from podium.api.protection import Protection
from podium.api.server import SERVICES
from podium.app import start
from podium.app.caller import ANYBODY, Principal, Role, caller
from podium.conductor import request_pb2
from podium.model.definition import WorkflowDef, WorkflowTask
from podium.runtime.clock import SystemClock
from podium.v1 import workflow_pb2
from tests.api.calls import PODIUM, WORKFLOWS
from tests.api.credentials import (
    ROLES,
    Certified,
    Issuer,
    Keys,
    bearer,
    settings_of,
)
from tests.api.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(180)

SECURITY = Path(__file__).resolve().parents[2] / "docs" / "security.md"
ANSWER_S = 60
CALLS_AT_ONCE = 20
SHED = "nothing was started"
NO_CREDENTIALS = "expected valid credentials (metadata authorization: Bearer ...), found none"
WRONG_CREDENTIALS = f"{NO_CREDENTIALS.removesuffix('none')}some that are not valid"


def services() -> Iterator[str]:
    """All services of all proto files that the server has, and the two of gRPC's own."""
    for package in (podium.conductor, podium.v1):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.name.endswith("_pb2"):
                file: Any = importlib.import_module(module.name)
                for service in file.DESCRIPTOR.services_by_name.values():
                    yield service.full_name
    yield from ("grpc.health.v1.Health", reflection.SERVICE, reflection.ALPHA_SERVICE)


METHODS: list[tuple[str, bool, bool]] = [
    (f"/{service}/{method.name}", method.client_streaming, method.server_streaming)
    for service in sorted(services())
    for method in descriptor_pool.Default().FindServiceByName(service).methods
]


def test_every_method_has_a_level() -> None:
    paths = {path for path, _, _ in METHODS}
    assert paths - LEVELS.keys() == set(), "add a row to podium/api/access.py"
    assert set(SERVICES) <= ROWS.keys()


def test_health_alone_is_public() -> None:
    public = {path for path, level in LEVELS.items() if level is Level.PUBLIC}
    assert {path.split("/")[1] for path in public} == {"grpc.health.v1.Health"}


def expected(path: str, role: str | None) -> str:
    """What a caller with the role ("" = none, None = no valid credentials) gets."""
    level = LEVELS.get(path)
    if level is Level.PUBLIC:
        return "admitted"
    if role is None:
        return "UNAUTHENTICATED"
    return "admitted" if role and level in GRANTS[Role(role)] else "PERMISSION_DENIED"


async def opened(
    channel: grpc.aio.Channel, method: tuple[str, bool, bool], metadata: Any, *, speaks: bool
) -> Any:
    """The call. A stream that is to be refused sends nothing (not `speaks`): grpc puts INTERNAL in
    the refusal's place where a write meets a call that the server has ended already.
    """
    path, sends, receives = method
    if not sends:
        kind = channel.unary_stream if receives else channel.unary_unary
        return kind(path)(b"", metadata=metadata)
    call: Any = channel.stream_stream(path)(metadata=metadata)
    if speaks:
        await call.write(b"")
        await call.done_writing()
    return call


async def outcome(
    channel: grpc.aio.Channel,
    method: tuple[str, bool, bool],
    metadata: Any,
    role: str | None = None,
) -> tuple[str, str]:
    """The code of a refusal and its text, or `admitted`: the call reached its handler."""
    while True:
        code, text = await answered(channel, method, metadata, role)
        if not text.endswith(SHED):
            break
        # A busy machine: starts are shed before anybody looks who asks
        await asyncio.sleep(0.5)
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE"):
        return code, text
    return "admitted", ""


async def answered(
    channel: grpc.aio.Channel, method: tuple[str, bool, bool], metadata: Any, role: str | None
) -> tuple[str, str]:
    """Code and text of the end of the call; "" where it is open and goes on."""
    path, *streams = method
    call = await opened(channel, method, metadata, speaks=expected(path, role) == "admitted")
    try:
        async with asyncio.timeout(ANSWER_S):
            first = await (call.read() if any(streams) else call)
            if first is not grpc.aio.EOF and any(streams):
                return "", ""  # it may stay open
    except TimeoutError:
        call.cancel()
        return "", ""  # a stream that waits for what it should not get
    except grpc.aio.AioRpcError:
        pass  # told below, as of a stream that ends
    try:
        async with asyncio.timeout(ANSWER_S):
            code, text = await call.code(), await call.details()
    finally:
        call.cancel()
    return code.name, text or ""


async def outcomes(
    channel: grpc.aio.Channel, metadata: Any, role: str | None
) -> list[tuple[str, str]]:
    """Of all methods. Few at once: more than a connection may have open would be sent again."""
    room = asyncio.Semaphore(CALLS_AT_ONCE)

    async def one(method: tuple[str, bool, bool]) -> tuple[str, str]:
        async with room:
            return await outcome(channel, method, metadata, role)

    return await asyncio.gather(*map(one, METHODS))


async def assert_row(channel: grpc.aio.Channel, metadata: Any, role: str | None) -> None:
    """All methods for one caller."""
    found = await outcomes(channel, metadata, role)
    wrong = {
        path: got
        for (path, *_), got in zip(METHODS, found, strict=True)
        if got[0] != expected(path, role)
    }
    assert wrong == {}


def bearers(keys: Keys, issuer: Issuer) -> dict[str, tuple[Any, str | None]]:
    """Metadata and role of every kind of caller that needs no certificate."""
    past_s = int(time.time()) - 120
    others = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    rows: dict[str, tuple[Any, str | None]] = {
        "anonymous": ((), None),
        "a header with a principal": (
            (("podium-principal", "admin"), ("x-forwarded-user", "admin"), ("principal", "admin")),
            None,
        ),
        "another scheme": ((("authorization", "Basic YWRtaW46YWRtaW4="),), None),
        "an empty bearer": ((("authorization", "Bearer "),), None),
        "two bearers": ((*bearer(keys.shown["admin"]), *bearer(keys.shown["admin"])), None),
        "a wrong key": (bearer("A" * 43), None),
        "an expired key": (bearer(keys.shown["expired"]), None),
        "an expired token": (bearer(issuer.token(exp=past_s)), None),
        "a token for others": (bearer(issuer.token(aud="others")), None),
        "a token of others": (bearer(issuer.token(iss="https://others.example")), None),
        "a token signed by others": (bearer(issuer.token(key=others)), None),
        "a token without roles": (bearer(issuer.token(roles=None)), ""),
        "a token with an unknown role": (bearer(issuer.token(roles=["root"])), ""),
    }
    for role in ROLES:
        rows[f"key of a {role}"] = (bearer(keys.shown[role]), role)
        rows[f"token of a {role}"] = (bearer(issuer.token(roles=[role])), role)
        rows[f"token of a {role}, as text"] = (bearer(issuer.token(roles=f"x {role}")), role)
    return rows


async def test_every_caller_against_every_method(tmp_path: Path) -> None:
    keys, issuer = Keys(), Issuer(tmp_path)
    rows = bearers(keys, issuer)
    auth = issuer.settings(keys=keys.lines())
    protection = Protection(settings_of(auth), now_ms=SystemClock().now_ms)
    async with Edge(protection=protection) as edge:
        for metadata, role in rows.values():
            await assert_row(edge.channel, metadata, role)
    assert len(rows) * len(METHODS) >= 25 * 50


async def test_every_certificate_against_every_method(tmp_path: Path) -> None:
    certified, keys = Certified(tmp_path), Keys()
    auth = config.Auth(
        keys=keys.lines(),
        clients={
            **{f"cn:{role}-1": role for role in ROLES},
            "dns:named.example": "reader",
        },
    )
    protection = Protection(
        settings_of(auth, certified.settings(clients=True)), now_ms=SystemClock().now_ms
    )
    async with Edge(protection=protection) as edge:
        shown: list[tuple[Any, Any, str | None]] = [
            (certified.ca.issue_cert(f"{role}.example", common_name=f"{role}-1"), (), role)
            for role in ROLES
        ]
        stranger = certified.ca.issue_cert("stranger.example", common_name="stranger")
        shown += [
            (certified.ca.issue_cert("named.example"), (), "reader"),
            (stranger, (), ""),
            (stranger, bearer(keys.shown["writer"]), "writer"),
            (certified.ca.issue_cert("a.example", common_name="admin-1"), bearer("wrong"), None),
        ]
        for client, metadata, role in shown:
            async with certified.channel(edge.address, client) as channel:
                await assert_row(channel, metadata, role)


async def test_what_is_refused_says_what_is_expected_and_no_more() -> None:
    keys = Keys()
    protection = Protection(
        settings_of(config.Auth(keys=keys.lines())), now_ms=SystemClock().now_ms
    )
    method = (f"{WORKFLOWS}StartWorkflow", False, False)
    async with Edge(protection=protection) as edge:
        assert await outcome(edge.channel, method, ()) == ("UNAUTHENTICATED", NO_CREDENTIALS)
        for shown in ("wrong", keys.shown["expired"], "a.b.c"):
            found = await outcome(edge.channel, method, bearer(shown))
            assert found == ("UNAUTHENTICATED", WRONG_CREDENTIALS)
        found = await outcome(edge.channel, method, bearer(keys.shown["reader"]))
        assert found == (
            "PERMISSION_DENIED",
            f"expected a caller with the role writer or admin for {method[0]}, found reader",
        )


async def test_a_method_without_a_row_is_refused_to_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = Keys()
    protection = Protection(
        settings_of(config.Auth(keys=keys.lines())), now_ms=SystemClock().now_ms
    )
    path = f"{WORKFLOWS}GetWorkflowStatus"
    monkeypatch.delitem(LEVELS, path)
    async with Edge(protection=protection) as edge:
        found = await outcome(edge.channel, (path, False, False), bearer(keys.shown["admin"]))
    assert found == (
        "PERMISSION_DENIED",
        f"expected a caller with the role of nobody for {path}, found admin",
    )


async def test_without_credentials_set_everybody_may_do_everything() -> None:
    async with Edge() as edge:
        found = await outcomes(edge.channel, bearer("whatever"), "admin")
    assert {code for code, _ in found} == {"admitted"}


async def test_the_caller_is_known_where_the_call_is_carried_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys, issuer, seen = Keys(), Issuer(tmp_path), list[Principal]()
    real = start.StartWorkflow.start

    async def seeing(self: Any, request: Any) -> Any:
        seen.append(msgspec.structs.replace(caller(), expires_ms=None))
        return await real(self, request)

    monkeypatch.setattr(start.StartWorkflow, "start", seeing)
    auth = issuer.settings(keys=keys.lines())
    protection = Protection(settings_of(auth), now_ms=SystemClock().now_ms)
    asked = request_pb2.StartWorkflowRequest(name="absent")
    async with Edge(protection=protection) as edge:
        for shown in (keys.shown["writer"], issuer.token(sub="ada", roles=["writer", "worker"])):
            with pytest.raises(grpc.aio.AioRpcError):
                await edge.workflows.StartWorkflow(asked, metadata=bearer(shown))
        batch = workflow_pb2.StartWorkflowsRequest(items=[workflow_pb2.StartItem(name="absent")])
        await edge.podium.StartWorkflows(batch, metadata=bearer(keys.shown["admin"]))
    assert seen == [
        Principal("key", "writer", frozenset({Role.WRITER})),
        Principal("token", "ada", frozenset({Role.WRITER, Role.WORKER})),
        Principal("key", "admin", frozenset({Role.ADMIN})),
    ]
    assert caller() == ANYBODY


async def test_an_open_call_ends_when_its_token_expires(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    clock = SystemClock()
    ahead_ms = 0
    protection = Protection(
        settings_of(issuer.settings()), now_ms=lambda: clock.now_ms() + ahead_ms
    )
    one = WorkflowDef(name="one", tasks=[WorkflowTask(name="a", task_reference_name="a")])
    async with Edge(protection=protection) as edge:
        await edge.registry.register_workflow(one)
        shown = bearer(issuer.token())
        started = await edge.workflows.StartWorkflow(
            request_pb2.StartWorkflowRequest(name="one"), metadata=shown
        )
        # The token is valid for an hour and 30 s of leeway; a second of them is left.
        ahead_ms = (3_600 + 29) * 1_000
        watched = workflow_pb2.WatchRequest(workflow_id=started.workflow_id)
        watching: Any = edge.podium.Watch(watched, metadata=shown)
        assert await watching.read()
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await watching.read()
        assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "expired while the call was open" in (failure.value.details() or "")
        found = await outcome(edge.channel, (f"{PODIUM}Wait", False, False), shown)
        assert found == ("UNAUTHENTICATED", WRONG_CREDENTIALS)


async def test_health_needs_no_credentials() -> None:
    protection = Protection(
        settings_of(config.Auth(keys=Keys().lines())), now_ms=SystemClock().now_ms
    )
    async with Edge(protection=protection) as edge:
        stub: Any = health_pb2_grpc.HealthStub(edge.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_documentation_tells_which_role_has_which_level() -> None:
    row = re.compile(r"^\| (\w+) \| ([\w ,]+) \| .+ \|$", re.MULTILINE)
    documented = row.findall(SECURITY.read_text().partition("## Roles")[2])
    assert documented == [("level", "roles")] + [
        (level.value, ", ".join(role for role in Role if level in GRANTS[role])) for level in Level
    ]
