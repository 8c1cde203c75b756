"""AdminService: RepairWorkflow, VerifyPartitions, PurgeWorkflow, SetLogLevel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.method_table import Context, Served
from podium.app.log_levels import LogLevels
from podium.app.purge import Purge
from podium.app.repair import Repairs
from podium.app.verify import Verification
from podium.v1 import admin_mend_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from podium.app.removal import Removal
    from podium.app.services import Services
    from podium.app.standing import Finding


class AdminMend:
    """Four methods."""

    def __init__(self, services: Services, removal: Removal) -> None:
        self._repairs = Repairs(services)
        self._verification = Verification(services)
        self._purge = Purge(services, removal)
        self._levels = LogLevels(services.clock)

    def served(self) -> dict[str, Served]:
        """By method name."""
        return {
            "RepairWorkflow": Served(self.repair, pb.RepairWorkflowRequest),
            "VerifyPartitions": Served(self.verify, pb.VerifyPartitionsRequest),
            "PurgeWorkflow": Served(self.purge, pb.PurgeWorkflowRequest),
            "SetLogLevel": Served(self.set_level, pb.SetLogLevelRequest),
        }

    async def repair(
        self, request: pb.RepairWorkflowRequest, context: Context
    ) -> pb.RepairWorkflowResponse:
        del context
        report = await self._repairs.repair(request.workflow_id)
        return pb.RepairWorkflowResponse(
            mended=[finding_of(each) for each in report.findings],
            left=[finding_of(each) for each in report.left],
            effects=report.effects,
            decided=report.decided,
            parked=report.parked,
        )

    async def verify(
        self, request: pb.VerifyPartitionsRequest, context: Context
    ) -> AsyncGenerator[pb.VerifyPartitionsResponse]:
        del context
        async for each in self._verification.verify(request.partitions, repair=request.repair):
            yield pb.VerifyPartitionsResponse(
                partition=each.partition,
                finding=None if each.finding is None else finding_of(each.finding),
                repaired=each.repaired,
                executions=each.executions,
                findings=each.findings,
            )

    async def purge(
        self, request: pb.PurgeWorkflowRequest, context: Context
    ) -> pb.PurgeWorkflowResponse:
        del context
        purged = await self._purge.purge(request.workflow_id)
        return pb.PurgeWorkflowResponse(
            status=purged.status, forced=purged.forced, archived=purged.archived
        )

    async def set_level(
        self, request: pb.SetLogLevelRequest, context: Context
    ) -> pb.SetLogLevelResponse:
        del context
        done = self._levels.set(request.logger, request.level, request.seconds)
        return pb.SetLogLevelResponse(former_level=done.before, until_ms=done.until_ms)


def finding_of(finding: Finding) -> pb.Finding:
    """The message of a finding."""
    return pb.Finding(
        kind=pb.FindingKind.Value(f"FINDING_KIND_{finding.kind}"),
        workflow_id=finding.workflow_id,
        task_id=finding.task_id,
        expected=finding.expected,
        found=finding.found,
    )
