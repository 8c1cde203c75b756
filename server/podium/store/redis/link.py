"""Connections to the nodes, and what travels over them: one pipeline per group and node.

Nothing is repeated here after an unknown outcome: the verbs' callers decide that. Redis gets a
script's digest and, where a node does not know it, its text; Dynomite always gets the text, since
it checks the place of keys for EVAL alone (dynomite.md §8).

Failures: StoreUnavailable (outcome unknown), StoreFull (nothing was written).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from redis import exceptions

from podium.store.port import StoreError, StoreFull, StoreUnavailable, Unreplicated
from podium.store.redis.abilities import ABILITIES
from podium.store.redis.clients import ANSWER_S, clients_of, node_client
from podium.store.redis.durability import LOCAL, SCRIPTS, kept_by_cluster, kept_by_one
from podium.store.redis.refusal import check_files, refusal
from podium.store.redis.revoked import Revoked, is_forbidden
from podium.store.redis.scripts import ALL

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Sequence

    from redis.asyncio.cluster import ClusterNode

    from podium.store.redis.address import Address
    from podium.store.redis.clients import Client, ClusterClient, Command, Info
    from podium.store.redis.durability import Durability
    from podium.store.redis.scripts import Script


NO_ANSWER: Final = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
GONE: Final = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.MovedError)
"""Answers after which a cluster's nodes are looked for anew."""
FLIGHTS_MAX: Final = 4
"""Pipelines under way at once: a large answer does not hold up the others."""
GROUP_CALLS_MAX: Final = 256
PART_MAX: Final = 500
"""Commands of one call that travel together: a wide fork's 10,000 would hold up the loop and the
node for seconds, heartbeats too.
"""


class Lane:
    """Calls that may travel together. Those that wait for replicas have a lane of their own: a
    stalled replica holds up no heartbeat.
    """

    def __init__(self, *, kept: bool) -> None:
        self.kept = kept
        self.waiting: list[tuple[Sequence[Command], Future[list[object]]]] = []
        self.flying = 0


