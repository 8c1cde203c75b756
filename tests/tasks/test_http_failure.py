"""The HTTP task where no success comes: how each failure is told, and that nothing leaks by it."""

import asyncio
import gzip
import socket
import threading
from dataclasses import replace

import pytest
from aiohttp import web

from podium.model.payload import JsonObject, Payload
from podium.tasks.http import HttpSettings
from tests.tasks.serving import get, mirror, pinned, response_of, running, serving, talking


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (304, "expected an HTTP status from 200 to 299, found 304 Not Modified"),
        (301, "expected an HTTP status from 200 to 299, found 301 Moved Permanently"),
        (404, "expected an HTTP status below 400, found 404 Not Found"),
        (429, "expected an HTTP status below 400, found 429 Too Many Requests"),
        (503, "expected an HTTP status below 400, found 503 Service Unavailable"),
    ],
)
async def test_another_status_fails_with_the_whole_answer(status: int, found: str) -> None:
    calls: list[int] = []

    async def handler(_: web.Request) -> web.Response:
        calls.append(status)
        return (
            web.json_response({"why": "so"}, status=status)
            if status != 304
            else web.Response(status=304)
        )

    uri = "http://user:word@api.example/path?token=word#word"
    async with serving(handler) as port, running(pinned(port)) as task:
        outcome = await task.run(get(uri=uri))
    assert outcome.status == "FAILED"
    assert outcome.reason == f"{found} from GET http://api.example/path"
    response = response_of(outcome.output)
    assert response["statusCode"] == status
    assert response["body"] == (None if status == 304 else {"why": "so"})
    assert calls == [status]  # never sent twice


async def test_a_long_reason_is_cut() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=500, reason="r" * 2000)

    async with serving(handler) as port, running(pinned(port)) as task:
        outcome = await task.run(get("/" + "p" * 2000))
    assert outcome.reason is not None
    assert 100 < len(outcome.reason) <= 500


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"uri": None}, "expected http_request.uri, found none"),
        ({"uri": ""}, "expected http_request.uri, found none"),
        ({"uri": 7}, "expected http_request.uri to be a text"),
        ({"uri": "http://"}, "expected a host name or an address in the uri"),
        ({"uri": "http://h:99999/"}, "expected a uri with a host"),
        ({"uri": "http://h:0/"}, "expected a host name or an address in the uri"),
        ({"uri": "http://[::1/"}, "expected a uri with a host"),
        ({"uri": "http://h/" + "x" * 9000}, "at most 8192 characters"),
        ({"method": None}, "expected http_request.method, found none"),
        ({"method": "CONNECT"}, "expected a method of GET, HEAD"),
        ({"method": "GET /x HTTP/1.1\r\nA: b"}, "expected a method of GET, HEAD"),
        ({"headers": "Bearer word"}, "expected http_request.headers to be an object"),
        ({"headers": {"A": ["x"]}}, "expected header A to be text"),
        ({"headers": {f"A{i}": "x" for i in range(101)}}, "expected at most 100 headers"),
        ({"accept": {}}, "expected http_request.accept to be a media type"),
        ({"accept": []}, "expected http_request.accept to be a media type"),
        ({"accept": ["a/b", 1]}, "expected http_request.accept to be a media type"),
        ({"contentType": "json"}, "expected http_request.contentType to be a media type"),
        ({"contentType": "a/b\r\nX: y"}, "expected http_request.contentType to be a media type"),
        ({"body": {"a": 1}, "contentType": "text/plain"}, "expected a text as body of type text"),
        ({"connectionTimeOut": -1}, "connectionTimeOut to be a number of milliseconds"),
        ({"readTimeOut": "soon"}, "readTimeOut to be a number of milliseconds, found soon"),
        ({"readTimeOut": True}, "readTimeOut to be a number of milliseconds"),
        (
            {"uri": "http://u:word@h/", "headers": {"authorization": "word"}},
            "expected credentials in the uri or in Authorization, found both",
        ),
    ],
)
async def test_an_input_that_is_no_request_fails(fields: JsonObject, found: str) -> None:
    async with running(HttpSettings()) as task:
        outcome = await task.run(get(**fields))
    assert outcome.status == "FAILED"
    assert found in str(outcome.reason)
    assert "word" not in str(outcome.reason)
    assert outcome.output == {}


async def test_an_http_request_that_is_no_object_fails() -> None:
    async with running(HttpSettings()) as task:
        outcome = await task.run({"http_request": "GET /"})
    assert outcome.reason == "expected http_request to be an object, found another value"


