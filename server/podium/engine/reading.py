"""One expression, compiled: what it reads and how it yields its value.

A node is made from the text between `${` and `}`; expression_text.py finds those texts. Rules: a
node never raises, and text that it yields is never searched for expressions again. A path whose
text holds further expressions is parsed when they are known; a reader that must fetch tasks first
asks `uses_with`. What a path finds that is a search must be in the context (evaluation.py).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from podium.engine.java_text import java_text
from podium.engine.path import Path, parse_path, walk, walk_all, walk_wide
from podium.engine.scope import (
    TASK_FIELDS,
    WORKFLOW,
    WORKFLOW_FIELDS,
    task_object,
    workflow_object,
)
from podium.engine.search import WHOLE, Search, parse_search
from podium.engine.secret import ENVIRONMENT, INPUT, SECRETS, below, is_reference, under, value_at
from podium.model.execution import SecretMark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from podium.engine.path import Step
    from podium.engine.scope import Context, TaskField, WorkflowField
    from podium.model.payload import JsonValue

TASK_ID: Final = "CPEWF_TASK_ID"
KEPT_NAMES: Final = frozenset({"NETFLIX_ENV", "NETFLIX_STACK"})
"""System names that are never set here, so their text stays (S-517)."""
OUTPUT: Final = "output"
SECRET_PATHS: Final = tuple(f"{begin}{WORKFLOW}.{SECRETS}." for begin in ("", "$."))
"""How a path must begin in a definition to name a secret by further expressions."""


class Uses(msgspec.Struct, frozen=True):
    """What an expression reads; the fields are explained at Template."""

    refs: frozenset[str] = frozenset()
    workflow_roots: frozenset[str] = frozenset()
    join_members: frozenset[tuple[str, str]] = frozenset()
    unsupported: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    dynamic: bool = False
    searches: tuple[Search, ...] = ()


NOTHING: Final = Uses()


def merge(several: Iterable[Uses]) -> Uses:
    """All of them together."""
    known = [each for each in several if each is not NOTHING]
    if len(known) <= 1:
        return known[0] if known else NOTHING
    return Uses(
        frozenset[str]().union(*(each.refs for each in known)),
        frozenset[str]().union(*(each.workflow_roots for each in known)),
        frozenset[tuple[str, str]]().union(*(each.join_members for each in known)),
        tuple(text for each in known for text in each.unsupported),
        tuple(text for each in known for text in each.secrets),
        any(each.dynamic for each in known),
        tuple(dict.fromkeys(search for each in known for search in each.searches)),
    )


class Node:
    """A compiled expression. `uses` is what is known without evaluating."""

    __slots__ = ("uses",)

    def __init__(self, uses: Uses) -> None:
        self.uses: Final = uses

    @abstractmethod
    def evaluate(self, context: Context) -> JsonValue:
        """The native value."""

    def text(self, context: Context) -> str:
        """The value as it reads inside text (S-494)."""
        return java_text(self.evaluate(context))

    def uses_with(self, context: Context) -> Uses:
        """All that is read, nested expressions resolved as far as `context` goes."""
        del context
        return self.uses

    @property
    def reads(self) -> int:
        """How many values it takes in."""
        return 1

    def leaves(self, context: Context) -> Iterator[Node]:
        """The expressions whose values it takes in."""
        del context
        yield self

    def marks(self, context: Context) -> Sequence[SecretMark]:
        """Where secrets are named in the value that it yields."""
        del context
        return ()


class Fixed(Node):
    """Always the same text, or null for what is no path."""

    __slots__ = ("value",)

    def __init__(self, value: str | None, uses: Uses = NOTHING) -> None:
        super().__init__(uses)
        self.value: Final = value

    def evaluate(self, context: Context) -> JsonValue:
        del context
        return self.value


class Secret(Fixed):
    """`${workflow.secrets.NAME}`: its own text, with a mark."""

    __slots__ = ("_mark",)

    def __init__(self, reference: str) -> None:
        super().__init__(f"${{{reference}}}", Uses(secrets=(reference,)))
        self._mark: Final = SecretMark(path=(), reference=reference)

    def marks(self, context: Context) -> Sequence[SecretMark]:
        del context
        return (self._mark,)


class ReadEnvironment(Node):
    """`${workflow.env.NAME}`: a value that the operator of the server gave (S-520)."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        super().__init__(NOTHING)
        self._path: Final = path

    def evaluate(self, context: Context) -> JsonValue:
        return value_at(self._path, context.environment)


