"""The script child: gives up what it does not need, then answers one request after the other.

It is started as a file by an interpreter in isolated mode with an empty environment, so it knows
nothing of Podium. Before the first program it leaves the user and network namespaces where the
system permits it, may gain no privileges, dies with its parent, and can open no file, write none
and start no process. JavaScript gets a fresh engine per call and sees its input as `$`; no value of
this process is reachable from it. Clock and chance are given with the request. What is not bounded
in here (jq, a native loop of the engine) is bounded by the parent, which kills.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import signal
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jsonpath_ng import JSONPath

    from podium.sandbox import wire
    from podium.sandbox.schema import Schemas
    from podium.sandbox.wire import Failure, cut
else:
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import wire
    from schema import Schemas
    from wire import Failure, cut

MEMORY_BYTES_LIMIT: Final = 400 * 1024 * 1024
HEAP_BYTES_LIMIT: Final = 32 * 1024 * 1024
STACK_BYTES_LIMIT: Final = 256 * 1024
PROGRAMS_KEPT: Final = 256
NEW_USER: Final = 0x10000000
NEW_NET: Final = 0x40000000
PDEATHSIG: Final = 1
DUMPABLE: Final = 4
NO_NEW_PRIVS: Final = 38
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63
LINE: Final = re.compile(r"<input>:(\d+)")
NOW: Final = re.compile(r"\bnow\b")
INTERRUPTED: Final = "InternalError: interrupted"
UNSOUND_TEXT: Final = "expected Unicode text, found a lone surrogate"
# Lists answer as Java's do: Conductor's scripts see those, and definitions rely on it (S-343).
PRELUDE: Final = """
(function (now, seed) {
  const Real = Date;
  function Fixed(...given) {
    if (!new.target) return new Real(now).toString();
    return Reflect.construct(Real, given.length ? given : [now], new.target);
  }
  Fixed.prototype = Real.prototype;
  Fixed.now = () => now;
  Fixed.parse = Real.parse;
  Fixed.UTC = Real.UTC;
  Object.defineProperty(Fixed, "name", { value: "Date" });
  Object.defineProperty(Fixed, "length", { value: 7 });
  Object.defineProperty(Real.prototype, "constructor", { value: Fixed });
  Object.defineProperty(globalThis, "Date", { value: Fixed });
  let state = seed;
  Math.random = () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 4294967296;
  };
  delete globalThis.performance;
  const ofJavaLists = {
    get(index) { return this[index]; },
    size() { return this.length; },
    isEmpty() { return this.length === 0; },
    contains(value) { return this.includes(value); },
  };
  for (const [name, value] of Object.entries(ofJavaLists)) {
    Object.defineProperty(Array.prototype, name, { value, writable: true, configurable: true });
  }
})(%d, %d);
"""


WARM_UP: Final[tuple[tuple[wire.Language, str], ...]] = (
    ("javascript", "$.a"),
    ("jq", ".a"),
    ("jsonpath", "$.a[?(@.b>1)]"),
    ("jsonpath", "$["),
    ("jsonschema", '{"properties": {"a": {"items": {"pattern": "^x"}}}, "required": ["b"]}'),
    ("jsonschema", '{"$ref": "file:///x"}'),
)
"""Loads whatever is loaded late, while files can still be opened."""


class JsObject(Protocol):
    """A value of the engine that is no plain one."""

    def json(self) -> str | None: ...


class JsContext(Protocol):
    """One engine."""

    def eval(self, code: str) -> JsObject | str | float | None: ...

    def set(self, name: str, value: object) -> None: ...

    def parse_json(self, text: str) -> object: ...

    def set_memory_limit(self, limit: int) -> None: ...

    def set_time_limit(self, limit: float) -> None: ...

    def set_max_stack_size(self, limit: int) -> None: ...


class JqProgram(Protocol):
    """A compiled jq program."""

    def input_text(self, text: str) -> Iterator[object]: ...


class Languages:
    """All interpreters. `Failure` is all they raise, but for MemoryError and worse."""

    def __init__(self) -> None:
        # After the namespaces were left: one of these starts a thread.
        import jq  # noqa: PLC0415
        import quickjs  # pyright: ignore[reportMissingTypeStubs] # noqa: PLC0415
        from jsonpath_ng.ext.parser import parse  # noqa: PLC0415

        # Neither has types.
        self._context: Callable[[], JsContext] = vars(quickjs)["Context"]
        self._compile: Callable[[str], JqProgram] = vars(jq)["compile"]
        self._compiled: Callable[[str], JqProgram] = lru_cache(PROGRAMS_KEPT)(self._compile)
        self._path: Callable[[str], JSONPath] = lru_cache(PROGRAMS_KEPT)(parse)
        self._schemas = Schemas()

    def run(self, head: wire.Head, given: bytes) -> bytes:
        """The value as JSON text. Raises Failure."""
        language = head["language"]
        if language == "javascript":
            return self._javascript(head, given)
        if language == "jsonschema":
            return json.dumps(self._schemas.problems(head["program"], given)).encode()
        results = self._jq(head, given) if language == "jq" else self._jsonpath(head, given)
        texts: list[str] = []
        size = 0
        for result in results:
            texts.append(json_text(result))
            size += len(texts[-1]) + 1
            check_size(size)
        return f"[{','.join(texts)}]".encode()

    def parse(self, head: wire.Head) -> bytes:
        """b"null" where the program can be understood. Raises Failure."""
        program = head["program"]
        if head["language"] == "javascript":
            # The whole program is read before its first statement runs, and that one ends it.
            text = self._evaluated(self._engine(head), f"throw null;{program}")
            if isinstance(text, Failure) and "SyntaxError" in str(text):
                raise text
        elif head["language"] == "jq":
            self._jq_program(head)
        elif head["language"] == "jsonschema":
            self._schemas.validator(program)
        else:
            self._parsed_path(program)
        return b"null"

    def _engine(self, head: wire.Head) -> JsContext:
        context = self._context()
        context.set_memory_limit(HEAP_BYTES_LIMIT)
        context.set_max_stack_size(STACK_BYTES_LIMIT)
        context.eval(PRELUDE % (head["now_ms"], crc32(head["seed"].encode())))
        context.set_time_limit(wire.CPU_MS_LIMIT / 1000)
        return context

    def _javascript(self, head: wire.Head, given: bytes) -> bytes:
        context = self._engine(head)
        try:
            context.set("$", context.parse_json(given.decode()))
        except Exception as error:
            raise Failure(
                f"expected an input that fits a script's heap of {HEAP_BYTES_LIMIT} bytes, "
                f"found one of {len(given)} bytes as text"
            ) from error
        text = self._evaluated(context, head["program"])
        if isinstance(text, Failure):
            raise text
        return text.encode()

    def _evaluated(self, context: JsContext, program: str) -> str | Failure:
        try:
            return js_text(context.eval(program))
        except UnicodeDecodeError:
            return Failure(UNSOUND_TEXT)
        except UnicodeEncodeError:
            return Failure("expected a program in Unicode text, found a lone surrogate")
        except TypeError:
            return Failure("Error evaluating the script `expected a JSON value, found a BigInt`")
        except Failure as failure:
            return failure
        except Exception as error:  # noqa: BLE001 - the engine's own classes
            return js_failure(str(error))

    def _jq(self, head: wire.Head, given: bytes) -> Iterator[object]:
        program = self._jq_program(head)
        try:
            yield from program.input_text(given.decode())
        except ValueError as error:
            raise Failure(cut(f"expected a jq program that runs, found: {error}")) from error

    def _jq_program(self, head: wire.Head) -> JqProgram:
        program = head["program"]
        try:
            if NOW.search(program):
                return self._compile(f"def now: {head['now_ms'] / 1000}; {program}")
            return self._compiled(program)
        except ValueError as error:
            lines = str(error).splitlines()
            said = (lines[0] if lines else "").removeprefix("jq: error: ")
            raise Failure(cut(f"expected a jq program, found: {said}")) from error

    def _jsonpath(self, head: wire.Head, given: bytes) -> Iterator[object]:
        path = self._parsed_path(head["program"])
        try:
            found = path.find(json.loads(given))
        except Exception as error:
            raise Failure(
                "expected a path that fits its document, found one that does not"
            ) from error
        yield from (match.value for match in found)

    def _parsed_path(self, program: str) -> JSONPath:
        try:
            return self._path(program)
        except Exception as error:
            raise Failure(cut(f"expected a JSONPath, found {program}")) from error


def js_text(value: JsObject | str | float | None) -> str:
    """JSON text of a result (S-347). What JSON has no form for is null, as JavaScript has it."""
    if value is None or isinstance(value, bool | str):
        return json.dumps(value)
    if isinstance(value, int | float):
        return number_text(value)
    return value.json() or "null"


def number_text(value: float) -> str:
    """A whole number within 64 bits as an integer; what is no number, null."""
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - not a number
        return "null"
    if INTEGER_MIN <= value < INTEGER_MAX and value == int(value):
        return str(int(value))
    return repr(value)


def js_failure(text: str) -> Failure:
    """What a script threw, in the words of S-346, or that it was stopped."""
    message = text.split("\n", 1)[0].strip() or "null"
    if message == INTERRUPTED:
        return Failure(
            f"expected a script that ends within {wire.CPU_MS_LIMIT} ms, found one that goes on",
            wire.LATE,
        )
    line = LINE.search(text)
    place = f" at line {line[1]}" if line else ""
    return Failure(f"Error evaluating the script `{cut(message)}`{place}")


def json_text(value: object) -> str:
    """JSON text of a result; numbers that are none are null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))