async def test_a_server_that_takes_no_connection_hits_the_connection_timeout() -> None:
    # Given a listener whose backlog of one is full: Linux leaves further calls unanswered.
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        async with running(pinned(listener.getsockname()[1])) as task:
            outcome = await task.run(get(connectionTimeOut=50))
    assert outcome.status == "FAILED"
    assert outcome.reason == (
        "expected a connection within 50 ms from GET http://api.example/, found none"
    )


async def test_a_silent_server_hits_the_read_timeout() -> None:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with talking(talk) as port, running(pinned(port)) as task:
        outcome = await task.run(get(readTimeOut=50))
    assert outcome.status == "FAILED"
    assert outcome.reason == (
        "expected data within 50 ms from GET http://api.example/, found silence"
    )


async def test_a_server_that_drips_hits_the_total() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"x")
            await asyncio.wait([asyncio.ensure_future(reader.read(1))], timeout=0.02)

    async with talking(talk) as port:
        settings = replace(pinned(port), total_ms_limit=150)
        async with running(settings) as task:
            outcome = await task.run(get(readTimeOut="3000"))
    assert outcome.reason == (
        "expected a whole answer within 150 ms from GET http://api.example/, found none"
    )


async def test_a_name_server_that_hangs_hits_the_lookup_limit() -> None:
    released = threading.Event()

    def lookup(_: str) -> list[str]:
        released.wait()
        return []

    try:
        async with running(HttpSettings(lookup_ms_limit=50), lookup) as task:
            outcome = await task.run(get())
    finally:
        released.set()
    assert outcome.reason == (
        "expected an address within 50 ms from GET http://api.example/, found none"
    )


@pytest.mark.parametrize("host", ["unknown.example", "a..b.example", "x" * 64 + ".example"])
async def test_a_name_without_address_fails(host: str) -> None:
    def lookup(name: str) -> list[str]:
        name.encode("idna")
        raise OSError(name)

    async with running(HttpSettings(), lookup) as task:
        outcome = await task.run(get(uri=f"http://{host}/"))
    assert outcome.status == "FAILED"
    assert outcome.reason == f"expected an address from GET http://{host}/, found none"


async def test_a_closed_port_is_told() -> None:
    async with talking(lambda *_: asyncio.sleep(0)) as port:
        pass
    async with running(pinned(port)) as task:
        outcome = await task.run(get())
    assert outcome.status == "FAILED"
    assert outcome.reason == (
        "expected a connection from GET http://api.example/, found ECONNREFUSED"
    )


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"", "expected an answer from GET http://api.example/, found the connection closed"),
        (b"SSH-2.0\r\n\r\n", "expected an answer in HTTP from GET"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "expected a whole body from GET"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
            "expected a whole body from GET",
        ),
    ],
)
async def test_a_broken_answer_is_told(answer: bytes, found: str) -> None:
    calls: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)

    async with talking(talk) as port, running(pinned(port)) as task:
        outcome = await task.run(get())
    assert outcome.status == "FAILED"
    assert found in str(outcome.reason)
    assert len(calls) == 1


async def test_http_without_tls_behind_https_is_told() -> None:
    async with serving(mirror) as port:
        settings = HttpSettings(resolve={"api.example:443": f"127.0.0.1:{port}"})
        async with running(settings) as task:
            outcome = await task.run(get(uri="https://api.example/"))
    assert outcome.reason == (
        "expected TLS with a valid certificate from GET https://api.example/, found none"
    )


async def test_a_body_over_the_limit_fails_with_the_sizes() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * (1024 * 1024 + 1))

    async with serving(handler) as port, running(pinned(port)) as task:
        outcome = await task.run(get())
    assert outcome.status == "FAILED"
    assert outcome.output == {}
    assert str(outcome.reason).startswith("expected a body of at most 1048576 bytes, found 10485")
    assert "(Content-Length: 1048577) from GET http://api.example/" in str(outcome.reason)


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_bomb_is_dropped_before_it_is_unpacked(layers: int) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))

    async def handler(_: web.Request) -> web.Response:
        encoding = ", ".join(["gzip"] * layers)
        return web.Response(body=bomb, headers={"Content-Encoding": encoding})

    async with serving(handler) as port, running(pinned(port)) as task:
        outcome = await task.run(get())
    if layers == 1:
        assert outcome.status == "FAILED"
        found = str(outcome.reason).partition(", found ")[2].partition(" or more")[0]
        # Counted as it came: hardly more than the limit was ever unpacked.
        assert 1024 * 1024 < int(found) < 2 * 1024 * 1024
    else:
        # A chain of encodings is not unpacked at all.
        assert len(Payload.of(outcome.output)) < 1024 * 1024


async def test_cancelling_closes_the_connection() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        began.set()
        assert await reader.read() == b""
        ended.set()

    async with talking(talk) as port, running(pinned(port)) as task:
        run = asyncio.create_task(task.run(get()))
        await began.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await ended.wait()
