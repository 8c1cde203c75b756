"""Reading the audit trail by pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.failure import RequestUnsound, shown
from podium.app.names import bounded_text
from podium.model.audit import AuditRecord
from podium.store.audit import AuditQuery

if TYPE_CHECKING:
    from podium.runtime.audit import AuditLog

PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1_000
FOR_EVER: Final = 2**62
SEQUENCE_DIGITS_MAX: Final = 18


class AuditRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`until_ms` 0 = up to now; `page_size` 0 = 100; `page_token` as the page before gave it."""

    from_ms: int = 0
    until_ms: int = 0
    name: str = ""
    page_size: int = 0
    page_token: str = ""


class AuditPage(msgspec.Struct, frozen=True):
    """Records, the newest first; `next` "" = there are no more."""

    records: tuple[AuditRecord, ...]
    next: str


async def list_audit(log: AuditLog, request: AuditRequest) -> AuditPage:
    """One page. Raises RequestUnsound, StoreError."""
    size = request.page_size or PAGE_SIZE
    if not 0 < size <= PAGE_SIZE_MAX:
        raise RequestUnsound(f"page_size: expected 0 to {PAGE_SIZE_MAX}, found {request.page_size}")
    if request.from_ms < 0 or request.until_ms < 0:
        found = min(request.from_ms, request.until_ms)
        raise RequestUnsound(f"from_ms, until_ms: expected 0 or more, found {found}")
    if request.until_ms and request.until_ms <= request.from_ms:
        raise RequestUnsound(
            f"until_ms: expected more than from_ms, {request.from_ms}, found {request.until_ms}"
        )
    found = await log.find(
        AuditQuery(
            from_ms=request.from_ms,
            until_ms=request.until_ms or FOR_EVER,
            name=bounded_text("workflow_id", request.name),
            before=before_of(request.page_token),
            limit=size + 1,
        )
    )
    more = str(found[size - 1][0]) if len(found) > size else ""
    return AuditPage(tuple(record for _, record in found[:size]), more)


def before_of(token: str) -> int:
    """Raises RequestUnsound."""
    if not token:
        return FOR_EVER
    if not (token.isascii() and token.isdigit() and len(token) <= SEQUENCE_DIGITS_MAX):
        raise RequestUnsound(f"page_token: expected one that an answer gave, found {shown(token)}")
    return int(token)
