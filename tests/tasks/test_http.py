"""The HTTP task against real servers: what is sent, and what comes out of a success."""

import asyncio

import pytest
from aiohttp import web

from podium.model.payload import JsonObject, JsonValue, Payload
from podium.tasks.http import HttpTask
from tests.tasks.serving import get, mirror, pinned, response_of, running, serving, talking


async def sent(**fields: JsonValue) -> dict[str, JsonValue]:
    """What the mirror saw of a request; header names in lower case."""
    async with serving(mirror) as port, running(pinned(port)) as task:
        outcome = await task.run(get(**fields))
    assert outcome.status == "COMPLETED", outcome.reason
    body = response_of(outcome.output)["body"]
    assert isinstance(body, dict)
    return body


async def received(body: bytes, **headers: str) -> JsonValue:
    """What the task makes of a body."""

    async def handler(_: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, headers=named)

    async with serving(handler) as port, running(pinned(port)) as task:
        outcome = await task.run(get())
    assert outcome.status == "COMPLETED", outcome.reason
    assert len(Payload.of(outcome.output)) > 0  # can be stored
    return response_of(outcome.output)["body"]


async def test_a_request_has_its_defaults() -> None:
    seen = await sent()
    assert (seen["method"], seen["target"], seen["body"]) == ("GET", "/", "")
    assert isinstance(seen["headers"], dict)
    assert seen["headers"]["accept"] == "application/json"
    assert seen["headers"]["content-type"] == "application/json"


async def test_the_whole_input_is_the_request_where_http_request_is_absent() -> None:
    async with serving(mirror) as port, running(pinned(port)) as task:
        outcome = await task.run({"uri": "http://api.example/x", "method": "put", "body": "b"})
    body = response_of(outcome.output)["body"]
    assert isinstance(body, dict)
    assert (body["method"], body["target"], body["body"]) == ("PUT", "/x", "b")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"accept": ["text/html", "application/json"]}, {"accept": "text/html, application/json"}),
        ({"accept": "text/html;q=0.9, */*"}, {"accept": "text/html;q=0.9, */*"}),
        ({"headers": {"Accept": "a/b"}, "accept": "c/d"}, {"accept": "a/b"}),
        ({"contentType": "a/b; c=d"}, {"content-type": "a/b; c=d"}),
        ({"headers": {"content-type": "a/b"}}, {"content-type": "a/b"}),
        ({"headers": {"X-A": 1, "X-B": True}}, {"x-a": "1", "x-b": "true"}),
        ({"headers": {"X-A": " a\t"}}, {"x-a": "a"}),
        ({"headers": {"X-A": "é"}}, {"x-a": "é"}),
        ({"headers": {"Authorization": "Bearer word"}}, {"authorization": "Bearer word"}),
    ],
)  # fmt: skip
async def test_headers_are_sent(fields: JsonObject, expected: dict[str, str]) -> None:
    headers = (await sent(**fields))["headers"]
    assert isinstance(headers, dict)
    assert {name: headers[name] for name in expected} == expected


async def test_a_header_of_null_is_left_out() -> None:
    headers = (await sent(headers={"X-A": None, "X-B": "b"}))["headers"]
    assert isinstance(headers, dict)
    assert "x-a" not in headers
    assert "x-b" in headers


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"body": "as it is"}, "as it is"),
        ({"body": '"quoted"'}, '"quoted"'),
        ({"body": {"a": [1, 2.5, None]}}, '{"a":[1,2.5,null]}'),
        ({"body": [1]}, "[1]"),
        ({"body": 7}, "7"),
        ({"body": False}, "false"),
        ({"body": {}, "contentType": "application/problem+json; x=y"}, "{}"),
        ({"body": "a=b", "contentType": "application/x-www-form-urlencoded"}, "a=b"),
        ({"body": None}, ""),
        ({"body": "ü"}, "ü"),
    ],
)
async def test_bodies_are_sent(fields: JsonObject, expected: str) -> None:
    assert (await sent(method="POST", **fields))["body"] == expected


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/"),
        ("?q=1", "/?q=1"),
        ("/a%2Fb%20c?x=%41&y=a+b", "/a%2Fb%20c?x=%41&y=a+b"),
        ("/{name}/${x}", "/{name}/${x}"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("/sp ace?q=a b", "/sp%20ace?q=a%20b"),
        ("/ü?q=ü", "/%C3%BC?q=%C3%BC"),
        ("/p|^`\"<>?q='|", "/p|^`\"<>?q='|"),
        ("/a#part", "/a"),
        ("//a//b", "//a//b"),
    ],
)
async def test_the_uri_is_sent_as_written(path: str, target: str) -> None:
    assert (await sent(uri=f"http://API.example{path}"))["target"] == target