class Link:
    """One server's connections."""

    def __init__(self, address: Address, durability: Durability = LOCAL) -> None:
        self._address = address
        self._durability = durability
        self._cluster = address.kind == "cluster"
        self.abilities = ABILITIES[address.kind]
        self._texts = {each.digest: each.text for each in ALL}
        self._client: Client | None = None
        self._others: list[Client] = []
        self.scripts_count = 0
        """Scripts sent, for tests and metrics."""
        self._plain, self._kept = Lane(kept=False), Lane(kept=True)
        self._revoked = Revoked(address)
        self._flights: set[asyncio.Task[None]] = set()

    @property
    def client(self) -> Client | None:
        return self._client

    def node_client(self) -> Client | None:
        """A client of one node, for the bus: the same, or a new one of a cluster's node."""
        if not self._cluster or self._client is None:
            return self._client
        node = cast("ClusterClient", self._client).get_random_node()
        return node_client(self._address, node.host, int(node.port))

    @property
    def shown(self) -> str:
        return self._address.shown

    async def told(self, *command: str) -> list[tuple[str, Info]]:
        """What each node that takes writes tells of itself, by its place."""
        if self._cluster:
            client = cast("ClusterClient", self._client)
            nodes = client.get_primaries()
            answers = [await client.execute_command(*command, target_nodes=each) for each in nodes]
            names = [each.name for each in nodes]
            return list(zip(names, cast("list[Info]", answers), strict=True))
        (answer,) = await self.answers((command,))
        if isinstance(answer, exceptions.NoPermissionError):
            raise answer  # INFO may be kept from a user
        if isinstance(answer, Exception):
            raise self._judged(answer)
        return [(self.shown, cast("Info", answer))]

    async def open(self) -> None:
        """Raises StoreUnavailable."""
        check_files(self._address)
        self._client, self._others = clients_of(self._address)
        try:
            if self._cluster:
                await cast("ClusterClient", self._client).initialize()
            else:
                await _ping(self._client)
        except NO_ANSWER as error:
            await self.close()
            raise refusal(self._address, error) from None

    async def close(self) -> None:
        client, self._client = self._client, None
        await asyncio.gather(*self._flights, return_exceptions=True)
        if client is not None:
            for each in (client, *self._others):
                await each.aclose()

    def call(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int) -> Command:
        """A script as a command."""
        if not self.abilities.digests:
            return ("EVAL", script.text, len(keys), *keys, *arguments)
        return ("EVALSHA", script.digest, len(keys), *keys, *arguments)

    async def one(self, command: Command, *, kept: bool = False) -> object:
        (answer,) = await self.send((command,), kept=kept)
        return answer

    async def send(self, commands: Sequence[Command], *, kept: bool = False) -> list[object]:
        """Answers in order. Raises where one has none; then all of them were tried, or of many all
        up to the part with that one.

        `kept` = with the durability that is set: what they wrote, and what they found.
        """
        if not commands:
            return []
        if len(commands) > PART_MAX:
            parts = [commands[at : at + PART_MAX] for at in range(0, len(commands), PART_MAX)]
            return [answer for part in parts for answer in await self.send(part, kept=kept)]
        self.scripts_count += sum(each[0] in SCRIPTS for each in commands)
        answered: Future[list[object]] = asyncio.get_running_loop().create_future()
        lane = self._kept if kept and self._durability.level == "replica" else self._plain
        lane.waiting.append((commands, answered))
        self._take_off(lane)
        answers = await answered
        again = [
            place
            for place, answer in enumerate(answers)
            if isinstance(answer, exceptions.NoScriptError)
        ]
        if again:
            texts = await self._answers([self._with_text(commands[place]) for place in again], lane)
            for place, answer in zip(again, texts, strict=True):
                answers[place] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise self._judged(answer)
        return answers

    async def answers(self, commands: Sequence[Command]) -> list[object]:
        """Of each an answer or an error, which is raised only where nobody answers at all."""
        return await self._answers(commands, self._plain)

    async def tried(
        self, commands: Sequence[Command], channel: str
    ) -> list[tuple[str, list[object], exceptions.NoPermissionError | None]]:
        """Of each node, by its place: an answer or an error of each command, and what forbids to
        listen to the channel. Raises StoreUnavailable where one does not answer.
        """
        if self._client is None:
            raise StoreUnavailable("expected an open store, found it closed")
        if not self._cluster:
            return [(self.shown, *await _tried(self._client, commands, channel))]
        nodes = cast("ClusterClient", self._client).get_nodes()
        # One after the other: the handshakes of many at once would be slow enough to fail.
        found = [(each.name, await self._tried_at(each, commands, channel)) for each in nodes]
        return [(name, *told) for name, told in found if told]

    async def _tried_at(
        self, node: ClusterNode, commands: Sequence[Command], channel: str
    ) -> tuple[list[object], exceptions.NoPermissionError | None] | None:
        """None of a replica that is gone: nothing depends on it as long as it is. Asked twice: a
        slow one would be taken for gone, and what its user lacks be missed.
        """
        for last in (False, True):
            client = node_client(self._address, node.host, int(node.port))
            try:
                return await _tried(client, commands, channel)
            except StoreUnavailable:
                if last and node.server_type != "replica":
                    raise
            finally:
                await client.aclose()
        return None

    def _take_off(self, lane: Lane) -> None:
        """What waits at the end of this loop turn travels together, FLIGHTS_MAX times at once."""
        if lane.waiting and lane.flying < FLIGHTS_MAX:
            lane.flying += 1
            flight = asyncio.get_running_loop().create_task(self._fly(lane))
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    async def _fly(self, lane: Lane) -> None:
        try:
            group = lane.waiting[:GROUP_CALLS_MAX]
            del lane.waiting[:GROUP_CALLS_MAX]
            commands = [each for part, _ in group for each in part]
            answers: list[object]
            try:
                answers = await self._answers(commands, lane)
            except StoreError as error:
                answers = [error] * len(commands)
            first = 0
            for part, answered in group:
                if not answered.done():  # else its caller went away
                    answered.set_result(answers[first : first + len(part)])
                first += len(part)
        finally:
            lane.flying -= 1
            self._take_off(lane)

    async def _answers(self, commands: Sequence[Command], lane: Lane) -> list[object]:
        """Of each an answer or an error."""
        if self._client is None:
            raise StoreUnavailable("expected an open store, found it closed")
        if not commands:
            return []
        try:
            answers = await self._carry(self._client, commands, lane)
        except NO_ANSWER as error:
            await self._look_again(error)
            raise self._judged(error) from None
        for answer in answers:
            if isinstance(answer, GONE):
                await self._look_again(answer)
                break
        return answers

    async def _carry(self, client: Client, commands: Sequence[Command], lane: Lane) -> list[object]:
        if lane.kept and self._cluster:
            return await kept_by_cluster(cast("ClusterClient", client), commands, self._durability)
        if lane.kept:
            return await kept_by_one(client, commands, self._durability)
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)

    async def _look_again(self, error: Exception) -> None:
        """A cluster's nodes may have changed places: they are asked at the next call."""
        if self._cluster and self._client is not None and not isinstance(error, _OUT_OF_MEMORY):
            await self._client.aclose()

    def _judged(self, error: Exception) -> Exception:
        """As the store's own."""
        return self._revoked.judged(error) if is_forbidden(error) else _told(error)

    def _with_text(self, command: Command) -> Command:
        """Nothing ran: the node did not know the digest."""
        return ("EVAL", self._texts[str(command[1])], *command[2:])


