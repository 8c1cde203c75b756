"""The HTTP task against a canary on 127.0.0.1 that must see no connection, whatever is asked."""

import asyncio
from collections.abc import Sequence

import pytest
from aiohttp import web

from podium.model.payload import JsonObject
from podium.tasks.http import HttpSettings
from tests.tasks.serving import get, listening, pinned, response_of, running, serving

# {port} is the canary's.
SPELLINGS = [
    "http://127.0.0.1:{port}/", "http://2130706433:{port}/", "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/", "http://017700000001:{port}/", "http://0177.0.0.01:{port}/",
    "http://127.1:{port}/", "http://127.0.1:{port}/", "http://127.000.000.001:{port}/",
    "http://127.0.0.1.:{port}/", "http://127.0.0.1..:{port}/",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11:{port}/",
    "http://①②⑦.0.0.1:{port}/", "http://127。0。0。1:{port}/", "http://127%2e0%2e0%2e1:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/", "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/", "http://[2002:7f00:1::1]:{port}/",
    "http://[2001:0:7f00:1::1]:{port}/", "http://[::1]:{port}/", "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/", "http://[fe80::1%25lo]:{port}/", "http://[::1%lo]:{port}/",
    "http://0.0.0.0:{port}/", "http://0:{port}/", "http://127.255.255.254:{port}/",
    "http://localhost:{port}/", "http://LOCALHOST:{port}/", "http://localhost.:{port}/",
    "http://ⓛocalhost:{port}/", "http://localhost\u00ad:{port}/", "http://ip6-localhost:{port}/",
    "http://8.8.8.8@127.0.0.1:{port}/", "http://user:word@localhost:{port}/",
    "http://8.8.8.8:80@127.0.0.1:{port}/", "http://127.0.0.1:{port}#@8.8.8.8/",
    "http://127.0.0.1:{port}?@8.8.8.8/", "http://127.0.0.1:{port}\\@8.8.8.8/",
    "http://8.8.8.8\\@127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "http:/127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/", "http:////127.0.0.1:{port}/", "//127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/", "\thttp://127.0.0.1:{port}/", "HTTP://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/", "ws://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/", "tcp://127.0.0.1:{port}/", "dict://127.0.0.1:{port}/",
    "unix:///tmp/x.sock", "http+unix://%2Ftmp%2Fx.sock/", "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://10.0.0.1/",
    "http://bücher.local.:{port}/", "http://127.0.0.1 .example:{port}/",
    "http://127.0.0.1\r\nHost: x:{port}/", "http://127.0.0.1\x00.example:{port}/",
]  # fmt: skip
REFUSED = "FAILED_WITH_TERMINAL_ERROR"


def no_address(host: str) -> Sequence[str]:
    """What the system's own lookup knows without a name server; nothing for the other names."""
    numbers = {"2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.01", "127.1"}
    if host.rstrip(".") in numbers | {"localhost", "ip6-localhost", "127.0.1", "127.0.0.1", "0"}:
        return ["::1", "127.0.0.1"]
    raise OSError(host)


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_no_spelling_reaches_the_canary(spelling: str) -> None:
    async with (
        listening() as canary,
        running(HttpSettings(), lookup=no_address) as task,
    ):
        uri = spelling.format(port=canary.port)

        outcome = await task.run({"uri": uri, "method": "GET"})

        assert outcome.status in {"FAILED", REFUSED}
        assert outcome.output == {}
        assert outcome.reason is not None
        assert outcome.reason.startswith("expected ")
        assert "word" not in outcome.reason
        assert await canary.seen() == 0


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("http://127.0.0.1:9/", "a loopback address at 127.0.0.1:9"),
        ("http://localhost:9/", "a loopback address at localhost:9"),
        ("http://0.0.0.0:9/", "the unspecified address at 0.0.0.0:9"),
        ("http://169.254.169.254/", "a link-local address at 169.254.169.254:80"),
        ("http://[64:ff9b::7f00:1]/", "a loopback address inside a tunnel address"),
        ("https://10.0.0.1/", "an address that is not global at 10.0.0.1:443"),
    ],
)
async def test_the_refusal_is_final_and_says_what_to_do(uri: str, found: str) -> None:
    async with running(HttpSettings()) as task:
        outcome = await task.run({"uri": uri, "method": "GET"})
    assert outcome.status == REFUSED
    assert "expected a globally routable address or one named in http.allow" in str(outcome.reason)
    assert found in str(outcome.reason)


@pytest.mark.parametrize(
    ("allow", "host"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.1:{port}", "127.0.0.1"),
        ("127.0.0.1:{port}", "[::ffff:127.0.0.1]"),
        ("127.0.0.1:{port}", "some.example"),
        ("*.example:{port}", "some.example"),
        ("some.example", "SOME.example."),
    ],
)
async def test_what_is_allowed_is_reached(allow: str, host: str) -> None:
    async with listening() as canary:
        settings = HttpSettings(allow=(allow.format(port=canary.port),))
        async with running(settings, lookup=lambda _: ["127.0.0.1"]) as task:
            outcome = await task.run({"uri": f"http://{host}:{canary.port}/", "method": "GET"})

        assert outcome.status == "COMPLETED", outcome.reason
        assert await canary.seen() == 1


