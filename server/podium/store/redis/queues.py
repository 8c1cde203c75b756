"""Queues: claims, waiting servers, limits. What a queue says is checked against its partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from podium.model.queue import Queue, Ready
from podium.store.port import Assigned, Claim, Waiting, WantResult
from podium.store.queue_view import POLL_DATA_MS
from podium.store.redis.keys import execution_of
from podium.store.redis.scripts import (
    ADMIT,
    FREE,
    LEAVE,
    POLLED,
    PUSH,
    RELEASE,
    SEEN,
    SETTLE,
    UNCLAIM,
    WANT,
)
from podium.store.redis.types import TypeNotes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.model.queue import LeaseKind, Limits
    from podium.store.port import PushResult, Release, Settle
    from podium.store.redis.clients import Command
    from podium.store.redis.keys import Keys
    from podium.store.redis.link import Link

READY: Final = msgspec.msgpack.Decoder(Ready)
KINDS: Final[tuple[LeaseKind, ...]] = ("stream", "poll")
NOTED_MAX: Final = 100_000
DOMAINS_TRIES: Final = 5


class Queues(TypeNotes):
    """Part of the Redis store; see store/port.py."""

    def __init__(self, link: Link, keys: Keys) -> None:
        super().__init__(link, keys)
        self._noted: set[tuple[str, Queue]] = set()
        """Wishes that `forget` will find."""
        self._claimants: dict[str, str] = {}
        """Task → which call of this store claimed it, until it is settled or unclaimed."""
        self._life = ""
        """Names this store among all that ever opened."""
        self._calls = 0
        self._domains: dict[str, tuple[str, ...]] = {}

    async def push_assign(self, pushes: Sequence[Ready]) -> list[PushResult]:
        await self.note_types(each.queue for each in pushes)
        claimant = self._claimant()
        answers = await self._link.send([self._push(each, claimant) for each in pushes])
        return [
            self._claimed_by(claimant, _pushed(each.queue, answer))
            for each, answer in zip(pushes, answers, strict=True)
        ]

    def _push(self, ready: Ready, claimant: str) -> Command:
        return self._link.call(
            PUSH,
            self._queue_keys(ready.queue),
            *self._limits(ready.limits),
            claimant,
            ready.queue.domain,
            ready.task_id,
            ready.score,
        )

    async def want(
        self, server: str, queue: Queue, count: int, *, kind: LeaseKind, limits: Limits
    ) -> WantResult:
        if count and (server, queue) not in self._noted:
            await self.note_types((queue,))
            await self._link.one(("SADD", self._keys.wishes(server), _packed(queue)))
            if len(self._noted) > NOTED_MAX:
                self._noted.clear()
            self._noted.add((server, queue))
        claimant = self._claimant()
        answer = await self._link.one(
            self._link.call(
                WANT,
                self._queue_keys(queue),
                *self._limits(limits),
                claimant,
                queue.domain,
                f"{server}\0{kind}",
                count,
            )
        )
        backlog, at_ms, *flat = cast("list[bytes]", answer)
        claims = tuple(
            Claim(task_id.decode(), int(score))
            for task_id, score in zip(flat[::2], flat[1::2], strict=True)
        )
        self._note(claimant, [each.task_id for each in claims])
        return WantResult(claims, bool(backlog), int(at_ms))

    async def admit(self, task_id: str, queue: Queue, limits: Limits) -> bool:
        claimant = self._claimant()
        arguments = (*self._limits(limits), claimant, queue.domain, task_id)
        call = self._link.call(ADMIT, self._queue_keys(queue), *arguments)
        admitted = bool(await self._link.one(call))
        if admitted:
            self._note(claimant, [task_id])
        return admitted

    async def settle(self, settles: Sequence[Settle]) -> None:
        """A slot that was released meanwhile is not kept: its partition is asked afterwards."""
        by_type: dict[str, list[str]] = {}
        for each in settles:
            claimant = self._claimants.pop(each.task_id, "")
            told = by_type.setdefault(each.queue.task_type, [])
            told += (each.task_id, "1" if each.hold else "0", claimant)
        await self._link.send(
            [
                self._link.call(SETTLE, self._flights(Queue(task_type)), *told)
                for task_type, told in by_type.items()
            ]
        )
        held = [each for each in settles if each.hold]
        present = await self._link.send([self._slot(each.task_id) for each in held])
        await self._link.send(
            [
                self._link.call(FREE, self._flights(each.queue)[:1], each.task_id)
                for each, there in zip(held, present, strict=True)
                if not there
            ]
        )

    async def unclaim(self, task_id: str, queue: Queue) -> None:
        ready_key = self._keys.part_of(execution_of(task_id), "ready")
        stored, slotted = await self._link.send((("HGET", ready_key, task_id), self._slot(task_id)))
        score: str | int = ""
        if isinstance(stored, bytes):
            ready = READY.decode(stored)
            queue, score = ready.queue, ready.score
        await self._unclaim(task_id, queue, score, slotted=bool(slotted))

    async def set_aside(self, task_id: str, queue: Queue) -> None:
        [slotted] = await self._link.send([self._slot(task_id)])
        await self._unclaim(task_id, queue, "", slotted=bool(slotted))

    async def _unclaim(
        self, task_id: str, queue: Queue, score: str | int, *, slotted: bool
    ) -> None:
        """Back to its place where a score is given."""
        keys = [*self._flights(queue), self._keys.queue(queue, "r")]
        slot = "1" if slotted else "0"
        claimant = self._claimants.pop(task_id, "")
        await self._link.one(self._link.call(UNCLAIM, keys, task_id, score, slot, claimant))

    async def leave(self, ended: Sequence[Ready]) -> None:
        by_queue: dict[Queue, list[str | int]] = {}
        for each in ended:
            by_queue.setdefault(each.queue, []).extend((each.task_id, each.score))
        await self._link.send(
            [
                self._link.call(LEAVE, [self._keys.queue(queue, "r")], *told)
                for queue, told in by_queue.items()
            ]
        )

    async def release(self, releases: Sequence[Release]) -> list[PushResult | None]:
        slots = await self._link.send([self._slot(each.task_id) for each in releases])
        free = ["0" if there else "1" for there in slots]
        claimant = self._claimant()
        answers = await self._link.send(
            [
                self._release(each, is_free, claimant)
                for each, is_free in zip(releases, free, strict=True)
            ]
        )
        results: list[PushResult | None] = []
        for each, is_free, answer in zip(releases, free, answers, strict=True):
            told = cast("list[bytes]", answer)
            for _ in range(DOMAINS_TRIES):
                if not told or told[0] != b"domains":
                    break
                self._domains[each.queue.task_type] = tuple(name.decode() for name in told[1:])
                again = await self._link.one(self._release(each, is_free, claimant))
                told = cast("list[bytes]", again)
            pushed = _pushed(each.queue, told) if told else None
            results.append(pushed and self._claimed_by(claimant, pushed))
        return results

    def _release(self, release: Release, is_free: str, claimant: str) -> Command:
        task_type = release.queue.task_type
        domains = self._domains.get(task_type, ())
        keys = [self._keys.type(task_type, name) for name in ("f", "c", "lim", "d")]
        for domain in domains:
            queue = Queue(task_type, domain)
            keys.extend(self._keys.queue(queue, name) for name in ("r", "w", "s"))
        return self._link.call(
            RELEASE,
            keys,
            *self._limits(release.limits),
            claimant,
            release.task_id,
            is_free,
            *domains,
        )

    async def queue_size(self, queue: Queue) -> int:
        claims = self._keys.type(queue.task_type, "c")
        placed, flying = await self._link.send(
            (("ZCARD", self._keys.queue(queue, "r")), ("HVALS", claims))
        )
        domain = queue.domain.encode()
        claimed = [each.split(b"\0")[1] for each in cast("list[bytes]", flying)]
        return cast("int", placed) + claimed.count(domain)

    async def poll_seen(self, queue: Queue, worker_id: str) -> None:
        await self.note_types((queue,))
        key = self._keys.type(queue.task_type, "p")
        field = f"{queue.domain}\0{worker_id}"
        await self._link.one(self._link.call(SEEN, [key], self.now(), field))

    async def poll_data(self, task_type: str) -> dict[tuple[str, str], int]:
        key = self._keys.type(task_type, "p")
        call = self._link.call(POLLED, [key], self.now(), POLL_DATA_MS)
        flat = cast("list[bytes]", await self._link.one(call))
        seen: dict[tuple[str, str], int] = {}
        for name, at_ms in zip(flat[::2], flat[1::2], strict=True):
            domain, _, worker_id = name.decode().partition("\0")
            seen[domain, worker_id] = int(at_ms)
        return seen

    async def forget_wishes(self, server: str) -> None:
        """A member that left waits for nothing."""
        key = self._keys.wishes(server)
        found = cast("set[bytes]", await self._link.one(("SMEMBERS", key)))
        queues = [_unpacked(each) for each in found]
        wishes = [f"{server}\0{kind}" for kind in KINDS]
        commands: list[Command] = []
        for queue in queues:
            commands.append(("HDEL", self._keys.queue(queue, "w"), *wishes))
            commands.append(("ZREM", self._keys.queue(queue, "s"), *wishes))
        await self._link.send(commands)
        await self._link.one(("DEL", key))
        self.note_wishes_again(server)

    def note_wishes_again(self, server: str) -> None:
        """Whoever forgot the server has thrown away where its wishes are."""
        self._noted = {each for each in self._noted if each[0] != server}

    def _claimant(self) -> str:
        """Names one call."""
        self._calls += 1
        return f"{self._life}.{self._calls}"

    def _claimed_by(self, claimant: str, result: PushResult) -> PushResult:
        if isinstance(result, Assigned):
            self._note(claimant, [result.task_id])
        return result

    def _note(self, claimant: str, task_ids: Sequence[str]) -> None:
        """A claim whose end nobody told is over after CLAIM_MS by itself."""
        if len(self._claimants) > NOTED_MAX:
            self._claimants.clear()
        self._claimants.update(dict.fromkeys(task_ids, claimant))

    def _queue_keys(self, queue: Queue) -> list[str]:
        """f c lim d r w s."""
        keys = [self._keys.type(queue.task_type, name) for name in ("f", "c", "lim", "d")]
        keys.extend(self._keys.queue(queue, name) for name in ("r", "w", "s"))
        return keys

    def _flights(self, queue: Queue) -> list[str]:
        return [self._keys.type(queue.task_type, name) for name in ("f", "c")]

    def _slot(self, task_id: str) -> Command:
        return ("HEXISTS", self._keys.part_of(execution_of(task_id), "slot"), task_id)

    def _limits(self, limits: Limits) -> tuple[str | int, int, int, int]:
        return self.now(), limits.concurrent, limits.rate, limits.rate_window_ms


def _pushed(queue: Queue, answer: object) -> PushResult:
    """Of push.lua."""
    what, *told = cast("list[bytes]", answer)
    if what == b"backlog":
        return Waiting("backlog")
    if what == b"limited":
        return Waiting("limited", int(told[0]))
    if what == b"flight":
        return Waiting("in_flight", int(told[0]))
    task_id, score, wish, domain = told
    server, _, kind = wish.decode().partition("\0")
    place = Queue(queue.task_type, domain.decode())
    return Assigned(task_id.decode(), place, server, cast("LeaseKind", kind), int(score))


def _packed(queue: Queue) -> bytes:
    return msgspec.msgpack.encode(queue)


def _unpacked(data: bytes) -> Queue:
    return msgspec.msgpack.decode(data, type=Queue)
