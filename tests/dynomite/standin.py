"""One Dynomite of several nodes in front of real redis-servers, as contract/dynomite.md saw it:
what it does not take ends the connection without a word, and whoever breaks its rules for keys and
answers gets what they would get from it. It emulates no replication, and no node but the one asked.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from hashlib import sha256
from typing import TYPE_CHECKING, Self

import hiredis

from tests.dynomite.replies import (
    DOWN,
    OK,
    PONG,
    SPAN,
    Reply,
    command,
    cut_short,
    merged,
    read_reply,
)
from tests.dynomite.rules import (
    EVERYWHERE,
    FORMS,
    KEY_BYTES_MAX,
    OWN,
    PING,
    QUIT,
    SCRIPTS,
    SPLIT,
    SPLIT_BYTES_MAX,
    keys_of,
    takes,
)
from tests.store.nodes import DURABLE, Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NODES = 2
CHUNK_BYTES = 256 * 1024
UNSTEADY = ("TIME", "RANDOMKEY")
"""What a script must not ask for, since each replica would be told something else: unknown here."""
Parts = list[tuple[int, list[int], list[bytes]]]
"""Of one command: to which node, the places of the keys that it gets, the words."""


class Refused(Exception):
    """The connection ends; the words are for the test that caused it."""


class Died(Exception):
    """The node ends, with all its connections."""


class StandIn:
    """`hash_tag=""` = as Dynomite is by default: keys are placed by all their letters."""

    def __init__(self, folder: Path, *, hash_tag: str = "{}") -> None:
        unknown = [word for each in UNSTEADY for word in ("--rename-command", each, "")]
        self.nodes = [Node(folder / str(n), *DURABLE, *unknown) for n in range(NODES)]
        self.port = 0
        self.offences: list[str] = []
        """What was refused or mangled, in order."""
        self._hash_tag = hash_tag.encode()
        self._arity: dict[str, int] = {}
        self._tail = b""
        self._clients: set[asyncio.StreamWriter] = set()
        self._stack = ExitStack()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"dynomite://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        for each in self.nodes:
            self._stack.enter_context(each)
        for name in FORMS:
            told = self.nodes[0].ask("COMMAND", "INFO", name)
            self._arity[name] = int(told[name.lower()]["arity"])
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        self._stack.callback(self._loop.close)
        self._stack.callback(thread.join)
        self._stack.callback(self._loop.call_soon_threadsafe, self._loop.stop)
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._stack.close()

    def node_of(self, key: bytes) -> int:
        """Where it lies. Raises Died."""
        begin, end = self._hash_tag[:1], self._hash_tag[1:]
        _, opened, rest = key.partition(begin or b"{")
        tag, closed, _ = rest.partition(end or b"}")
        if not (self._hash_tag and opened and closed):
            tag = key
        if not tag:
            raise Died(f"died of a key with an empty tag: {key.decode()}")
        return sha256(tag).digest()[0] % len(self.nodes)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for each in self._clients:
            each.transport.abort()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        connection = Connection(self)
        try:
            parser = hiredis.Reader()
            while chunk := await reader.read(CHUNK_BYTES):
                parser.feed(chunk)
                writer.write(await connection.answers(list(_requests(parser))))
                await writer.drain()
        except Refused as refusal:
            self.offences.append(str(refusal))
        except Died as death:
            self.offences.append(str(death))
            assert self._server is not None
            self._server.close()
            for each in self._clients:
                each.transport.abort()
        except (OSError, EOFError):
            pass  # the client went away
        finally:
            self._clients.discard(writer)
            connection.close()
            writer.close()

    def parts(self, words: list[bytes]) -> Parts | Reply:
        """Where a command goes, or what it is told without that. Raises Refused and Died."""
        name, arguments = words[0].decode("latin-1").upper(), words[1:]
        if not takes(name, arguments) or not self._arity_fits(name, len(words)):
            raise Refused(f"closed for {name} with {len(arguments)} arguments")
        keys = keys_of(name, arguments)
        if (longest := max(map(len, keys), default=0)) > KEY_BYTES_MAX:
            raise Refused(f"reset for a key of {longest} bytes")
        if name in {PING, QUIT}:
            return PONG if name == PING else OK
        if name in OWN:
            return [(0, [], words)]
        if name == EVERYWHERE:
            return [(node, [], words) for node in range(len(self.nodes))]
        places = [self.node_of(key) for key in keys]
        if name == "EVAL" and len(set(places)) > 1:
            self.offences.append("keys of a script on several nodes")
            return SPAN
        if name in SPLIT:
            return _split(name, words, places)
        return [(places[0], [0], words)]

    def _arity_fits(self, name: str, count: int) -> bool:
        arity = self._arity[name]
        return count == arity if arity > 0 else count >= -arity

    def sent(self, name: str, reply: Reply) -> bytes:
        """An answer as it reaches the client; a tail that was left goes out in its place."""
        if self._tail:
            tail, self._tail = self._tail, b""
            return tail
        if name not in SCRIPTS:
            return reply.raw
        head, self._tail = cut_short(reply)
        if self._tail:
            self.offences.append("an array inside a script's answer that is not its last item")
        return head


class Connection:
    """A client's, with one to each node."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self._nodes: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self._down: set[int] = set()
        """Nodes that were away in this pipeline."""

    def close(self) -> None:
        for _, writer in self._nodes.values():
            writer.close()

    async def answers(self, commands: Sequence[list[bytes]]) -> bytes:
        """Of a pipeline. One that is refused takes the answers of those before it along, which were
        carried out. Raises Refused and Died.
        """
        sent: list[tuple[str, Parts | Reply]] = []
        refusal: Exception | None = None
        for words in commands:
            try:
                parts = self._standin.parts(words)
            except (Refused, Died) as problem:
                refusal = problem
                break
            name = words[0].decode("latin-1").upper()
            sent.append((name, parts))
            if name == QUIT:
                break
            if not isinstance(parts, Reply):
                for node, _, part in parts:
                    await self._send(node, command(part))
        replies = [(name, await self._reply(name, parts)) for name, parts in sent]
        for node in self._down & self._nodes.keys():
            self._nodes.pop(node)[1].close()
        self._down.clear()
        if refusal is not None:
            raise refusal
        return b"".join([self._standin.sent(name, reply) for name, reply in replies])

    async def _send(self, node: int, data: bytes) -> None:
        if node not in self._nodes and node not in self._down:
            try:
                port = self._standin.nodes[node].port
                self._nodes[node] = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                self._down.add(node)
        if node not in self._down:
            self._nodes[node][1].write(data)

    async def _read(self, node: int) -> Reply:
        """A node that goes away may have carried it out."""
        if node not in self._down:
            try:
                return await read_reply(self._nodes[node][0])
            except (OSError, EOFError):
                self._down.add(node)
        return DOWN

    async def _reply(self, name: str, parts: Parts | Reply) -> Reply:
        if isinstance(parts, Reply):
            return parts
        replies = [await self._read(node) for node, _, _ in parts]
        if failed := next((each for each in replies if each.is_error), None):
            return failed
        reply = merged(name, replies, [places for _, places, _ in parts])
        if name == "MGET" and len(reply.raw) > SPLIT_BYTES_MAX:
            raise Died(f"died of an MGET of {len(reply.raw)} bytes")
        return reply


def _requests(parser: hiredis.Reader) -> Iterator[list[bytes]]:
    """Those that are complete. Raises Refused."""
    while True:
        try:
            found = parser.gets()
        except hiredis.ProtocolError as error:
            raise Refused(f"closed for bytes that are no command: {error}") from None
        if found is False:
            return
        if not isinstance(found, list) or not all(isinstance(each, bytes) for each in found):
            raise Refused("closed for what is no array of words")
        if found:
            yield found


def _split(name: str, words: list[bytes], places: list[int]) -> Parts:
    """One part for each node that has some of the keys."""
    width = 2 if name == "MSET" else 1
    parts: Parts = []
    for node in sorted(set(places)):
        own = [number for number, place in enumerate(places) if place == node]
        items = [
            word for number in own for word in words[1 + number * width : 1 + (number + 1) * width]
        ]
        parts.append((node, own, [words[0], *items]))
    return parts
