"""Levels of loggers for a while: more is told while somebody looks, and not for ever after."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.failure import NotFound, RequestUnsound, shown
from podium.app.names import bounded_text

if TYPE_CHECKING:
    import asyncio

    from podium.runtime.clock import Clock

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
ROOT: Final = "root"
SECONDS: Final = 600
SECONDS_MAX: Final = 86_400


class LevelSet(msgspec.Struct, frozen=True):
    """The level before, the level now, and when it goes back (epoch ms)."""

    before: str
    now: str
    until_ms: int


class LogLevels:
    """Of this process. The level that a logger goes back to is the one before the first change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed: dict[str, tuple[int, asyncio.TimerHandle]] = {}
        """Logger → its own level before, and the timer that brings it back."""

    def set(self, name: str, level: str, seconds: int) -> LevelSet:
        """`seconds` 0 = ten minutes. Raises RequestUnsound, NotFound."""
        logger = find(name)
        if level not in LEVELS:
            raise RequestUnsound(
                f"level: expected one of {', '.join(LEVELS)}, found {shown(level)}"
            )
        seconds = seconds or SECONDS
        if not 0 < seconds <= SECONDS_MAX:
            raise RequestUnsound(f"seconds: expected 0 to {SECONDS_MAX}, found {seconds}")
        before = logging.getLevelName(logger.getEffectiveLevel())
        original = logger.level
        if name in self._changed:
            original, timer = self._changed[name]
            timer.cancel()
        logger.setLevel(level)
        timer = self._clock.call_later(seconds * 1000, lambda: self._back(name))
        self._changed[name] = (original, timer)
        return LevelSet(before, level, self._clock.now_ms() + seconds * 1000)

    def _back(self, name: str) -> None:
        original, _ = self._changed.pop(name)
        find(name).setLevel(original)


def find(name: str) -> logging.Logger:
    """A logger that exists. Raises RequestUnsound, NotFound."""
    if not name:
        raise RequestUnsound(
            "logger: expected the name of a logger, such as podium.api, found none"
        )
    if bounded_text("logger", name) == ROOT:
        return logging.getLogger()
    known = logging.getLogger().manager.loggerDict
    if name not in known:
        ours = sorted(each for each in known if each.startswith("podium"))
        raise NotFound(
            f"logger: expected root, one of {', '.join(ours)} or of a library, found {shown(name)}"
        )
    return logging.getLogger(name)
