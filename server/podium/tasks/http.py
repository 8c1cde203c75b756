"""The HTTP system task: one request of a workflow to a server that strangers may name.

Rules: every socket is made by `HttpTask._open`, behind the guard of address.py, whatever name,
lookup or redirect led to it. Each run is one request over a connection of its own: nothing is sent
twice, no cookie or connection passes from one workflow to another, redirects are not followed
(S-444 follows them), and no proxy or netrc of the environment is used. No text of an exception
reaches the outcome. Workflows, retries and queues are not known here.

Time of a run: lookup <= lookup_ms_limit, each address <= connectionTimeOut, each silence of the
server <= readTimeOut, all together <= total_ms_limit.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from podium.engine.limits import REASON_CHARS_LIMIT
from podium.tasks.address import AddressGuard
from podium.tasks.http_request import Unsendable, read_request
from podium.tasks.http_response import read_response, sound_text
from podium.tasks.outcome import TaskOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from podium.model.payload import JsonObject, JsonValue
    from podium.tasks.http_request import HttpRequest

    Lookup: TypeAlias = Callable[[str], Sequence[str]]
    """The addresses of a host name, best first; blocks; raises OSError where there are none."""
    AddrInfo: TypeAlias = tuple[int, int, int, str, tuple[str | int, ...]]
    """Family, kind, protocol, name and target, as getaddrinfo has them."""

PLACE_CHARS_LIMIT: Final = 200
LOOKUP_THREADS: Final = 8
"""Own threads: a name server that hangs must not take those of the store."""
CHUNK_BYTES: Final = 64 * 1024

# The kind of a failure -> what was expected and what was found; the first that fits, so special
# kinds stand above the general ones they derive from.
FAILURES: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (aiohttp.ClientConnectorDNSError, "an address", "none"),
    (aiohttp.ConnectionTimeoutError, "a connection within {connect_ms} ms", "none"),
    (aiohttp.SocketTimeoutError, "data within {read_ms} ms", "silence"),
    (TimeoutError, "a whole answer within {total_ms} ms", "none"),
    (aiohttp.ClientSSLError, "TLS with a valid certificate", "none"),
    (aiohttp.ClientConnectorError, "a connection", "{code}"),
    (aiohttp.ClientOSError, "an answer", "the connection broken ({code})"),
    (aiohttp.ServerDisconnectedError, "an answer", "the connection closed"),
    (aiohttp.ClientPayloadError, "a whole body", "one that is cut or cannot be unpacked"),
    (aiohttp.ClientResponseError, "an answer in HTTP", "another one"),
    (aiohttp.InvalidURL, "a host name or a canonical address", "another spelling"),
    (aiohttp.ClientError, "an answer", "none"),
)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The settings `http.*`. Shape of `allow` and `resolve`: see AddressGuard.of."""

    allow: tuple[str, ...] = ()
    resolve: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    total_ms_limit: int = 30_000
    lookup_ms_limit: int = 5_000
    body_bytes_limit: int = 1024 * 1024
    connections_limit: int = 100


@dataclass(slots=True)
class Call:
    """One request on its way: what stood between it and a connection."""

    request: HttpRequest
    sockets: int = 0
    refusal: str | None = None
    is_lookup_late: bool = False


