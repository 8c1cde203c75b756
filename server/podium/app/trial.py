"""Trying a definition out: a real execution whose workers are mocks (S-182 to S-186).

Operators run for real (branches, joins, loops, scripts, sub-workflows); every other task gets the
next mock of its reference, as a worker's result. Nothing outside of the execution is touched
(engine/trial.py). What is open when the trial is over is terminated, and all of it stays stored.
"""

from __future__ import annotations

from collections import deque
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from podium.app.document import reference_of
from podium.app.failure import RequestUnsound, shown
from podium.app.names import require_name
from podium.app.reading import Reader
from podium.app.tree import Tree, open_tasks
from podium.app.view import ExecutionView
from podium.engine.command import Rejected, ReportResult, Terminate
from podium.engine.lifecycle import REPORTABLE
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from podium.app.services import Services
    from podium.app.start import StartRequest, StartWorkflow
    from podium.app.view import TaskView

TRIAL_MS: Final = 10_000
TRIAL_MS_MAX: Final = 600_000
MOCKS_MAX: Final = 20_000
ROUNDS_MAX: Final = 20_000
PROBLEMS_MAX: Final = 100
DEPTH_MAX: Final = 16
OPERATORS: Final = frozenset(
    {
        "DECISION",
        "DO_WHILE",
        "DYNAMIC",
        "EXCLUSIVE_JOIN",
        "FORK",
        "FORK_JOIN",
        "FORK_JOIN_DYNAMIC",
        "INLINE",
        "JOIN",
        "JSON_JQ_TRANSFORM",
        "LAMBDA",
        "NOOP",
        "SET_VARIABLE",
        "SUB_WORKFLOW",
        "SWITCH",
        "TERMINATE",
    }
)
"""Types that run for real (S-184)."""
OVER: Final = "the trial is over"


class Mock(msgspec.Struct, frozen=True):
    """What a worker would report; the output is laid over the task's."""

    status: TaskStatus = TaskStatus.COMPLETED
    output: Payload = EMPTY
    reason: str | None = None


class Mocks(msgspec.Struct, frozen=True):
    """By reference; of tasks in loops also by the reference with its iteration (`ref__2`)."""

    tasks: dict[str, tuple[Mock, ...]] = {}
    children: dict[str, Mocks] = {}
    """Of the executions that SUB_WORKFLOW tasks start."""


class Tried(msgspec.Struct, frozen=True):
    """What came of it; `problems` say why it stopped, and which mocks nobody needed."""

    view: ExecutionView
    problems: list[str]
    timed_out: bool = False


class Cast:
    """The mocks of one level, as they are used up."""

    def __init__(self, mocks: Mocks, path: str = "") -> None:
        self._path = path
        self._left = {reference: deque(some) for reference, some in mocks.tasks.items()}
        self._used: set[str] = set()
        self._children = {
            reference: Cast(some, f"{path}{reference}/")
            for reference, some in mocks.children.items()
        }

    def child(self, task: TaskView) -> Cast:
        """The mocks for the execution that a SUB_WORKFLOW started."""
        for name in (reference_of(task.record), task.record.ref):
            if name in self._children:
                self._used.add(f"{name}/")
                return self._children[name]
        return Cast(Mocks(), f"{self._path}{reference_of(task.record)}/")

    def next(self, task: TaskView) -> Mock | None:
        """The next mock of its reference with the iteration, else of the one without."""
        for name in (reference_of(task.record), task.record.ref):
            if self._left.get(name):
                self._used.add(name)
                return self._left[name].popleft()
        return None

    def missing(self, task: TaskView) -> str:
        """That there is none, and what was perhaps meant."""
        name = reference_of(task.record)
        what = f"expected a mock for {shown(self._path + name)} ({kind_of(task)})"
        if name in self._used or task.record.ref in self._used:
            return f"{what}, found that all of them are used"
        close = get_close_matches(name, [each for each in self._left if each not in self._used], 1)
        hint = f"; there is one for {shown(self._path + close[0])}" if close else ""
        return f"{what}, found none{hint}"

    def unused(self) -> Iterator[str]:
        """Mocks to which no task came."""
        for name, left in sorted(self._left.items()):
            if left:
                where = shown(self._path + name)
                yield f"expected the mocks of {where} to be used, found {len(left)} left over"
        for name, child in sorted(self._children.items()):
            if f"{name}/" in self._used:
                yield from child.unused()
            else:
                where = shown(self._path + name)
                yield f"expected a sub-workflow of {where} to be started, found none"