class TaskId(Node):
    """`${CPEWF_TASK_ID}`; where there is no task, the text stays (S-516)."""

    __slots__ = ()

    def evaluate(self, context: Context) -> JsonValue:
        return f"${{{TASK_ID}}}" if context.task_id is None else context.task_id


class ReadTask(Node):
    """`${ref.field…}`, or the whole task where no field is named."""

    __slots__ = ("_definite", "_field", "_names", "_ref", "_steps")

    def __init__(self, path: Path) -> None:
        head, self._steps = split_field(path)
        members = frozenset({(path.root, next_name(self._steps))} if head == OUTPUT else ())
        if head is None:
            members = frozenset({(path.root, WHOLE)})
        super().__init__(Uses(refs=frozenset({path.root}), join_members=members))
        self._names: Final = path.steps
        self._ref: Final = path.root
        self._definite: Final = path.definite
        self._field: Final[TaskField] = (
            task_object if head is None else TASK_FIELDS.get(head, no_task_field)
        )

    def evaluate(self, context: Context) -> JsonValue:
        record = context.tasks.get(self._ref)
        value = None if record is None else self._field(record, context)
        return walk(value, self._steps) if self._definite else walk_wide(value, self._steps)

    def text(self, context: Context) -> str:
        return result_text(self.evaluate(context), definite=self._definite)

    def marks(self, context: Context) -> Sequence[SecretMark]:
        record = context.tasks.get(self._ref)
        if record is None or not record.secrets or not self._definite:
            return ()
        return marks_at(self._names, below(INPUT, record.secrets))


class ReadParameter(Node):
    """`${name}` of a parameter of the task's own input, in its cacheConfig."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        super().__init__(NOTHING)
        self._name: Final = name

    def evaluate(self, context: Context) -> JsonValue:
        return context.parameters.get(self._name) if context.parameters else None


class ReadWorkflow(Node):
    """`${workflow.field…}`, or all of it."""

    __slots__ = ("_definite", "_field", "_names", "_steps")

    def __init__(self, path: Path) -> None:
        head, self._steps = split_field(path)
        roots = frozenset(WORKFLOW_FIELDS) if head is None else frozenset({head})
        super().__init__(Uses(workflow_roots=roots & frozenset(WORKFLOW_FIELDS)))
        self._definite: Final = path.definite
        self._names: Final = path.steps
        self._field: Final[WorkflowField] = (
            workflow_object if head is None else WORKFLOW_FIELDS.get(head, no_workflow_field)
        )

    def evaluate(self, context: Context) -> JsonValue:
        value = self._field(context)
        return walk(value, self._steps) if self._definite else walk_wide(value, self._steps)

    def text(self, context: Context) -> str:
        return result_text(self.evaluate(context), definite=self._definite)

    def marks(self, context: Context) -> Sequence[SecretMark]:
        return marks_at(self._names, context.header.secrets) if self._definite else ()


class Found(Node):
    """What a search finds; null where it failed."""

    __slots__ = ("_search",)

    def __init__(self, search: Search) -> None:
        tasks = [each for each in search.roots if each[0] != WORKFLOW]
        fields = [field for root, field in search.roots if root == WORKFLOW]
        roots = frozenset(WORKFLOW_FIELDS if WHOLE in fields else fields)
        super().__init__(
            Uses(
                refs=frozenset(root for root, _ in tasks),
                workflow_roots=roots & frozenset(WORKFLOW_FIELDS),
                join_members=frozenset(
                    (root, WHOLE) for root, field in tasks if field in (OUTPUT, WHOLE)
                ),
                searches=(search,),
            )
        )
        self._search: Final = search

    def evaluate(self, context: Context) -> JsonValue:
        values = (context.found or {}).get(self._search.program)
        return walk_all(values, self._search.tail) if isinstance(values, list) else None

    def text(self, context: Context) -> str:
        return result_text(self.evaluate(context), definite=False)


class Text(Node):
    """Text with expressions in it: always a string."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[str | Node]) -> None:
        super().__init__(merge(part.uses for part in parts if isinstance(part, Node)))
        self._parts: Final = tuple(parts)

    def evaluate(self, context: Context) -> JsonValue:
        return self.text(context)

    def text(self, context: Context) -> str:
        return "".join(
            [part if isinstance(part, str) else part.text(context) for part in self._parts]
        )

    def uses_with(self, context: Context) -> Uses:
        return merge(part.uses_with(context) for part in self._parts if isinstance(part, Node))

    @property
    def reads(self) -> int:
        return sum(part.reads for part in self._parts if isinstance(part, Node))

    def leaves(self, context: Context) -> Iterator[Node]:
        for part in self._parts:
            if isinstance(part, Node):
                yield from part.leaves(context)

    def marks(self, context: Context) -> Sequence[SecretMark]:
        found = [part.marks(context) for part in self._parts if isinstance(part, Node)]
        return [SecretMark(path=(), reference=mark.reference) for marks in found for mark in marks]

    @property
    def begin(self) -> str:
        """The text that stands before everything else."""
        first = self._parts[0] if self._parts else ""
        return first if isinstance(first, str) else ""


