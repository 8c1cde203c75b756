"""The registry: definitions over the store, with caches that a generation counter empties.

A read may be as old as the last `refresh`, which the runtime calls each second; this server's own
writes are seen at once. A cached answer is kept in the cache object that was current when it was
asked for, so an answer that was under way when the caches were emptied is not kept. What executions
run on are bound definitions: immutable, named by the digest of their bytes, and kept for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from podium.engine.bind import bind, task_names
from podium.engine.graph import Graph, compile_workflow
from podium.engine.schedule import limits_of
from podium.engine.schema import schema_warnings, schemas_in
from podium.engine.tree import walk_tasks
from podium.engine.validate import Problem, scripts_of, validate_task, validate_workflow
from podium.engine.warn import warnings_of
from podium.model.definition import TaskDef, WorkflowDef, decode_task, decode_workflow, encode
from podium.registry.children import pin, unversioned
from podium.registry.failure import (
    ChildUnknown,
    DefinitionExists,
    DefinitionUnknown,
    DefinitionUnsound,
    shown,
)
from podium.store.port import DefinitionRow, StoreFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from podium.engine.script import Script
    from podium.engine.transition import Language
    from podium.model.queue import Limits
    from podium.store.port import Store

LOG = logging.getLogger("podium.registry")
WORKFLOW: Final = "workflow"
TASK: Final = "task"
BOUND: Final = "bound"
TASK_VERSION: Final = 1
BOUND_VERSION: Final = 1
DIGEST_BYTES: Final = 16
GRAPHS_MAX: Final = 1_000
DIGESTS_MAX: Final = 100_000
TASKS_IN_LOOP: Final = 200

Kept = TypeVar("Kept")


class Fault(Protocol):
    """Says why a program cannot be understood; "" = it can, or nobody can tell now."""

    async def __call__(self, language: Language, program: str) -> str: ...


class Bound(msgspec.Struct, frozen=True, eq=False):
    """A definition as executions run it: task definitions attached, children's versions pinned."""

    name: str
    version: int
    digest: str
    graph: Graph
    encoded: bytes


class Caches:
    """Answers of one generation; None = there is no such definition."""

    def __init__(self) -> None:
        self.workflows: dict[tuple[str, int | None], WorkflowDef | None] = {}
        self.tasks: dict[str, TaskDef | None] = {}
        self.bound: dict[tuple[str, int | None], Bound] = {}
        self.limits: dict[str, Limits] = {}


