"""How long a WAIT waits, as definitions write it: a duration, or an instant (S-452, S-453).

An instant without a zone is in UTC, so that it means the same on every server. Zones are names of
the zone database, offsets (`GMT+04:00`), or one of a few abbreviations.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from podium.engine.timing import MS

UNITS: Final = (
    (86_400, "days?|d"),
    (3_600, "hours?|hrs?|h"),
    (60, "minutes?|mins?|m"),
    (1, "seconds?|secs?|s"),
)
DURATION: Final = re.compile(
    "".join(rf"(?:(\d{{1,10}})\s*(?:{names})\s*)?" for _, names in UNITS), re.IGNORECASE | re.ASCII
)
INSTANT: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:\s(\d{2}):(\d{2})(?:\s(\S(?:.{0,60}\S)?))?)?", re.ASCII
)
OFFSET: Final = re.compile(r"(?:GMT|UTC|UT)?([+-])(\d{1,2})(?::?(\d{2}))?", re.ASCII)
ABBREVIATIONS: Final = {
    "Z": "UTC", "UT": "UTC", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
    "MST": "America/Denver", "MDT": "America/Denver", "CST": "America/Chicago",
    "CDT": "America/Chicago", "EST": "America/New_York", "EDT": "America/New_York",
    "BST": "Europe/London", "WEST": "Europe/Lisbon", "CEST": "Europe/Paris",
    "EEST": "Europe/Helsinki", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul", "SGT": "Asia/Singapore", "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney", "NZST": "Pacific/Auckland", "NZDT": "Pacific/Auckland",
}  # fmt: skip
SECONDS_MAX: Final = 2**31 - 1
OFFSET_HOURS_MAX: Final = 18
DURATION_FORM: Final = "[N days] [N hours] [N minutes] [N seconds]"
INSTANT_FORM: Final = "yyyy-MM-dd, yyyy-MM-dd HH:mm or yyyy-MM-dd HH:mm zone"


def duration_ms(text: str) -> int | None:
    """Milliseconds of a duration; None where it is none, or longer than 2^31-1 seconds."""
    found = DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    parts = zip(UNITS, found.groups(), strict=True)
    seconds = sum(unit * int(count) for (unit, _), count in parts if count)
    return seconds * MS if seconds <= SECONDS_MAX else None


def instant_ms(text: str) -> int | None:
    """The instant as epoch milliseconds; None where the text is none."""
    found = INSTANT.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, zone_text = found.groups()
    zone = UTC if zone_text is None else zone_of(zone_text)
    if zone is None:
        return None
    try:
        instant = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), tzinfo=zone
        )
        return round(instant.timestamp() * MS)
    except (ValueError, OverflowError):
        return None


def zone_of(text: str) -> tzinfo | None:
    """A zone by offset, abbreviation or name."""
    offset = OFFSET.fullmatch(text.upper())
    if offset is not None:
        sign, hours, minutes = offset.groups()
        if int(hours) > OFFSET_HOURS_MAX:
            return None
        shift = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return timezone(-shift if sign == "-" else shift)
    for name in (ABBREVIATIONS.get(text.upper(), text), text.upper()):
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # no such name; a folder; one that is no path
            continue
    return None
