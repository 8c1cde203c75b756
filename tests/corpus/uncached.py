"""`podium` with the executor's cache off: every command reads its execution from the store.

A setting cannot do that: limits.cache_bytes is at least 1, and the cache keeps the last entry
however large it is. At the end one line on stderr says what was counted.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from unittest.mock import patch

from podium.cli.main import main
from podium.runtime import service
from podium.runtime.cache import Cache

if TYPE_CHECKING:
    from podium.runtime.cache import Entry


class NoCache(Cache):
    """Keeps nothing; counts what was to be kept, and what was asked for in vain."""

    refused = 0
    missed = 0

    def put(self, workflow_id: str, entry: Entry) -> None:
        NoCache.refused += 1

    def get(self, workflow_id: str) -> Entry | None:
        NoCache.missed += 1
        return None


if __name__ == "__main__":
    with patch.object(service, "Cache", NoCache):
        code = main()
    print(json.dumps({"refused": NoCache.refused, "missed": NoCache.missed}), file=sys.stderr)
    sys.exit(code)