class Registry:
    """Definitions by name. All methods may raise StoreError."""

    def __init__(self, store: Store, now_ms: Callable[[], int], fault: Fault | None = None) -> None:
        self.fault: Final = fault
        self._store = store
        self._now_ms = now_ms
        self._generation = -1
        self._caches = Caches()
        self.on_change: Callable[[], None] = lambda: None
        self._graphs: OrderedDict[str, Graph] = OrderedDict()
        self._stored_digests: OrderedDict[str, None] = OrderedDict()

    async def refresh(self) -> None:
        """Forget what may be outdated: another server changed a definition."""
        before, self._generation = self._generation, await self._store.registry_generation()
        if self._generation != before:
            self._caches = Caches()

    def _changed(self) -> None:
        self._caches = Caches()
        self.on_change()  # tells the other servers

    # Workflows

    async def check_workflow(self, definition: WorkflowDef, *, inline: bool = False) -> None:
        """Raises DefinitionUnsound with all problems of the definition. An inline one may be
        without tasks (S-068).
        """
        problems = await self._problems(definition)
        if inline:
            problems = [problem for problem in problems if problem.place != "tasks"]
        if problems:
            raise DefinitionUnsound(problems)

    async def _problems(self, definition: WorkflowDef) -> list[Problem]:
        """All problems; programs are looked at in a definition that is sound without them."""
        problems = await _judged(definition)
        if problems:
            return problems
        for language, problem in await self._faults(scripts_of(definition)):
            if language == "jq":  # dialects differ, and Conductor takes it (S-037)
                _warn(_titled(definition), problem)
            else:
                problems.append(problem)
        return problems

    async def _task_problems(self, definition: TaskDef) -> list[Problem]:
        problems = validate_task(definition)
        return problems or [problem for _, problem in await self._faults(schemas_in(definition))]

    async def _faults(
        self, scripts: Iterable[tuple[str, Script]]
    ) -> list[tuple[Language, Problem]]:
        """The programs that cannot be understood."""
        found: list[tuple[Language, Problem]] = []
        if self.fault is not None:
            for place, script in scripts:
                fault = await self.fault(script.language, script.program)
                if fault:
                    found.append((script.language, Problem(place, fault)))
        return found

    async def register_workflow(self, definition: WorkflowDef, *, overwrite: bool = False) -> None:
        """Store a new definition or a new version. Raises DefinitionUnsound, DefinitionExists."""
        await self.check_workflow(definition)
        former = await self._workflow_row(definition.name, definition.version)
        if former is not None and not overwrite:
            raise _exists(definition)
        row = self._workflow(definition, former)
        if not await self._put(row, overwrite=overwrite):
            raise _exists(definition)

    async def update_workflows(self, definitions: Sequence[WorkflowDef]) -> None:
        """Create or overwrite; nothing is stored unless all are sound. Raises DefinitionUnsound."""
        problems: list[Problem] = []
        for index, definition in enumerate(definitions):
            problems += _placed(f"defs[{index}]", await self._problems(definition))
        if problems:
            raise DefinitionUnsound(problems)
        await self._put_all(
            [
                self._workflow(each, await self._workflow_row(each.name, each.version))
                for each in definitions
            ]
        )

    async def get_workflow(self, name: str, version: int | None) -> WorkflowDef:
        """Version None = the greatest (S-030). Raises DefinitionUnknown."""
        found = await self._find_workflow(name, version)
        if found is None:
            wanted = "any version" if version is None else f"version {version}"
            raise DefinitionUnknown(
                f"expected a registered workflow, found none with name {shown(name)} and {wanted}"
            )
        return found

    async def _find_workflow(self, name: str, version: int | None) -> WorkflowDef | None:
        kept = self._caches.workflows
        if (name, version) not in kept:
            kept[name, version] = await self._workflow_row(name, version)
        return kept[name, version]

    async def _workflow_row(self, name: str, version: int | None) -> WorkflowDef | None:
        row = await self._store.get_definition(WORKFLOW, name, version)
        return None if row is None else decode_workflow(row.value)

    def _workflow(self, definition: WorkflowDef, former: WorkflowDef | None) -> DefinitionRow:
        now_ms = self._now_ms()
        created_ms = former.create_time if former else now_ms
        updated_ms = now_ms if former else definition.update_time
        kept = replace(definition, create_time=created_ms, update_time=updated_ms)
        for warning in warnings_of(kept):
            _warn(_titled(kept), warning)
        return DefinitionRow(WORKFLOW, kept.name, kept.version, encode(kept))

    async def _put(self, row: DefinitionRow, *, overwrite: bool) -> bool:
        try:
            return await self._store.put_definition(row, overwrite=overwrite)
        finally:  # also where the outcome is unknown
            self._changed()

    async def _put_all(self, rows: Sequence[DefinitionRow]) -> None:
        """All rows; where the store is full in the middle, the former ones are put back."""
        former = [await self._store.get_definition(*_key(row)) for row in rows]
        for index, row in enumerate(rows):
            try:
                await self._put(row, overwrite=True)
            except StoreFull:
                await self._put_back(rows[:index], former[:index])
                raise

    async def _put_back(
        self, rows: Sequence[DefinitionRow], former: Sequence[DefinitionRow | None]
    ) -> None:
        for row, before in zip(rows, former, strict=True):
            if before is None:
                await self._store.delete_definition(*_key(row))
            else:
                await self._put(before, overwrite=True)
        self._changed()

    # Tasks

    async def register_tasks(self, definitions: Sequence[TaskDef]) -> None:
        """Create or overwrite (S-020); nothing is stored unless all are sound."""
        problems: list[Problem] = []
        for index, definition in enumerate(definitions):
            problems += _placed(f"defs[{index}]", await self._task_problems(definition))
        if problems:
            raise DefinitionUnsound(problems)
        await self._put_all(
            [self._task(each, await self._task_row(each.name)) for each in definitions]
        )

    async def update_task(self, definition: TaskDef) -> None:
        """Overwrite. Raises DefinitionUnsound, DefinitionUnknown (S-020)."""
        problems = await self._task_problems(definition)
        if problems:
            raise DefinitionUnsound(problems)
        former = await self._task_row(definition.name)
        if former is None:
            raise _no_task(definition.name)
        await self._put(self._task(definition, former), overwrite=True)

    async def get_task(self, name: str) -> TaskDef:
        """Raises DefinitionUnknown."""
        found = await self._find_task(name)
        if found is None:
            raise _no_task(name)
        return found

    async def delete_task(self, name: str) -> None:
        """Executions that run keep what they were started with. Raises DefinitionUnknown."""
        try:
            gone = await self._store.delete_definition(TASK, name, TASK_VERSION)
        finally:
            self._changed()
        if not gone:
            raise _no_task(name)

    async def task_defs(self, names: Sequence[str]) -> dict[str, TaskDef | None]:
        """Registered definitions by name, None where there is none."""
        return {name: await self._find_task(name) for name in names}

    async def limits(self, task_type: str) -> Limits:
        """Admission limits of a queue's tasks (S-559, S-560)."""
        kept = self._caches.limits
        if task_type not in kept:
            kept[task_type] = limits_of(await self._find_task(task_type))
        return kept[task_type]

    async def _find_task(self, name: str) -> TaskDef | None:
        kept = self._caches.tasks
        if name not in kept:
            kept[name] = await self._task_row(name)
        return kept[name]

    async def _task_row(self, name: str) -> TaskDef | None:
        row = await self._store.get_definition(TASK, name, TASK_VERSION)
        return None if row is None else decode_task(row.value)

    def _task(self, definition: TaskDef, former: TaskDef | None) -> DefinitionRow:
        now_ms = self._now_ms()
        created_ms = former.create_time if former else now_ms
        updated_ms = now_ms if former else definition.update_time
        kept = replace(definition, create_time=created_ms, update_time=updated_ms)
        for warning in schema_warnings("", kept):
            _warn(f"task {shown(kept.name)}", warning)
        return DefinitionRow(TASK, kept.name, TASK_VERSION, encode(kept))

    # What executions run on

    async def bound_by_name(self, name: str, version: int | None) -> Bound:
        """The registered definition, bound and stored. Raises DefinitionUnknown, ChildUnknown."""
        kept = self._caches.bound
        found = kept.get((name, version))
        if found is None:
            found = await self.bound(await self.get_workflow(name, version))
            kept[name, version] = found
        return found

    async def bound(self, definition: WorkflowDef, *, store: bool = True) -> Bound:
        """Bind a sound definition. Raises ChildUnknown.

        `store` False = an inline one, whose bytes are kept with its execution.
        """
        versions = {
            name: await self._latest_version(name) for name in unversioned(definition.tasks)
        }
        definition = replace(definition, tasks=pin(definition.tasks, versions))
        attached = bind(definition, await self.task_defs(task_names(definition)))
        encoded = encode(attached)
        digest = blake2b(encoded, digest_size=DIGEST_BYTES).hexdigest()
        if store and digest not in self._stored_digests:
            row = DefinitionRow(BOUND, digest, BOUND_VERSION, encoded)
            await self._store.put_definition(row, overwrite=False)
            _keep(self._stored_digests, digest, None, DIGESTS_MAX)
        graph = self.known_graph(digest) or self._compile(digest, encoded)
        return Bound(attached.name, attached.version, digest, graph, encoded)

    def known_graph(self, digest: str) -> Graph | None:
        """The compiled definition if it is at hand."""
        graph = self._graphs.get(digest)
        if graph is not None:
            self._graphs.move_to_end(digest)
        return graph

    async def graph(self, digest: str, inline: bytes | None) -> Graph:
        """The compiled definition of an execution; `inline` = the bytes kept with it, if any."""
        known = self.known_graph(digest)
        if known is not None:
            return known
        if inline is None:
            row = await self._store.get_definition(BOUND, digest, BOUND_VERSION)
            assert row is not None, digest
            inline = row.value
        return self._compile(digest, inline)

    def _compile(self, digest: str, encoded: bytes) -> Graph:
        graph = compile_workflow(decode_workflow(encoded))
        _keep(self._graphs, digest, graph, GRAPHS_MAX)
        return graph

    async def _latest_version(self, name: str) -> int:
        found = await self._find_workflow(name, None)
        if found is None:
            raise ChildUnknown(
                "expected a registered workflow for a SUB_WORKFLOW task without a version, "
                f"found none with name {shown(name)}"
            )
        return found.version


