"""Rights that are taken from the user while a server serves: the store is unavailable until they
are given back, and the log says what lacks. What of them lacks at the start, rights.py tells.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Final

from redis import exceptions

from podium.store.port import Forbidden

if TYPE_CHECKING:
    from podium.store.redis.address import Address

LOG: Final = logging.getLogger("podium.store.redis")
AGAIN_S: Final = 60.0
"""Every call of a busy server meets it: the same words are told once in this time."""
BY_SCRIPT: Final = "The user executing the script can't"
"""Redis has no code for a command that is forbidden within a script."""
OF_SCRIPT: Final = re.compile(r" script: [0-9a-f]{40}.*$")


def is_forbidden(error: Exception) -> bool:
    """Whether a right lacks."""
    if isinstance(error, exceptions.NoPermissionError):
        return True
    words = str(error)
    return isinstance(error, exceptions.ResponseError) and (
        BY_SCRIPT in words or "ACL failure in script" in words
    )


class Revoked:
    """What one link has met and told."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._told_s: dict[str, float] = {}

    def judged(self, error: Exception) -> Forbidden:
        """As an error of the store, of an answer that is_forbidden."""
        words = OF_SCRIPT.sub("", str(error).partition("\n")[0])
        self._tell(words)
        return Forbidden(f"expected a user that may do all that Podium does, found: {words}")

    def _tell(self, words: str) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s.get(words, -AGAIN_S) < AGAIN_S:
            return
        self._told_s[words] = now_s
        LOG.error(
            "%s: a right was taken from user %s, found: %s; grant it again with ACL SETUSER, a"
            " server that starts names all that lack",
            *(self._address.shown, self._address.user or "default", words),
            extra={"event": "store_forbidden"},
        )
