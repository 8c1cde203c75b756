"""Steps: what is still to be scheduled within one decision, as data, so that it can be cut.

A decision never recurses into a definition: operators append steps, decide.py works them off. What
remains when a transition reaches its limit is written into a cursor and goes on with Continue.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Action = Literal["run", "settle", "retry", "begin", "branches", "join", "close", "iterate", "prune"]


class Step(msgspec.Struct, frozen=True, array_like=True):
    """run: schedule a node. settle: decide what follows from the ended task `key`. retry: its next
    attempt. begin: start a stored operator task (`key`). branches: create the branches
    of the dynamic fork `key` from number `first` on. join: schedule the join of that fork.
    close: end the join `key`, whose members are all final. iterate: no task of the loop `key` is
    open: its next iteration, or its end. prune: remove iteration `first` of the loop `key`.
    """

    action: Action
    node: int = 0
    branch: str = ""
    iteration: tuple[int, ...] = ()
    key: str = ""
    first: int = 0


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Rest of a cut decision. `number` makes it unique within its execution, so a repeated Continue
    is recognised. `now` = stack of this pass (last first), `later` = steps of the next pass.
    """

    number: int
    now: tuple[Step, ...] = ()
    later: tuple[Step, ...] = ()
    cancel: bool = False
    sweep: str = ""
    """Which pass over all tasks goes on (pausing.py)."""


CURSOR_DECODER: Final = msgspec.json.Decoder(Cursor)


def write_cursor(cursor: Cursor) -> str:
    """The text that ContinueSelf carries."""
    return msgspec.json.encode(cursor).decode()


def read_cursor(text: str) -> Cursor:
    """Inverse of write_cursor. Raises msgspec.DecodeError for any other text."""
    return CURSOR_DECODER.decode(text)
