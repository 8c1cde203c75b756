"""One call that may have changed something: who, what, on which names, with what outcome."""

from __future__ import annotations

import msgspec


class AuditRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Stored for as long as the trail holds it: new fields are appended with a default.

    `names`: the first ids and names that the request gives, `more` how many there are beyond them;
    never what the request carries. `code`: the name of the gRPC status.
    """

    at_ms: int
    method: str
    principal: str
    peer: str
    names: tuple[str, ...]
    more: int
    code: str
    server: str