class Trials:
    """Runs trials."""

    def __init__(self, services: Services, starts: StartWorkflow) -> None:
        self._services = services
        self._starts = starts
        self._reader = Reader(services)

    async def run(self, request: StartRequest, mocks: Mocks, *, timeout_ms: int) -> Tried:
        """Start it, and play the mocks until it ends, one is missing, or the time is over; 0 ms =
        ten seconds. Raises as StartWorkflow.start.
        """
        if not 0 <= timeout_ms <= TRIAL_MS_MAX:
            raise RequestUnsound(f"timeout_ms: expected 0 to {TRIAL_MS_MAX}, found {timeout_ms}")
        check_mocks(mocks)
        clock = self._services.clock
        until_ms = clock.now_ms() + (timeout_ms or TRIAL_MS)
        started = await self._starts.start(replace(request, trial=True))
        workflow_id = started.workflow_id
        cast = Cast(mocks)
        tree = Tree(workflow_id, reader=self._reader, watch=self._services.watch, clock=clock)
        try:
            async with tree:
                views, problems, timed_out = await self._play(tree, cast, until_ms)
        except BaseException:  # also where the caller goes away: nobody else would end it
            self._services.executor.submit(workflow_id, Terminate(reason=OVER), "")
            raise
        view = views[0]
        if not view.header.status.terminal:
            await self._end(workflow_id)
        else:
            problems += cast.unused()
        return Tried(view, problems[:PROBLEMS_MAX], timed_out)

    async def _play(
        self, tree: Tree, cast: Cast, until_ms: int
    ) -> tuple[list[ExecutionView], list[str], bool]:
        views = await tree.read()
        for _ in range(ROUNDS_MAX):
            if views[0].header.status.terminal:
                return views, [], False
            problems, played = await self._round(views, cast)
            if problems:
                return await tree.read(), problems, False
            if not played and not await tree.changed(until_ms):
                return views, [f"expected an end in time, found {_standing(views)}"], True
            views = await tree.read()
        return views, [f"expected an end within {ROUNDS_MAX} rounds, found none"], False

    async def _round(self, views: Sequence[ExecutionView], cast: Cast) -> tuple[list[str], bool]:
        """One mock for each open task; what is missing, and whether something was played."""
        casts = {views[0].header.id: cast}
        problems: list[str] = []
        played = False
        for view in views:
            of = casts.get(view.header.id)
            if of is None:
                continue
            for task in open_tasks(view):
                if task.record.sub_workflow_id:
                    casts[task.record.sub_workflow_id] = of.child(task)
                elif task.record.task_type not in OPERATORS:
                    mock = of.next(task)
                    if mock is None:
                        problems.append(of.missing(task))
                    else:
                        played = await self._report(view.header.id, task, mock) or played
        return problems, played

    async def _report(self, workflow_id: str, task: TaskView, mock: Mock) -> bool:
        command = ReportResult(
            task_id=task.record.id,
            status=mock.status,
            output=mock.output,
            reason=mock.reason,
            worker_id="mock",
            merges=True,
        )
        await self._services.executor.call(workflow_id, command, "mock")
        return True

    async def _end(self, workflow_id: str) -> None:
        try:
            await self._services.executor.call(workflow_id, Terminate(reason=OVER), "")
        except Rejected:
            return  # it has ended by itself


def kind_of(task: TaskView) -> str:
    """Its type as the definition has it."""
    return task.record.task_type if task.task is None else task.task.type


def _standing(views: Sequence[ExecutionView]) -> str:
    """What an execution that did not end waits for."""
    names = [
        f"{shown(reference_of(task.record))} ({kind_of(task)})"
        for view in views
        for task in open_tasks(view)
    ]
    return f"open: {', '.join(names[:10])}" if names else "no open task"


def check_mocks(mocks: Mocks) -> None:
    """Raises RequestUnsound."""
    waiting = [("mocks", mocks, 1)]
    count = 0
    while waiting:
        place, each, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise RequestUnsound(f"{place}: expected at most {DEPTH_MAX} levels, found more")
        for reference, some in each.tasks.items():
            require_name(f"{place}.tasks (reference)", reference)
            count += len(some)
            for index, mock in enumerate(some):
                if mock.status not in REPORTABLE:
                    raise RequestUnsound(
                        f"{place}.tasks[{shown(reference)}][{index}].status: expected one of"
                        f" {', '.join(sorted(REPORTABLE))}, found {mock.status}"
                    )
        for reference, child in each.children.items():
            require_name(f"{place}.children (reference)", reference)
            waiting.append((f"{place}.children[{shown(reference)}]", child, depth + 1))
    if count > MOCKS_MAX:
        raise RequestUnsound(f"mocks: expected at most {MOCKS_MAX} in all, found {count}")
