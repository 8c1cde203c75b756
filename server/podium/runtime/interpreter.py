"""What a server asks of the Python that runs it: many records, few cycles, one loop."""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

COLLECT_AFTER: Final = 20_000
"""More objects than this must have come and stayed (Python's own: 700)."""
COLLECT_MIDDLE_EVERY: Final = 50
COLLECT_OLD_EVERY: Final = 20
SWITCH_S: Final = 0.0005
TRIM_THRESHOLD: Final = -1
ARENA_MAX: Final = -8
"""Parameters of glibc's mallopt (malloc.h)."""
TRIM_BYTES: Final = 1 << 20
ARENAS: Final = 2


def spare_the_collector() -> None:
    """Let Python's cycle collector leave alone what stays, and look at the rest less often.

    Records, cached executions and commits hold no cycles, so reference counts free them; walking
    them again and again took a fifth of the time of a saturated server (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, COLLECT_MIDDLE_EVERY, COLLECT_OLD_EVERY)


def let_the_loop_go_first() -> None:
    """A thread that computes (the index's writer) hands over to the loop within this time: each
    transaction of the store lets go of the interpreter a few times and would wait 5 ms for it.
    """
    sys.setswitchinterval(SWITCH_S)


def give_memory_back() -> None:
    """Let glibc return what an attack or a burst took: by itself it keeps more and more of it, in
    as many places as there were threads. Other C libraries have no such switch.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(TRIM_THRESHOLD, TRIM_BYTES)
        set_option(ARENA_MAX, ARENAS)
