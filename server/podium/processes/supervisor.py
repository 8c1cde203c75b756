"""`podium serve --processes N`: one supervisor, N server processes on one gRPC port.

Each process is a full member, exactly as a server on another machine would be: they share the port
(SO_REUSEPORT, the kernel spreads connections) and the store, nothing else. The supervisor serves
nothing. It holds the port, restarts who dies, ends all, and tells who has more than its share of
the worker streams to send some away.

HTTP: process k listens on the port of `--http` plus k. Counters, histograms and health belong to
one process; one port that leads to any of them would show each scrape another, and one that adds
them up would hide which process is ill.

Failures: CannotServe.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import uvloop

from podium.config import read_listen
from podium.place import CannotServe, ListenPlace
from podium.processes.child import Child
from podium.processes.share import excess
from podium.processes.tie import announce
from podium.runtime.clock import SystemClock
from podium.stores import MEMORY, SQLITE
from podium.telemetry.log_line import begin_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.config import Settings

LOG = logging.getLogger("podium.processes")
PROGRAM: Final = (sys.executable, "-m", "podium.cli.main")
BALANCE_MS: Final = 2_000
"""A stream that was sent away is somewhere again by then."""


def supervise(settings: Settings, words: Sequence[str]) -> int:
    """Until SIGTERM or SIGINT; answers the exit code. Raises CannotServe.

    `words` are the command line of each process without where it listens.
    """
    begin_log(settings.log)
    refuse_single(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Supervisor(settings, words).run())


def refuse_single(settings: Settings) -> None:
    """Raises CannotServe."""
    url, count = settings.store.url, settings.grpc.processes
    if url == MEMORY or url.startswith(SQLITE):
        kind = url.partition(":")[0]
        raise CannotServe(
            f"grpc.processes: expected 1 with {url}, found {count}: a {kind} store belongs to one"
            " process. Use a store that several share, such as --store redis://HOST:PORT"
        )


class Supervisor:
    """The processes and the order of their life."""

    def __init__(self, settings: Settings, words: Sequence[str]) -> None:
        self._settings = settings
        self._words = tuple(words)
        self._place = ListenPlace("grpc", "grpc.listen", settings.grpc.listen)
        self._clock = SystemClock()
        self._grpc = ""
        self._children: list[Child] = []

    async def run(self) -> int:
        """The exit code. Raises CannotServe."""
        over = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, over.set)
        self._place.probe()
        with hold_port(self._place) as port:
            self._grpc = self._place.with_port(port.getsockname()[1])
            self._children = [
                Child(number, http=http, command=self._command, clock=self._clock)
                for number, http in enumerate(self._http_places())
            ]
            try:
                if await self._start(over):
                    await self._stay(over)
            finally:
                codes = await asyncio.gather(*(child.end() for child in self._children))
        return int(any(codes))

    def _http_places(self) -> list[str]:
        """Where each process serves HTTP; a port of 0 is any."""
        listen, count = self._settings.gateway.listen, self._settings.grpc.processes
        if not listen:
            return [""] * count
        host, port = read_listen(listen)
        return [f"{host}:{port + number if port else 0}" for number in range(count)]

    def _command(self, http: str) -> Sequence[str]:
        return (*PROGRAM, *self._words, "--grpc", self._grpc, "--http", http, "--supervised")

    async def _start(self, over: asyncio.Event) -> bool:
        """Whether all serve. The first one alone: what is wrong with the settings is said once."""
        first, *others = self._children
        return await self._all_serve([first], over) and await self._all_serve(others, over)

    async def _all_serve(self, children: Sequence[Child], over: asyncio.Event) -> bool:
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(over.wait())
            starting = group.create_task(_start_all(children))
            await asyncio.wait((ended, starting), return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            starting.cancel()
        if starting.cancelled():
            return False
        if (problem := starting.result()) is not None:
            raise problem
        return True

    async def _stay(self, over: asyncio.Event) -> None:
        self._say_serving()
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(child.stay()) for child in self._children]
            parts.append(group.create_task(self._balance()))
            await over.wait()
            LOG.info("no new calls and tasks", extra={"event": "stopping"})
            for each in parts:
                each.cancel()

    def _say_serving(self) -> None:
        processes = [
            {"process_id": child.process_id, "http": child.http} for child in self._children
        ]
        places = {"grpc": self._grpc, "http": self._children[0].http}
        said = {name: place for name, place in places.items() if place}
        announce(event="serving", **said, store=self._settings.store.url, processes=processes)
        LOG.info("calls are accepted", extra={"event": "serving", **said})

    async def _balance(self) -> None:
        while True:
            await self._clock.sleep(BALANCE_MS)
            serving = [child for child in self._children if child.serving.is_set()]
            beyond = excess([child.streams for child in serving])
            for child, count in zip(serving, beyond, strict=True):
                if count:
                    child.tell(away=count)


async def _start_all(children: Sequence[Child]) -> CannotServe | None:
    """Until they serve, or one cannot."""
    try:
        await asyncio.gather(*(child.start() for child in children))
    except CannotServe as problem:
        return problem
    return None


def hold_port(place: ListenPlace) -> socket.socket:
    """The port, free one or not, bound and not listened on: it stays ours while processes come and
    go. Raises CannotServe.
    """
    family, kind, protocol, _, address = place.address()
    held = socket.socket(family, kind, protocol)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError as problem:
        held.close()
        raise place.refusal(problem.strerror or "no such address") from None
    return held