def _key(row: DefinitionRow) -> tuple[str, str, int]:
    return row.kind, row.name, row.version


def _keep(kept: OrderedDict[str, Kept], key: str, value: Kept, limit: int) -> None:
    kept[key] = value
    while len(kept) > limit:
        kept.popitem(last=False)


def _warn(title: str, warning: Problem) -> None:
    noted = {"event": "definition_warning"}
    LOG.warning("%s, %s: %s", title, warning.place, warning.message, extra=noted)


def _titled(definition: WorkflowDef) -> str:
    return f"workflow {shown(definition.name)} version {definition.version}"


async def _judged(definition: WorkflowDef) -> list[Problem]:
    """A large definition is judged outside the loop."""
    if sum(1 for _ in walk_tasks(definition.tasks)) <= TASKS_IN_LOOP:
        return validate_workflow(definition)
    return await asyncio.to_thread(validate_workflow, definition)


def _placed(prefix: str, problems: Sequence[Problem]) -> list[Problem]:
    return [Problem(f"{prefix}.{problem.place}", problem.message) for problem in problems]


def _exists(definition: WorkflowDef) -> DefinitionExists:
    return DefinitionExists(
        "expected a name and version that is not registered, "
        f"found {shown(definition.name)} version {definition.version} registered"
    )


def _no_task(name: str) -> DefinitionUnknown:
    return DefinitionUnknown(
        f"expected a registered task definition, found none with name {shown(name)}"
    )
