"""The scripts: one per verb, as text with its digest; queue scripts share a beginning."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files
from typing import Final

import msgspec

FOLDER: Final = files("podium.store.redis") / "lua"


class Script(msgspec.Struct, frozen=True):
    """Text for EVAL, digest for EVALSHA."""

    name: str
    text: str
    digest: str


def _script(name: str, *, queue: bool = False) -> Script:
    text = (FOLDER / f"{name}.lua").read_text()
    if queue:
        text = (FOLDER / "queue.lua").read_text() + text
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


COMMIT: Final = _script("commit")
REMOVE: Final = _script("remove")
TOMBSTONE: Final = _script("tombstone")
UNARCHIVE: Final = _script("unarchive")
INDEXED: Final = _script("indexed")
KEEP: Final = _script("keep")
ROWS: Final = _script("rows")
PUSH: Final = _script("push", queue=True)
ADMIT: Final = _script("admit", queue=True)
WANT: Final = _script("want", queue=True)
RELEASE: Final = _script("release", queue=True)
SETTLE: Final = _script("settle")
FREE: Final = _script("free")
UNCLAIM: Final = _script("unclaim")
LEAVE: Final = _script("leave")
STATE: Final = _script("state", queue=True)
AUDIT: Final = _script("audit")
SEEN: Final = _script("seen")
POLLED: Final = _script("polled")
LOG: Final = _script("log")
COUNT: Final = _script("count", queue=True)
PLACE: Final = _script("place")
BEAT: Final = _script("beat")
FORGET: Final = _script("forget")
DEFINE: Final = _script("define")
UNDEFINE: Final = _script("undefine")
LATEST: Final = _script("latest")
POST: Final = _script("post")
TAKE: Final = _script("take")
ALL: Final = (
    COMMIT,
    REMOVE,
    TOMBSTONE,
    UNARCHIVE,
    INDEXED,
    KEEP,
    ROWS,
    PUSH,
    ADMIT,
    WANT,
    RELEASE,
    SETTLE,
    FREE,
    UNCLAIM,
    LEAVE,
    STATE,
    AUDIT,
    SEEN,
    POLLED,
    LOG,
    COUNT,
    PLACE,
    BEAT,
    FORGET,
    DEFINE,
    UNDEFINE,
    LATEST,
    POST,
    TAKE,
)
