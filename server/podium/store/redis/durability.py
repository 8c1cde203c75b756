"""What an acknowledgement waits for, and the wait for replicas: one WAIT for a node's part of a
pipeline, on its connection.

`local` = the node has it (its append-only file survives the process), `fsync` = its disk has it
too, `replica` = so many replicas have it too. WAIT tells a number and undoes nothing: where it is
too small, what was written stays, and its fate is unknown until it is asked for again.

A script that finds something in its way (an equal key, another version) writes nothing, and Redis
from 7.2 on waits for the last write of a connection alone; what it found may be another
connection's, and in no replica yet. So a small write precedes each WAIT.

Failures: Unreplicated in the place of answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import msgspec

from podium.store.port import Unreplicated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio.cluster import ClusterNode

    from podium.store.redis.clients import Client, ClusterClient, ClusterPipeline, Command

Level: TypeAlias = Literal["local", "fsync", "replica"]
SCRIPTS: Final = frozenset({"EVAL", "EVALSHA"})


class Durability(msgspec.Struct, frozen=True):
    """`replicas` and `wait_ms` are of the level `replica`: how many, and how long at most."""

    level: Level = "local"
    replicas: int = 1
    wait_ms: int = 1_000


LOCAL: Final = Durability()


async def kept_by_one(
    client: Client, commands: Sequence[Command], wanted: Durability
) -> list[object]:
    """Of each command an answer or an error, from the one node that there is."""
    pipeline = client.pipeline(transaction=False)
    for command in (*commands, *_end(commands[0], wanted)):
        pipeline.execute_command(*command)
    return _judged(await pipeline.execute(raise_on_error=False), wanted)


async def kept_by_cluster(
    client: ClusterClient, commands: Sequence[Command], wanted: Durability
) -> list[object]:
    """As kept_by_one, each node for its part.

    Redirections are errors here: redis-py would follow them over other connections, past the WAIT.
    """
    await client.initialize()
    parts: dict[str, tuple[ClusterNode, list[int]]] = {}
    for place, command in enumerate(commands):
        node = client.get_node_from_key(_key(command))
        parts.setdefault(node.name, (node, []))[1].append(place)
    pipeline = cast("ClusterPipeline", client.pipeline(transaction=False))
    for node, places in parts.values():
        own = [commands[place] for place in places]
        for command in (*own, *_end(own[0], wanted)):
            pipeline.execute_command(*command, target_nodes=node)
    told = await pipeline.execute(raise_on_error=False, allow_redirections=False)
    answers: list[object] = [None] * len(commands)
    first = 0
    for _, places in parts.values():
        last = first + len(places) + 2
        for place, answer in zip(places, _judged(told[first:last], wanted), strict=True):
            answers[place] = answer
        first = last
    return answers


def _key(command: Command) -> str:
    """The first one."""
    return str(command[3 if command[0] in SCRIPTS else 1])


def _end(command: Command, wanted: Durability) -> tuple[Command, Command]:
    """The small write, to a key that lies where the command's lie, and the wait."""
    key = _key(command)
    touched = f"{key[: key.index('}') + 1]}kept"
    return ("SET", touched, ""), ("WAIT", wanted.replicas, wanted.wait_ms)


def _judged(answers: Sequence[object], wanted: Durability) -> list[object]:
    """The commands' own answers, where enough replicas have what they stand for."""
    *own, touched, count = answers
    found = count if isinstance(count, int) and not isinstance(touched, Exception) else 0
    if found >= wanted.replicas:
        return own
    lack = Unreplicated(
        f"expected {wanted.replicas} replicas to have it within {wanted.wait_ms} ms, found {found}"
    )
    return [each if isinstance(each, Exception) else lack for each in own]