async def test_credentials_of_the_uri_become_a_header() -> None:
    headers = (await sent(uri="http://user:p%40ss@api.example/"))["headers"]
    assert isinstance(headers, dict)
    assert headers["authorization"] == "Basic dXNlcjpwQHNz"


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_methods_are_sent(method: str) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.method)
        return web.Response(status=204)

    async with serving(handler) as port, running(pinned(port)) as task:
        outcome = await task.run(get(method=method.lower()))
    assert (outcome.status, outcome.reason, seen) == ("COMPLETED", None, [method])
    assert response_of(outcome.output)["body"] is None


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", None),
        (b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (b"[1]", [1]),
        (b"12", 12),
        (b"12.0", 12.0),
        (b"-0.5", -0.5),
        (b" true\n", "true"),
        (b"null", "null"),
        (b'"text"', "text"),
        (b"no json", "no json"),
        (b"{'a': 1}", "{'a': 1}"),
        (b"NaN", "NaN"),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'"\\ud800"', '"\\ud800"'),
        (b"[" * 30 + b"]" * 30, "deep"),
        (b"[" * 31 + b"]" * 31, "[" * 31 + "]" * 31),
        (b"[" * 5000, "[" * 5000),
    ],
)
async def test_bodies_are_read(body: bytes, value: JsonValue) -> None:
    found = await received(body)
    if value == "deep":
        assert isinstance(found, list)
    else:
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    ("charset", "body", "value"),
    [
        ("iso-8859-1", b"\xe9", "é"),
        ("UTF-8", b"\xc3\xa9", "é"),
        ("utf-7", b"+2AA-", "+2AA-"),
        ("unicode_escape", b"\\ud800", "\\ud800"),
        ("no-such", b"\xc3\xa9", "é"),
    ],
)
async def test_the_charset_is_used_where_it_is_sound(charset: str, body: bytes, value: str) -> None:
    assert await received(body, Content_Type=f"text/plain; charset={charset}") == value


async def test_a_success_has_the_whole_answer() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 201 M\xfcde\r\nSet-Cookie: a=1\r\nX-Raw: \xff\r\nset-cookie: b=2\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )

    async with talking(talk) as port, running(pinned(port)) as task:
        outcome = await task.run(get())
    assert (outcome.status, outcome.reason) == ("COMPLETED", None)
    assert outcome.output == {
        "response": {
            "body": {},
            "headers": {
                "Set-Cookie": ["a=1", "b=2"],
                "X-Raw": ["\ufffd"],
                "Content-Length": ["2"],
            },
            "statusCode": 201,
            "reasonPhrase": "M\ufffdde",
        }
    }
    assert len(Payload.of(outcome.output)) > 0


async def test_a_cookie_does_not_pass_to_the_next_run() -> None:
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "a=1"})

    async with serving(handler) as port, running(pinned(port)) as task:
        await task.run(get())
        await task.run(get())
    assert seen == [None, None]


@pytest.mark.parametrize(
    ("status", "is_async", "expected"),
    [
        (200, True, "IN_PROGRESS"),
        (200, False, "COMPLETED"),
        (299, False, "COMPLETED"),
        (404, True, "FAILED"),
    ],
)
async def test_async_complete_waits_after_a_success(
    status: int, *, is_async: bool, expected: str
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, text="7")

    async with serving(handler) as port, running(pinned(port)) as task:
        outcome = await task.run({**get(), "asyncComplete": is_async})
    assert outcome.status == expected
    assert response_of(outcome.output)["body"] == 7


@pytest.mark.parametrize("size", [1024 * 1024 - 1, 1024 * 1024])
async def test_a_body_up_to_the_limit_passes(size: int) -> None:
    assert await received(b"x" * size) == "x" * size


async def test_a_task_can_be_stopped_and_started_again() -> None:
    async with serving(mirror) as port:
        task = HttpTask(pinned(port))
        await task.stop()
        for _ in range(2):
            await task.start()
            assert (await task.run(get())).status == "COMPLETED"
            await task.stop()
