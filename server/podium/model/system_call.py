"""What a task that runs inside the server is given."""

from __future__ import annotations

import msgspec

from podium.model.payload import JsonObject


class SystemCall(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one attempt; the values are not to be edited."""

    input: JsonObject
    task_id: str
    reference_name: str
    workflow_id: str
    workflow_name: str
    correlation_id: str = ""
    retry_count: int = 0
    runs_before: int = 0
    """Runs of this attempt before: that asked to be called again, or whose server died."""
    output: JsonObject = {}
    """What the run before left, where there was one in this attempt."""