class HttpTask:
    """Runs HTTP tasks.

    Raises:
        AddressSettingInvalid: `allow` or `resolve` cannot be read.
    """

    def __init__(self, settings: HttpSettings, *, lookup: Lookup | None = None) -> None:
        assert min(settings.total_ms_limit, settings.lookup_ms_limit) > 0, settings
        assert min(settings.body_bytes_limit, settings.connections_limit) > 0, settings
        self._settings: Final = settings
        self._guard: Final = AddressGuard.of(settings.allow, settings.resolve)
        self._lookup: Final = lookup or system_addresses
        self._call: Final[ContextVar[Call]] = ContextVar("call")
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the session; on the loop that will run the tasks."""
        assert self._session is None, "expected a task that is not started"
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=PinnedResolver(self._guard, self._lookup, self._call, settings),
                socket_factory=self._open,
                limit=settings.connections_limit,
                # Each lookup is judged anew, and a kept connection may be one that its server
                # closes just when a POST goes out on it.
                use_dns_cache=False,
                force_close=True,
            ),
            middlewares=(self._send_once,),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def stop(self) -> None:
        """Close the session and what it still has open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def run(self, input_: Mapping[str, JsonValue]) -> TaskOutcome:
        """Send the request of the input and wait for its answer; to cancel the run closes it.

        Shape: `output.response` is {body, headers, statusCode, reasonPhrase} for every answer that
        came whole, of 4xx and 5xx too, where S-448 has a text; absent where no answer came.
        COMPLETED on 2xx, IN_PROGRESS with `asyncComplete` (S-451); else FAILED, also for missing
        fields (S-442); FAILED_WITH_TERMINAL_ERROR where this server refuses the request, which no
        retry changes. `reason` has neither credentials nor the query of the URL.
        """
        assert self._session is not None, "expected a task that is started"
        try:
            request = read_request(input_)
            response = await self._exchange(self._session, request)
        except Unsendable as problem:
            status = "FAILED_WITH_TERMINAL_ERROR" if problem.is_final else "FAILED"
            return TaskOutcome(status, {}, problem.reason[:REASON_CHARS_LIMIT])
        return outcome(request, response, is_async=input_.get("asyncComplete") is True)

    async def _exchange(self, session: aiohttp.ClientSession, request: HttpRequest) -> JsonObject:
        call = Call(request)
        token = self._call.set(call)
        try:
            async with session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                timeout=self._timeouts(request),
            ) as answer:
                return read_response(
                    status=answer.status,
                    phrase=answer.reason,
                    headers=answer.raw_headers,
                    body=await self._body(answer, request),
                    charset=answer.charset,
                )
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise self._failure(problem, call) from problem
        finally:
            self._call.reset(token)

    async def _send_once(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Tell a failure here: aiohttp, told of it, sends an idempotent request a second time."""
        try:
            return await handler(request)
        except aiohttp.ClientError as problem:
            raise self._failure(problem, self._call.get()) from problem

    def _timeouts(self, request: HttpRequest) -> aiohttp.ClientTimeout:
        # None waits as long as the total allows.
        return aiohttp.ClientTimeout(
            total=self._settings.total_ms_limit / 1000,
            sock_connect=request.connect_ms / 1000 or None,
            sock_read=request.read_ms / 1000 or None,
        )

    async def _body(self, answer: aiohttp.ClientResponse, request: HttpRequest) -> bytes:
        """The whole body, counted after decompression; aiohttp unpacks it piece by piece."""
        limit = self._settings.body_bytes_limit
        body = bytearray()
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            body += chunk
            if len(body) > limit:
                answer.close()
                declared = answer.headers.get("Content-Length", "")
                sent = f" (Content-Length: {declared})" if declared.isdigit() else ""
                raise Unsendable(
                    f"expected a body of at most {limit} bytes, found {len(body)} or more{sent}"
                    f" from {named(request)}"
                )
        return bytes(body)

    def _failure(self, problem: Exception, call: Call) -> Unsendable:
        """What kept a whole answer from coming, in the words of this file."""
        if call.refusal is not None and call.sockets == 0:
            return Unsendable(f"{call.refusal} (http_request.uri)", is_final=True)
        expected, found = next(
            (expected, found) for kind, expected, found in FAILURES if isinstance(problem, kind)
        )
        if call.is_lookup_late:
            expected = f"an address within {self._settings.lookup_ms_limit} ms"
        code = problem.errno if isinstance(problem, OSError) else None
        values: dict[str, str | int] = {
            "connect_ms": call.request.connect_ms,
            "read_ms": call.request.read_ms,
            "total_ms": self._settings.total_ms_limit,
            "code": errno.errorcode.get(code or 0, "no way"),
        }
        return Unsendable(
            f"expected {expected.format_map(values)} from {named(call.request)},"
            f" found {found.format_map(values)}"
        )

    def _open(self, info: AddrInfo) -> socket.socket:
        """Make the socket of a connection, if the guard lets it go where it is about to."""
        family, kind, protocol, _, target = info
        call = self._call.get()
        refusal = self._guard.refusal(call.request.host, str(target[0]), int(target[1]))
        if refusal is not None:
            call.refusal = call.refusal or refusal
            raise PermissionError(errno.EACCES, "refused by the address guard")
        call.sockets += 1
        return socket.socket(family, kind, protocol)


class PinnedResolver(AbstractResolver):
    """Sends hosts where `http.resolve` says, and asks the system for the others."""

    def __init__(
        self, guard: AddressGuard, lookup: Lookup, call: ContextVar[Call], settings: HttpSettings
    ) -> None:
        self._guard: Final = guard
        self._lookup: Final = lookup
        self._call: Final = call
        self._timeout_s: Final = settings.lookup_ms_limit / 1000
        self._threads: Final = ThreadPoolExecutor(LOOKUP_THREADS, "http-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError where the name has no address or its server does not answer in time."""
        del family  # Any: an address has its family.
        pinned = self._guard.target(host, port)
        if pinned is not None:
            return [found(host, *pinned)]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                addresses = await loop.run_in_executor(self._threads, self._lookup, host)
        except TimeoutError as late:
            self._call.get().is_lookup_late = True
            raise OSError(errno.ETIMEDOUT, "no answer of the name server") from late
        except UnicodeError as problem:
            raise OSError(errno.EINVAL, "not a name that DNS can hold") from problem
        if not addresses:
            raise OSError(errno.ENOENT, "a name without address")
        return [found(host, address, port) for address in addresses]

    async def close(self) -> None:
        """A lookup that hangs is left to end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def system_addresses(host: str) -> list[str]:
    """The addresses of a host by the system's resolver. Raises OSError where there are none."""
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in infos))


def found(host: str, address: str, port: int) -> ResolveResult:
    """One address in the shape of aiohttp, which takes the family from the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )


def outcome(request: HttpRequest, response: JsonObject, *, is_async: bool) -> TaskOutcome:
    """Judge an answer by its status (S-446, S-448, S-449)."""
    status, phrase = response["statusCode"], response["reasonPhrase"]
    assert isinstance(status, int)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return TaskOutcome("IN_PROGRESS" if is_async else "COMPLETED", {"response": response})
    if status >= HTTPStatus.BAD_REQUEST:
        expected = f"below {HTTPStatus.BAD_REQUEST}"
    else:
        expected = f"from {HTTPStatus.OK} to 299"
    line = f"{status} {phrase}"[:PLACE_CHARS_LIMIT].strip()
    reason = f"expected an HTTP status {expected}, found {line} from {named(request)}"
    return TaskOutcome("FAILED", {"response": response}, reason[:REASON_CHARS_LIMIT])


def named(request: HttpRequest) -> str:
    """The request in messages: method and URL without what may be secret."""
    return sound_text(f"{request.method} {request.place}"[:PLACE_CHARS_LIMIT])