_OUT_OF_MEMORY: Final = exceptions.OutOfMemoryError


def _told(error: Exception) -> Exception:
    if isinstance(error, StoreError):
        return error
    if isinstance(error, _OUT_OF_MEMORY):
        return StoreFull("expected memory for the write, found Redis at its maxmemory")
    if isinstance(error, exceptions.ResponseError) and "NOREPLICAS" in str(error):
        return Unreplicated("expected replicas that keep up, found Redis without them")
    if isinstance(error, exceptions.ResponseError) and not _passing(error):
        return error  # a fault of ours: it must be seen
    return unavailable(error)


_MOVING: Final = (
    exceptions.AskError,  # MovedError is one
    exceptions.ClusterDownError,  # MasterDownError is one
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)
"""Answers whose first word redis-py has taken off: the slot is on its way, or nobody serves it."""


def _passing(error: exceptions.ResponseError) -> bool:
    """Whether a later try may succeed."""
    if isinstance(error, _MOVING):
        return True
    words = str(error).partition(" ")[0]
    return words in {"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF"} or (
        "Dynomite" in str(error) or "Storage" in str(error)
    )


def unavailable(error: Exception) -> StoreUnavailable:
    """Without addresses and arguments: it may reach a client."""
    return StoreUnavailable(f"expected the store to answer, found {type(error).__name__}")


async def _tried(
    client: Client, commands: Sequence[Command], channel: str
) -> tuple[list[object], exceptions.NoPermissionError | None]:
    """At one node; see Link.tried."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[object] = []
    heard = client.pubsub()
    try:
        answers = await pipeline.execute(raise_on_error=False)
        await heard.subscribe(channel.encode())
        await heard.get_message(timeout=ANSWER_S)
    except exceptions.NoPermissionError as error:
        return answers, error
    except NO_ANSWER as error:
        raise unavailable(error) from None
    finally:
        await heard.aclose()
    return answers, None


async def _ping(client: Client) -> None:
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("PING")
    await pipeline.execute(raise_on_error=True)