def check_size(size: int) -> None:
    """Raises Failure for a result over the limit."""
    if size > wire.RESULT_BYTES_LIMIT:
        raise Failure(
            f"expected a result of at most {wire.RESULT_BYTES_LIMIT} bytes, found more: {size}"
        )


def answer_of(languages: Languages, head: wire.Head, given: bytes) -> tuple[bytes, bytes]:
    """Kind and text of the answer to one request."""
    try:
        value = languages.parse(head) if head["parse"] else languages.run(head, given)
        check_size(len(value))
    except Failure as failure:
        return failure.kind, str(failure).encode(errors="replace")
    except RecursionError:
        return wire.ERROR, b"expected a result of fewer levels, found one that is nested too deep"
    except MemoryError:
        return wire.ERROR, b"expected a program that fits its memory, found one that took more"
    return wire.VALUE, value


def leave(libc: ctypes.CDLL) -> None:
    """Give up what needs no library to be loaded first. What the system refuses is gone without."""
    libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if libc.unshare(NEW_USER | NEW_NET):
        libc.unshare(NEW_NET)
    libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(DUMPABLE, 0, 0, 0, 0)


def bound() -> None:
    """Limits from which there is no way back: no file can be opened from now on."""
    files = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    limits = (
        (resource.RLIMIT_AS, MEMORY_BYTES_LIMIT),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, files),
    )
    for which, limit in limits:
        resource.setrlimit(which, (limit, limit))


def take(size: int) -> bytes:
    """Exactly so many bytes of the input; the end of it ends the process."""
    parts: list[bytes] = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            sys.exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def give(kind: bytes, text: bytes) -> None:
    """Write one answer."""
    rest = memoryview(wire.ANSWER.pack(kind, len(text)) + text)
    while rest:
        rest = rest[os.write(0, rest) :]


def main() -> None:
    """Serve until the input ends."""
    os.unsetenv("LC_CTYPE")  # set by the interpreter itself, and jq shows it
    leave(ctypes.CDLL(None, use_errno=True))
    languages = Languages()
    for language, program in WARM_UP:
        head: wire.Head = {
            "language": language, "program": program, "parse": False, "now_ms": 0, "seed": "",
        }  # fmt: skip
        answer_of(languages, head, b'{"a":[{"b":2}]}')
    bound()
    give(wire.READY, b"")
    while True:
        head_bytes, input_bytes = wire.REQUEST.unpack(take(wire.REQUEST.size))
        head = json.loads(take(head_bytes))
        give(*answer_of(languages, head, take(input_bytes)))


if __name__ == "__main__":
    main()