async def test_what_is_allowed_elsewhere_is_not_reached() -> None:
    async with listening() as canary:
        allow = ("127.0.0.1:1", "*.example", "10.0.0.0/8")
        async with running(HttpSettings(allow=allow)) as task:
            outcome = await task.run({"uri": f"http://127.0.0.1:{canary.port}/", "method": "GET"})

        assert outcome.status == REFUSED
        assert await canary.seen() == 0


async def test_a_pinned_name_keeps_its_host_header() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"host": request.headers["Host"]})

    async with serving(handler) as port, running(pinned(port)) as task:
        outcome = await task.run(get("/"))
    assert response_of(outcome.output)["body"] == {"host": "api.example"}


async def test_a_redirect_is_shown_and_not_followed() -> None:
    async with listening() as canary:

        async def handler(_: web.Request) -> web.Response:
            location = f"http://127.0.0.1:{canary.port}/"
            return web.Response(status=302, headers={"Location": location})

        # Given that even the guard would let the target pass.
        async with serving(handler) as port:
            settings = HttpSettings(allow=("127.0.0.0/8",))
            async with running(settings) as task:
                outcome = await task.run({"uri": f"http://127.0.0.1:{port}/", "method": "GET"})

        assert outcome.status == "FAILED"
        assert response_of(outcome.output)["statusCode"] == 302
        assert await canary.seen() == 0


async def test_of_mixed_addresses_only_the_allowed_is_reached() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    async with listening() as canary, serving(handler, "127.0.0.2", canary.port):
        settings = HttpSettings(allow=("127.0.0.2",))
        uri = f"http://mixed.example:{canary.port}/"
        async with running(settings, lookup=lambda _: ["127.0.0.1", "127.0.0.2"]) as task:
            outcome = await task.run({"uri": uri, "method": "GET"})

        assert outcome.status == "COMPLETED", outcome.reason
        assert await canary.seen() == 0


async def test_a_name_that_changes_its_address_is_judged_each_time() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    answers = iter((["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]))
    async with serving(handler, "127.0.0.2") as port:
        settings = HttpSettings(allow=("127.0.0.2",))
        async with running(settings, lookup=lambda _: next(answers)) as task:
            input_ = {"uri": f"http://moving.example:{port}/", "method": "GET"}
            statuses = [(await task.run(input_)).status for _ in range(3)]
    assert statuses == ["COMPLETED", REFUSED, REFUSED]


async def test_calls_at_the_same_time_do_not_lend_their_names() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    async with serving(handler) as port:
        settings = HttpSettings(allow=(f"good.example:{port}",))
        async with running(settings, lookup=lambda _: ["127.0.0.1"]) as task:
            hosts = ["good", "bad"] * 5
            outcomes = await asyncio.gather(
                *(
                    task.run({"uri": f"http://{host}.example:{port}/", "method": "GET"})
                    for host in hosts
                )
            )
    assert [outcome.status for outcome in outcomes] == ["COMPLETED", REFUSED] * 5


async def test_the_environment_gives_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    async with listening() as canary, serving(handler) as port:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
        async with running(pinned(port)) as task:
            outcome = await task.run(get("/"))
        assert outcome.status == "COMPLETED"
        assert await canary.seen() == 0


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"Host": "other.example"}, "Host"),
        ({"hOST": "other.example"}, "hOST"),
        ({" Host ": "other.example"}, "Host"),
        ({"Transfer-Encoding": "chunked"}, "Transfer-Encoding"),
        ({"Content-Length": 5}, "Content-Length"),
        ({"Connection": "X-Secret"}, "Connection"),
        ({"Proxy-Authorization": "Basic word"}, "Proxy-Authorization"),
        ({"X-A": "1\r\nHost: other.example"}, "X-A"),
        ({"X-A": "1\nX-B: word"}, "X-A"),
        ({"X-A": "1\x00"}, "X-A"),
        ({"X-A\r\nX-B": "1"}, "X-A"),
        ({"X-A:": "1"}, "X-A:"),
        ({"": "1"}, "header name"),
    ],
)
async def test_headers_that_would_break_the_request_are_refused(
    headers: JsonObject, found: str
) -> None:
    async with listening() as canary:
        async with running(pinned(canary.port)) as task:
            outcome = await task.run(get("/", headers=headers))
        assert outcome.status == REFUSED
        assert outcome.output == {}
        assert found in str(outcome.reason)
        assert "word" not in str(outcome.reason)
        assert await canary.seen() == 0


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "ftp://a.example/", "a.example", "/path"])
async def test_only_http_is_spoken(uri: str) -> None:
    async with running(HttpSettings()) as task:
        outcome = await task.run({"uri": uri, "method": "GET"})
    assert outcome.status == REFUSED
    assert str(outcome.reason).startswith("expected a uri of http or https, found ")
