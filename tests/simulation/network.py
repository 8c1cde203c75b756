"""Links in memory between SDK workers and servers, as a gRPC stream behaves: ordered, or broken.

A wire may be cut (frames in flight are lost), fall silent in one direction (half-open), or be slow.
A doubled result is a result that the worker sends again, as it may.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from podium.api.frames import server_message_of, worker_frame_of
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.runtime.link import LinkBroken
from podium.v1 import worker_pb2 as pb
from podium_worker import ConnectionLost

if TYPE_CHECKING:
    from random import Random

    from podium.protocol.frame import ServerFrame, WorkerFrame
    from podium.protocol.problem import EndCode
    from tests.simulation.checkers import Checker
    from tests.simulation.scene import Scene

LATE_MS = 3_000
Item = TypeVar("Item")


class Lane(Generic[Item]):
    """One direction: frames arrive in order, each after a latency."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._arrived: deque[Item | None] = deque()
        self._some = asyncio.Event()
        self._last_s = 0.0
        self.muted = False

    def put(self, item: Item | None) -> None:
        """None = the end of this direction."""
        if self.muted:
            return
        loop = asyncio.get_running_loop()
        self._last_s = max(self._last_s, loop.time() + self._wire.latency_s())
        loop.call_at(self._last_s, self._arrive, item)

    def _arrive(self, item: Item | None) -> None:
        if not self._wire.broken:
            self._arrived.append(item)
            self._some.set()

    def wake(self) -> None:
        self._some.set()

    async def get(self) -> Item | None:
        """The next frame. Raises LinkBroken."""
        while not self._arrived and not self._wire.broken:
            self._some.clear()
            await self._some.wait()
        if self._wire.broken:
            raise LinkBroken
        return self._arrived.popleft()


class Wire:
    """One stream."""

    def __init__(self, scene: Scene, random: Random, name: str) -> None:
        self.swarm = scene.swarm
        self.random = random
        self.name = name
        self._scene = scene
        self.broken = False
        self.reason: tuple[str, str] = ("UNAVAILABLE", "the stream was cut")
        self.up: Lane[pb.WorkerFrame] = Lane(self)
        self.down: Lane[pb.ServerFrame] = Lane(self)

    def latency_s(self) -> float:
        late = self.happens("frame delayed", self.swarm.frame_late)
        most_ms = self.swarm.latency_ms_max
        return (self.random.uniform(0, most_ms) + (LATE_MS if late else 0)) / 1000

    def happens(self, kind: str, probability: float) -> bool:
        return self._scene.happens(kind, probability, self.random, self.name)

    def tick(self) -> None:
        """Each frame may cut the wire, or silence a direction of it."""
        if self.happens("frames lost with a cut stream", self.swarm.stream_cut):
            self.cut()
        elif self.happens("half-open stream", self.swarm.muted):
            self.random.choice([self.up, self.down]).muted = True

    def cut(self) -> None:
        self.broken = True
        self.up.wake()
        self.down.wake()


class ServerEnd:
    """runtime.link.Link."""

    def __init__(self, wire: Wire, checker: Checker, server: str) -> None:
        self._wire = wire
        self._checker = checker
        self._server = server

    async def receive(self) -> WorkerFrame | None:
        message = await self._wire.up.get()
        return None if message is None else worker_frame_of(message, PAYLOAD_BYTES_LIMIT)

    async def send(self, frame: ServerFrame) -> None:
        if self._wire.broken:
            raise LinkBroken
        self._checker.sent(self._server, frame)
        self._wire.down.put(server_message_of(frame))
        self._wire.tick()

    def close(self, code: EndCode, text: str) -> None:
        self._wire.reason = (code, text)
        self._wire.down.put(None)


class WorkerEnd:
    """podium_worker.Connection."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def send(self, frame: pb.WorkerFrame) -> None:
        wire = self._wire
        if wire.broken:
            raise ConnectionLost(*wire.reason)
        wire.up.put(frame)
        if frame.results and wire.happens("result doubled", wire.swarm.result_doubled):
            wire.up.put(pb.WorkerFrame(results=frame.results))
        wire.tick()

    async def receive(self) -> pb.ServerFrame | None:
        try:
            message = await self._wire.down.get()
        except LinkBroken:
            raise ConnectionLost(*self._wire.reason) from None
        if message is None and self._wire.reason[0] != "OK":
            raise ConnectionLost(*self._wire.reason)
        return message

    async def half_close(self) -> None:
        if not self._wire.broken:
            self._wire.up.put(None)

    def close(self) -> None:
        self._wire.cut()


class Server(Protocol):
    """What a worker connects to."""

    @property
    def name(self) -> str: ...

    def accept(self, wire: Wire) -> None: ...


class Servers(Protocol):
    """Where a worker finds one."""

    def some(self, random: Random) -> Server | None: ...


class SimTransport:
    """podium_worker.Transport: connects to some server that is up."""

    def __init__(self, scene: Scene, nodes: Servers, random: Random, name: str) -> None:
        self._scene = scene
        self._nodes = nodes
        self._random = random
        self._name = name
        self.wires: list[Wire] = []

    async def connect(self, *, elsewhere: bool = False) -> WorkerEnd:
        del elsewhere  # every server is as likely as any
        await asyncio.sleep(self._random.uniform(0, self._scene.swarm.latency_ms_max) / 1000)
        node = self._nodes.some(self._random)
        if node is None:
            raise ConnectionLost("UNAVAILABLE", "no server is up")
        wire = Wire(self._scene, self._random, self._name)
        self.wires = [each for each in self.wires if not each.broken]
        self.wires.append(wire)
        node.accept(wire)
        self._scene.note(self._name, f"connects to {node.name}")
        return WorkerEnd(wire)

    async def close(self) -> None:
        for wire in self.wires:
            wire.cut()
