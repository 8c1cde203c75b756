"""Who makes the current call: known from the edge's check on, for whatever is recorded of it.

A call runs in a task of its own, so what is set for one is never seen by another.
"""

from __future__ import annotations

from contextvars import ContextVar
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["anonymous", "certificate", "key", "token"]


class Role(StrEnum):
    """What a caller may do; which methods that means is api/access.py's table."""

    READER = "reader"
    """Read definitions and executions."""
    WORKER = "worker"
    """Take tasks and report results."""
    WRITER = "writer"
    """Read, register definitions, start and steer executions."""
    ADMIN = "admin"
    """Everything."""


class Principal(msgspec.Struct, frozen=True):
    """A caller. `name`: of the key, the token's subject, or the certificate's identity; "" where
    nobody is asked for credentials. `expires_ms`: epoch ms, None = never.
    """

    kind: Kind
    name: str = ""
    roles: frozenset[Role] = frozenset()
    expires_ms: int | None = None


ANYBODY: Final = Principal("anonymous", roles=frozenset(Role))
"""Every caller of a server that asks for no credentials."""
NOBODY: Final = Principal("anonymous")
"""A caller that showed no credentials, of a server that asks for some."""

_CALLER: Final = ContextVar("caller", default=ANYBODY)


def caller() -> Principal:
    """Of the current call; ANYBODY outside of calls."""
    return _CALLER.get()


def note_caller(principal: Principal) -> None:
    """For the edge, once it knows."""
    _CALLER.set(principal)
