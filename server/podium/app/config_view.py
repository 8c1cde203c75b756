"""The configuration in force as an operator may see it: where each value came from, no secrets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.config import Name, Settings
    from podium.model.payload import JsonObject, JsonValue

DEFAULT: Final = "default"
REDACTED: Final = "(redacted)"
SECRET: Final = re.compile(r"secret|password|passphrase|token|credential|(^|_)keys?($|_)")
NO_SECRET: Final = re.compile(r"_(file|path|folder|header|ms|s|seconds|max|limit|url)$")
"""How settings end that name where a secret is, or bound it."""
USER_INFO: Final = re.compile(r"(?<=://)[^/@\s]+@")


class Shown(msgspec.Struct, frozen=True):
    """One setting: its value as JSON text, and from where it is."""

    section: str
    key: str
    value: str
    origin: str
    redacted: bool


def shown(settings: Settings, origins: Mapping[Name, str]) -> list[Shown]:
    """Every setting, in the order of the file. What `origins` does not name is a default."""
    document: dict[str, JsonObject] = msgspec.to_builtins(settings)
    found: list[Shown] = []
    for section, table in document.items():
        for key, value in table.items():
            origin = origins.get((section, key), DEFAULT)
            plain = without_secrets(key, value)
            text = json.dumps(plain)
            found.append(Shown(section, key, text, origin, plain != value))
    return found


def without_secrets(key: str, value: JsonValue) -> JsonValue:
    """The value; what is a secret by its name is not told, nor is who logs in in a URL."""
    if SECRET.search(key) and not NO_SECRET.search(key) and value not in ("", None, [], {}):
        return REDACTED
    if isinstance(value, str):
        return USER_INFO.sub(f"{REDACTED}@", value)
    if isinstance(value, list):
        return [without_secrets("", each) for each in value]
    if isinstance(value, dict):
        return {name: without_secrets(name, each) for name, each in value.items()}
    return value