class Nested(Node):
    """A path that is put together from other expressions first (S-492)."""

    __slots__ = ("_path", "_secret")

    def __init__(self, path: Text) -> None:
        secret = path.begin.lstrip().startswith(SECRET_PATHS)
        named = (f"{path.begin}…",) if secret else ()
        super().__init__(merge((path.uses, Uses(dynamic=True, secrets=named))))
        self._path: Final = path
        self._secret: Final = secret

    def evaluate(self, context: Context) -> JsonValue:
        return self._found(context).evaluate(context)

    def text(self, context: Context) -> str:
        return self._found(context).text(context)

    def uses_with(self, context: Context) -> Uses:
        return merge((self._path.uses_with(context), self._found(context).uses))

    def leaves(self, context: Context) -> Iterator[Node]:
        yield from self._path.leaves(context)
        yield self._found(context)

    def marks(self, context: Context) -> Sequence[SecretMark]:
        """A path that is data from its beginning names no secret: data could name any then."""
        found = self._found(context)
        return found.marks(context) if self._secret or not isinstance(found, Secret) else ()

    def _found(self, context: Context) -> Node:
        return node_of(self._path.text(context))


def node_of(text: str) -> Node:
    """The node for the text of one expression that holds no further ones."""
    if not text or text.isspace():
        return Fixed("")
    if text == TASK_ID:
        return TaskId(NOTHING)
    if text in KEPT_NAMES:
        return Fixed(f"${{{text}}}")
    path = parse_path(text)
    if path is None:
        return searching(text)
    if path.root != WORKFLOW:
        return ReadTask(path)
    if path.steps and path.steps[0] == SECRETS:
        return Secret(text) if is_reference(path) else Fixed(None, Uses(unsupported=(text,)))
    if path.steps and path.steps[0] == ENVIRONMENT:
        return ReadEnvironment(path) if is_reference(path) else Fixed(None)
    return ReadWorkflow(path)


def searching(text: str) -> Node:
    """The node for what is no plain path."""
    search = parse_search(text)
    if search is None:
        return Fixed(None, Uses(unsupported=(text,)))
    if (WORKFLOW, SECRETS) in search.roots:
        return Fixed(None, Uses(unsupported=(text,)))
    return Found(search)


def marks_at(names: tuple[Step, ...], marks: Sequence[SecretMark]) -> tuple[SecretMark, ...]:
    """The marks of what a plain path reads."""
    keys = tuple(name for name in names if isinstance(name, str | int))
    return under(keys, marks) if marks and len(keys) == len(names) else ()


def split_field(path: Path) -> tuple[str | None, tuple[Step, ...]]:
    """The field of the task or workflow that is named, and the steps below it."""
    if path.steps and isinstance(path.steps[0], str):
        return path.steps[0], path.steps[1:]
    return None, path.steps


def next_name(steps: tuple[Step, ...]) -> str:
    """The name that comes next, or WHOLE."""
    return steps[0] if steps and isinstance(steps[0], str) else WHOLE


def result_text(value: JsonValue, *, definite: bool) -> str:
    """Text of a path's result; the list of an indefinite path prints as JSON (S-494)."""
    return java_text(value) if definite else orjson.dumps(value).decode()


def no_task_field(*_: object) -> None:
    """A field that tasks do not have."""


def no_workflow_field(_: Context) -> None:
    """A field that workflows do not have."""
