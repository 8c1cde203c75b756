"""Deciding the letters of a mailbox and committing what comes of it.

Path of a command: (load) → decide, pure → one commit → replies, hand-outs, deadlines, effects. A
conflict drops the cached entry, reads the store and decides again; an answer of the store that was
lost is looked for first. It never gives up, except that a client's command is refused when the
store is full, and that a decision which raises five times fails its command.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from podium.engine.command import GrantLease, Outcome, Rejected, Start, Verdict
from podium.engine.decide import decide
from podium.runtime.clock import spawn
from podium.runtime.letter import (
    AlreadyRecorded,
    DecisionFailed,
    Letter,
    Parked,
    Tombstoned,
    UnknownExecution,
    answer_unknown,
    reply_all,
)
from podium.runtime.mailbox import Mailbox, Work, unborn
from podium.store import codec
from podium.store.port import Committed, Conflict, Exists, StoreError, StoreFull

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from podium.engine.draft import Draft
    from podium.engine.transition import Answer, Need, Transition
    from podium.runtime.answers import Answers
    from podium.runtime.cache import Cache, Entry
    from podium.runtime.clock import Clock, Ids
    from podium.runtime.committer import Committer
    from podium.runtime.loading import Loader
    from podium.runtime.mailbox import Aftermath
    from podium.runtime.parking import Parking
    from podium.runtime.progress import Progress
    from podium.store.port import CommitResult

T = TypeVar("T")
LOG = logging.getLogger("podium.executor")
RAISES_MAX: Final = 5
CONFLICT_WAIT_MS: Final = 4
CONFLICT_WAIT_DOUBLINGS: Final = 6
RETRY_WAIT_MS: Final = 50
RETRY_WAIT_MS_MAX: Final = 2_000


class Deciding:
    """Takes a mailbox with letters (`begin`), calls `released` when it is free again.

    `drafts` makes a draft of what is stored, knowing this server;
    `aftermath`, `progress` and `released` are set before the first letter.
    """

    def __init__(  # noqa: PLR0913 - all by name, each a port or a fact of this server
        self,
        *,
        loader: Loader,
        committer: Committer,
        cache: Cache,
        clock: Clock,
        ids: Ids,
        answers: Answers,
        parking: Parking,
        drafts: Callable[..., Draft],
        incarnation: str,
        shared: bool,
    ) -> None:
        self._drafts = drafts
        self._answers = answers
        self._parking = parking
        self._loader = loader
        self._committer = committer
        self._cache = cache
        self._clock = clock
        self._ids = ids
        self._incarnation = incarnation
        self._shared = shared
        self._tasks: set[asyncio.Task[None]] = set()
        self.released: Callable[[Mailbox], None]
        self.aftermath: Aftermath
        self.progress: Progress
        self.conflicts = self.decisions = 0

    def begin(self, mailbox: Mailbox) -> None:
        letters, mailbox.waiting = mailbox.waiting, []
        if self._parking.holds(mailbox.workflow_id):
            self._refuse(mailbox, letters)
            return
        entry = self._cache.get(mailbox.workflow_id)
        if entry is None and mailbox.failures == 0:
            entry = unborn(letters)
        if entry is None:
            spawn(self._tasks, self._load_and_go(mailbox, letters))
            return
        fresh = not self._shared or entry.version == 0
        self._go(mailbox, self._work(mailbox, entry, letters, fresh=fresh))

    def stop(self) -> None:
        """Drop what is under way."""
        for task in list(self._tasks):
            task.cancel()

    async def _load_and_go(self, mailbox: Mailbox, letters: list[Letter]) -> None:
        try:
            commands = [letter.command for letter in letters]
            load = partial(self._loader.load_kept, mailbox.workflow_id, commands)
            entry = await self._asked(mailbox, letters, load)
        except Exception as error:  # noqa: BLE001 - what is stored cannot be read: its own harm
            self._blame(mailbox, letters, letters[0], error)
            return
        if entry is None:
            entry = unborn(letters)
        if entry is None:
            reply_all(letters, UnknownExecution(mailbox.workflow_id))
            self.released(mailbox)
            return
        self._go(mailbox, self._work(mailbox, entry, letters, fresh=True))

    async def _asked(
        self, mailbox: Mailbox, letters: list[Letter], ask: Callable[[], Awaitable[T]]
    ) -> T:
        """What the store says, when it does."""
        while True:
            try:
                return await ask()
            except StoreError as error:
                answer_unknown(letters, error)
                await self._wait_for_store(mailbox)

    def _work(self, mailbox: Mailbox, entry: Entry, letters: list[Letter], *, fresh: bool) -> Work:
        draft = self._drafts(
            header=entry.header,
            graph=entry.graph,
            workflow_id=mailbox.workflow_id,
            records=entry.records,
        )
        return Work(entry, letters, draft, fresh=fresh)

    def _go(self, mailbox: Mailbox, work: Work) -> None:
        """Drive the work as far as it goes without waiting; the rest in a task."""
        try:
            need = self._advance(work, None)
        except Exception as error:  # noqa: BLE001 - it harms only its own execution
            self._raised(mailbox, work, error)
            return
        if need is None:
            self._commit(mailbox, work)
        else:
            spawn(self._tasks, self._fetch_and_go(mailbox, work, need))

    async def _fetch_and_go(self, mailbox: Mailbox, work: Work, need: Need | None) -> None:
        while need is not None:
            try:
                answer = await self._answers.answer(mailbox, work, need)
                if answer is None:  # the stored version moved on: start over
                    self._again(mailbox, work)
                    return
                need = self._advance(work, answer)
            except StoreError:
                await self._wait_for_store(mailbox)
            except Exception as error:  # noqa: BLE001 - it harms only its own execution
                self._raised(mailbox, work, error)
                return
        self._commit(mailbox, work)

    def _unadmit(self, work: Work) -> None:
        """The execution is not created: its slot is free again."""
        if work.admitted is not None:
            spawn(self._tasks, self._answers.unadmit(work.admitted))
            work.admitted = None

    def _advance(self, work: Work, answer: Answer | None) -> Need | None:
        """Decide letters in order, then hand-offs, until one needs what is not known here."""
        while True:
            try:
                if work.generator is None and not self._next_step(work):
                    return None
                assert work.generator is not None
                if answer is None:
                    return next(work.generator)
                return work.generator.send(answer)
            except StopIteration as done:
                self._decided(work, done.value)
            except Rejected as rejected:
                self._decided(work, rejected)
            answer = None

    def _next_step(self, work: Work) -> bool:
        """Begin the next letter or hand-off; False when there is none."""
        while len(work.decided) < len(work.letters):
            letter = work.letters[len(work.decided)]
            if isinstance(letter.command, Start) and work.draft.header is not None:
                work.decided.append((letter, Outcome(Verdict.NOOP)))
                continue
            work.generator = decide(work.draft, letter.command, self._clock.now_ms())
            return True
        if work.offers is None:
            work.offers = list(reversed(work.draft.fresh_ready()))
        while work.offers:
            ready = work.offers.pop()
            work.seat = seat = self.aftermath.reserve(ready)
            if seat is not None:
                command = GrantLease(
                    task_id=ready.task_id, lease=seat.lease, worker_id=seat.worker_id
                )
                work.generator = decide(work.draft, command, self._clock.now_ms())
                return True
        return False

    def _decided(self, work: Work, outcome: Outcome | Rejected) -> None:
        work.generator = None
        if work.seat is None:
            work.decided.append((work.letters[len(work.decided)], outcome))
            self.decisions += 1
            return
        assert isinstance(outcome, Outcome), outcome  # a task of this draft can be granted
        work.seats.append((work.seat, outcome))
        work.seat = None

    def _raised(self, mailbox: Mailbox, work: Work, error: Exception) -> None:
        """decide raised: nothing of the draft is kept; the letter at fault is tried a few times."""
        work.give_back()
        guilty = work.letters[min(len(work.decided), len(work.letters) - 1)]
        self._blame(mailbox, work.letters, guilty, error)

    def _blame(
        self, mailbox: Mailbox, letters: list[Letter], guilty: Letter, error: Exception
    ) -> None:
        noted = {"event": "decide_raised", "workflow_id": mailbox.workflow_id}
        LOG.error("decide raised", extra=noted, exc_info=error)
        self._cache.drop(mailbox.workflow_id)
        guilty.raised += 1
        mailbox.failures += 1
        keep = [letter for letter in letters if letter is not guilty]
        if guilty.raised < RAISES_MAX:
            mailbox.waiting = [*keep, guilty, *mailbox.waiting]
        elif isinstance(guilty.command, Start):  # nothing is stored: there is nothing to set aside
            guilty.reply(DecisionFailed(mailbox.workflow_id), None)
            mailbox.waiting = keep + mailbox.waiting
        else:
            spawn(self._tasks, self._park(mailbox, letters, guilty, error))
            return
        self.released(mailbox)

    async def _park(
        self, mailbox: Mailbox, letters: list[Letter], guilty: Letter, error: Exception
    ) -> None:
        await self._parking.park(mailbox.workflow_id, type(guilty.command).__name__, error)
        self._refuse(mailbox, letters)

    def _refuse(self, mailbox: Mailbox, letters: list[Letter]) -> None:
        reply_all(letters, Parked(mailbox.workflow_id))
        self.released(mailbox)

    # Committing

    def _commit(self, mailbox: Mailbox, work: Work) -> None:
        try:
            actor = work.decided[0][0].actor if work.decided else ""
            transition = work.draft.finish(actor)
        except Exception as error:  # noqa: BLE001 - it harms only its own execution
            self._raised(mailbox, work, error)
            return
        if transition is None and not work.fresh:  # perhaps the cache is behind the store: look
            work.give_back()
            self._again(mailbox, work)
            return
        if transition is None:
            work.answer_all(work.entry.header, self.progress)
            self.released(mailbox)
            return
        starter = work.letters[0]
        work.commit = codec.encode_commit(
            transition,
            version=work.entry.version,
            incarnation=self._incarnation,
            idempotency=starter.idempotency if transition.created else None,
            definition=starter.definition if transition.created else None,
            stored=work.entry.records,
        )
        self._committer.put(
            work.commit, lambda result: self._settled(mailbox, work, transition, result)
        )

    def _settled(
        self,
        mailbox: Mailbox,
        work: Work,
        transition: Transition,
        result: CommitResult | StoreError,
    ) -> None:
        if isinstance(result, Committed):
            self._succeeded(mailbox, work, transition, result)
            return
        if isinstance(result, StoreError) and not isinstance(result, StoreFull):
            mailbox.failures += 1
            spawn(self._tasks, self._find_out(mailbox, work, transition, result))
            return
        work.give_back()
        self._cache.drop(mailbox.workflow_id)
        if isinstance(result, Exists):
            self._unadmit(work)
            work.letters[0].reply(AlreadyRecorded(result.workflow_id), None)
            work.letters.pop(0)
            self._again(mailbox, work)
        elif isinstance(result, Conflict):
            self._conflicted(mailbox, work, result)
        else:
            self._store_full(mailbox, work, result)

    def _succeeded(
        self, mailbox: Mailbox, work: Work, transition: Transition, result: Committed
    ) -> None:
        mailbox.succeeded()
        self.progress.committed(work.entry.header, transition)
        work.entry.apply(transition, result.version)
        work.entry.graph = work.draft.graph  # a restart may take another definition
        if transition.header.status.terminal:  # seldom decided on again: leave room for others
            self._cache.drop(mailbox.workflow_id)
        else:
            self._cache.put(mailbox.workflow_id, work.entry)
        work.answer_all(transition.header, self.progress)
        for seat, outcome in work.seats:
            assert outcome.task is not None
            seat.give(outcome.task, transition.header)
        self.aftermath.committed(transition, result, work.draft.graph)
        self.released(mailbox)

    def _conflicted(self, mailbox: Mailbox, work: Work, conflict: Conflict) -> None:
        self.conflicts += 1
        if conflict.tombstoned:
            self._unadmit(work)
            reply_all(work.letters, Tombstoned(mailbox.workflow_id))
            self.released(mailbox)
            return
        mailbox.failures += 1
        spawn(self._tasks, self._again_later(mailbox, work, self._conflict_wait_ms(mailbox)))

    def _conflict_wait_ms(self, mailbox: Mailbox) -> int:
        doublings = min(mailbox.failures - 1, CONFLICT_WAIT_DOUBLINGS)
        return 0 if doublings == 0 else self._ids.jitter(CONFLICT_WAIT_MS << doublings)

    async def _find_out(
        self, mailbox: Mailbox, work: Work, transition: Transition, error: StoreError
    ) -> None:
        """The answer was lost: look whether the commit happened, and go on from there."""
        commit, workflow_id = work.commit, mailbox.workflow_id
        assert commit is not None, workflow_id
        found = await self._asked(mailbox, work.letters, lambda: self._loader.confirm(commit))
        if isinstance(found, Committed):
            self._succeeded(mailbox, work, transition, found)
            return
        answer_unknown(work.letters, error)
        if found == "overtaken":
            await self._asked(mailbox, work.letters, lambda: self.aftermath.repair(workflow_id))
        work.give_back()
        await self._again_later(mailbox, work, self._retry_wait_ms(mailbox))

    def _store_full(self, mailbox: Mailbox, work: Work, error: StoreFull) -> None:
        for letter in [each for each in work.letters if not each.patient]:
            work.letters.remove(letter)
            letter.reply(error, None)
        if not work.letters:
            self._unadmit(work)
        mailbox.failures += 1
        spawn(self._tasks, self._again_later(mailbox, work, self._retry_wait_ms(mailbox)))

    def _retry_wait_ms(self, mailbox: Mailbox) -> int:
        wait_ms = min(RETRY_WAIT_MS << min(mailbox.failures, 8), RETRY_WAIT_MS_MAX)
        return wait_ms // 2 + self._ids.jitter(wait_ms // 2)

    async def _wait_for_store(self, mailbox: Mailbox) -> None:
        mailbox.failures += 1
        await self._clock.sleep(self._retry_wait_ms(mailbox))

    async def _again_later(self, mailbox: Mailbox, work: Work, wait_ms: int) -> None:
        if wait_ms:
            await self._clock.sleep(wait_ms)
        self._again(mailbox, work)

    def _again(self, mailbox: Mailbox, work: Work) -> None:
        mailbox.waiting = [each for each in work.letters if not each.given_up] + mailbox.waiting
        self._cache.drop(mailbox.workflow_id)
        mailbox.failures = max(mailbox.failures, 1)
        self.released(mailbox)
