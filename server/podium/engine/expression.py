"""Parameter expressions: values with `${path}` inside, compiled once and evaluated many times.

A value is compiled to a flat program for a small stack machine, so deep values cost no recursion.
Rules: substituted text is never looked at again (an escape `$${` inside a value stays, S-495);
nothing but the workflow and its tasks can be named (S-518); what is missing or is no path is null
(S-498). How texts are cut up is in expression_text.py, what names mean in scope.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from podium.engine.expression_text import cut
from podium.engine.reading import Node, ReadParameter, Uses, merge, node_of
from podium.engine.scope import Context
from podium.engine.secret import below
from podium.model.payload import JsonValue, json_bytes

if TYPE_CHECKING:
    from podium.model.execution import SecretMark

__all__ = [
    "Context",
    "Template",
    "compile_key",
    "compile_parameters",
    "compile_value",
    "unsupported_paths",
]

MARK: Final = "${"
CACHED_CHARS_LIMIT: Final = 4096


class Const(msgspec.Struct, frozen=True):
    """Push a value as it is."""

    value: JsonValue


class MakeList(msgspec.Struct, frozen=True):
    """Replace the topmost `size` values by their list."""

    size: int


class MakeMap(msgspec.Struct, frozen=True):
    """Replace the topmost values by the map with these keys.

    A key whose value is null takes the one in `fallback`, where there is one (S-256).
    """

    keys: tuple[str, ...]
    fallback: Mapping[str, JsonValue]


Op: TypeAlias = Const | Node | MakeList | MakeMap


class Template:
    """A compiled value.

    `refs`: references of the tasks to fetch before evaluation. `workflow_roots`: what is read below
    `workflow`. `join_members`: for each `${a.output.b…}` the pair ("a", "b"), and ("a", "") when
    the whole output of a is read: where a is a JOIN, its output needs member b, or all of them.
    `dynamic`: some path is put together while evaluating; ask `uses_with` what else it reads.
    `reads`: how many expressions it has. `uses` has the others again, and `unsupported`: what is no
    path, `secrets`: the secrets that its text names, `searches`: what the sandbox must find first.
    """

    __slots__ = (
        "_only",
        "dynamic",
        "join_members",
        "literal",
        "program",
        "reads",
        "refs",
        "uses",
        "workflow_roots",
    )

    def __init__(self, program: list[Op]) -> None:
        self.program: Final = tuple(program)
        first = program[0]
        self._only: Final = first if len(program) == 1 and isinstance(first, Node) else None
        self.literal: Final = len(program) == 1 and isinstance(first, Const)
        self.reads: Final = sum(op.reads for op in program if isinstance(op, Node))
        self.uses: Final = merge(op.uses for op in program if isinstance(op, Node))
        self.refs: Final = self.uses.refs
        self.workflow_roots: Final = self.uses.workflow_roots
        self.join_members: Final = self.uses.join_members
        self.dynamic: Final = self.uses.dynamic

    def evaluate(self, context: Context) -> JsonValue:
        """The value with every expression replaced. Constant parts are shared, not copied."""
        if self._only is not None:
            return self._only.evaluate(context)
        stack: list[JsonValue] = []
        for op in self.program:
            if isinstance(op, Node):
                stack.append(op.evaluate(context))
            elif isinstance(op, Const):
                stack.append(op.value)
            else:
                gather(op, stack)
        return stack[0]

    def expanded_bytes(self, context: Context, limit: int) -> int:
        """Bytes of what its expressions put in, as JSON; once over the limit it stops counting."""
        sizes: dict[int, int] = {}
        values: list[JsonValue] = []  # as long as they live, no other has their ids
        total = 0
        for op in self.program:
            for leaf in op.leaves(context) if isinstance(op, Node) else ():
                value = leaf.evaluate(context)
                if id(value) not in sizes:
                    sizes[id(value)] = json_bytes(value)
                    values.append(value)
                total += sizes[id(value)]
                if total > limit:
                    return total
        return total

    def marks(self, context: Context) -> tuple[SecretMark, ...]:
        """Where secrets are named in its value."""
        stack: list[list[SecretMark]] = []
        for op in self.program:
            if isinstance(op, Node):
                stack.append(list(op.marks(context)))
            elif isinstance(op, Const):
                stack.append([])
            else:
                keys = range(op.size) if isinstance(op, MakeList) else op.keys
                inner = stack[len(stack) - len(keys) :]
                del stack[len(stack) - len(keys) :]
                pairs = zip(keys, inner, strict=True)
                stack.append([mark for key, marks in pairs for mark in below(key, marks)])
        return tuple(stack[0])

    def uses_with(self, context: Context) -> Uses:
        """All that evaluation reads, with nested expressions resolved from what `context` holds.

        Worth asking only where `dynamic`; ask again after fetching, until nothing new is named.
        """
        return merge(op.uses_with(context) for op in self.program if isinstance(op, Node))


def gather(op: MakeList | MakeMap, stack: list[JsonValue]) -> None:
    """Replace the topmost values of the stack by the list or map of them."""
    start = len(stack) - (op.size if isinstance(op, MakeList) else len(op.keys))
    values = stack[start:]
    del stack[start:]
    stack.append(values if isinstance(op, MakeList) else made_map(op, values))


def made_map(op: MakeMap, values: list[JsonValue]) -> dict[str, JsonValue]:
    """The map, its nulls filled from the fallback."""
    made = dict(zip(op.keys, values, strict=True))
    if op.fallback:
        for key in [key for key, value in made.items() if value is None]:
            made[key] = op.fallback.get(key)
    return made


def compile_value(value: JsonValue) -> Template:
    """Compile every string inside `value`; map keys and other scalars stay as they are."""
    if isinstance(value, str):
        return compile_text(value)
    return Template(assemble(value, {}))


def compile_parameters(
    parameters: Mapping[str, JsonValue], template: Mapping[str, JsonValue]
) -> Template:
    """Compile a task's parameters over its inputTemplate (S-256).

    Keys that only the template has are added and evaluated; a key that comes out null takes the
    template's raw value. Evaluation yields a map.
    """
    return Template(assemble({**template, **parameters}, template))


def compile_key(text: str, parameters: Collection[str]) -> Template:
    """Compile the key of a cacheConfig: `${name}` is the parameter of that name, where there is
    one, and anything else an expression as everywhere.
    """
    found = cut(text, lambda each: ReadParameter(each) if each in parameters else node_of(each))
    return Template([Const(found) if isinstance(found, str) else found])


def compile_text(text: str) -> Template:
    """Compile one string; texts of usual length are kept compiled."""
    if MARK not in text:
        return Template([Const(text)])
    return kept_template(text) if len(text) <= CACHED_CHARS_LIMIT else text_template(text)


@lru_cache(maxsize=8192)
def kept_template(text: str) -> Template:
    """`text_template`, remembered."""
    return text_template(text)


def text_template(text: str) -> Template:
    """Cut and compile one string."""
    found = cut(text)
    return Template([Const(found) if isinstance(found, str) else found])


def unsupported_paths(value: JsonValue) -> list[str]:
    """The expressions inside `value` that are no paths, without `${` and `}`."""
    return list(compile_value(value).uses.unsupported)


class Closing(msgspec.Struct, frozen=True):
    """A list or map whose values are on the way."""

    op: MakeList | MakeMap


def assemble(value: JsonValue, fallback: Mapping[str, JsonValue]) -> list[Op]:
    """The program of a value, in post-order; parts without expressions are folded to constants.

    `fallback` belongs to the outermost map.
    """
    program: list[Op] = []
    waiting: list[JsonValue | Closing] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Closing):
            fold(each.op, program)
        elif isinstance(each, dict):
            waiting.append(Closing(MakeMap(tuple(each), fallback)))
            waiting.extend(reversed(each.values()))
            fallback = {}
        elif isinstance(each, list):
            waiting.append(Closing(MakeList(len(each))))
            waiting.extend(reversed(each))
        else:
            program.extend(compile_text(each).program if isinstance(each, str) else [Const(each)])
    return program


def fold(op: MakeList | MakeMap, program: list[Op]) -> None:
    """Append `op`, or carry it out at once where the values it takes are all constant."""
    size = op.size if isinstance(op, MakeList) else len(op.keys)
    last = program[len(program) - size :]
    constants = [each.value for each in last if isinstance(each, Const)]
    if len(constants) < size:
        program.append(op)
        return
    del program[len(program) - size :]
    gather(op, constants)
    program.append(Const(constants[0]))
