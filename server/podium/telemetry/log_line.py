"""Log lines: one line per event, as JSON or as text, on stderr.

A line has its time, level, logger, event, a sentence, and what the event is about (workflow_id,
task_id, ...) as fields of their own. Never payloads: of an exception its type and places are told,
and what it says, which may quote anybody's data, only where the level is debug. What others log
(asyncio, libraries) has the event "log". docs/logs.md lists the events; a test compares them.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

    from podium.config import Log
    from podium.model.payload import JsonValue

OURS: Final = "podium"
OTHERS: Final = "log"
"""The event of what has none."""
TEXT_CHARACTERS_MAX: Final = 1_000
FRAMES_MAX: Final = 30
KNOWN: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "event"}
)
"""What every record has; all else was given with the event."""


def fields_of(record: logging.LogRecord) -> dict[str, JsonValue]:
    """The line as a JSON object."""
    ours = record.name.partition(".")[0] == OURS
    texts = logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
    known = vars(record)
    line: dict[str, JsonValue] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": str(known.get("event", OTHERS)),
        "text": _cut(record.getMessage() if ours or texts else str(record.msg).partition("\n")[0]),
    }
    line.update({name: _plain(value) for name, value in known.items() if name not in KNOWN})
    if record.exc_info and record.exc_info[1] is not None:
        line.update(_error(record.exc_info[1], texts=texts))
    return line


class JsonLine(logging.Formatter):
    """One JSON object in ASCII: whatever a value holds, it is one line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(fields_of(record))


class TextLine(logging.Formatter):
    """The same for people: time, level, event, then name=value."""

    def format(self, record: logging.LogRecord) -> str:
        line = fields_of(record)
        head = [str(line.pop(name)) for name in ("time", "level", "event")]
        rest = [f"{name}={json.dumps(value)}" for name, value in line.items()]
        return " ".join([*head, *rest])


def begin_log(settings: Log) -> None:
    """From now on every log line of the process looks like that, its last words too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine() if settings.format == "json" else TextLine())
    logging.raiseExceptions = False  # a line that cannot be written is lost, not told in another
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    logging.captureWarnings(True)
    sys.excepthook = _last_words


def _last_words(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    found = (kind, error, trace)
    noted = {"event": "crashed"}
    logging.getLogger("podium").critical("the process ends", extra=noted, exc_info=found)


def _error(error: BaseException, *, texts: bool) -> dict[str, JsonValue]:
    """Type and places, innermost last; of its causes, too."""
    chain = traceback.TracebackException.from_exception(error, limit=-FRAMES_MAX)
    places: list[JsonValue] = []
    types: list[str] = []
    found: traceback.TracebackException | None = chain
    while found is not None and len(types) < FRAMES_MAX:
        types.append(found.exc_type.__qualname__ if found.exc_type else "unknown")
        places[:0] = [f"{each.filename}:{each.lineno} {each.name}" for each in found.stack]
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    line: dict[str, JsonValue] = {"error": types[0], "traceback": places}
    if len(types) > 1:
        line["causes"] = [*types[1:]]
    if texts:
        line["error_text"] = _cut(str(error))
    return line


def _plain(value: object) -> JsonValue:
    return value if isinstance(value, int | float | None) else _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}..."
