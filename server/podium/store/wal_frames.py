"""How much of SQLite's write-ahead log is in use: its file keeps its size when it is begun anew.

Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

from __future__ import annotations

import os
from typing import Final

PAGE_BYTES: Final = 4096
WAL_HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24


def wal_frames(descriptor: int, known: int) -> int:
    """Frames of the WAL's present generation (those that carry the salt of its header).

    `known` = a count found before, where the search begins.
    """
    salt = os.pread(descriptor, 8, 16)
    size = FRAME_HEADER_BYTES + PAGE_BYTES

    def current(index: int) -> bool:
        return os.pread(descriptor, 8, WAL_HEADER_BYTES + index * size + 8) == salt

    if not salt or not current(0):
        return 0
    low = known - 1 if known > 0 and current(known - 1) else 0
    step = 1
    while current(low + step):
        low += step
        step *= 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if current(middle):
            low = middle
        else:
            high = middle
    return low + 1
