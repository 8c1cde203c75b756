"""AdminService.ListAudit: rows of the audit trail as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.method_table import Context, Served
from podium.app.audit import AuditRequest, list_audit
from podium.v1 import admin_audit_pb2 as pb

if TYPE_CHECKING:
    from podium.model.audit import AuditRecord
    from podium.runtime.audit import AuditLog


class AdminAudit:
    """One method."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def served(self) -> dict[str, Served]:
        """By method name."""
        return {"ListAudit": Served(self.list_audit, pb.ListAuditRequest)}

    async def list_audit(
        self, request: pb.ListAuditRequest, context: Context
    ) -> pb.ListAuditResponse:
        del context
        page = await list_audit(
            self._log,
            AuditRequest(
                from_ms=request.from_ms,
                until_ms=request.until_ms,
                name=request.workflow_id,
                page_size=request.page_size,
                page_token=request.page_token,
            ),
        )
        return pb.ListAuditResponse(
            calls=[call_of(each) for each in page.records], next_page_token=page.next
        )


def call_of(record: AuditRecord) -> pb.AuditedCall:
    """The message of a row."""
    return pb.AuditedCall(
        at_ms=record.at_ms,
        principal=record.principal,
        peer=record.peer,
        method=record.method,
        names=record.names,
        more_names=record.more,
        code=record.code,
        server=record.server,
    )
