"""Times and lists in the words of a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

UNITS: Final = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"))


def span(delay_ms: int) -> str:
    """A length of time in its greatest unit, rounded down: "3 minutes", "less than a second"."""
    for unit_ms, name in UNITS:
        if delay_ms >= unit_ms:
            return counted(delay_ms // unit_ms, name)
    return "less than a second"


def since(at_ms: int, now_ms: int) -> str:
    """How long something lasts: "for 3 minutes"."""
    return f"for {span(now_ms - at_ms)}"


def moment(at_ms: int, now_ms: int) -> str:
    """When: "in 3 minutes", "now", or, where it should have been, "3 minutes ago"."""
    if at_ms > now_ms:
        return f"in {span(at_ms - now_ms)}"
    return "now" if now_ms - at_ms < UNITS[-1][0] else f"{span(now_ms - at_ms)} ago"


def counted(count: int, name: str, plural: str = "") -> str:
    """So many: "1 task", "3 tasks"."""
    return f"{count} {name}" if count == 1 else f"{count} {plural or name + 's'}"


def listed(names: Sequence[str], more: int = 0) -> str:
    """Names in a row: "a, b and 3 more"."""
    if more > 0:
        return f"{', '.join(names)} and {more} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def sentence(text: str) -> str:
    """The text with a full stop: reasons of others have one or not."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
