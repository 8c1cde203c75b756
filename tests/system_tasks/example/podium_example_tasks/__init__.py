"""Three system tasks: an async one, one that blocks a thread, one that asks to be called again.

They run inside the server, so a workflow needs no worker for them.
"""

from __future__ import annotations

import asyncio
import time

from podium.tasks.system import Later, SystemCall, SystemTask, TaskFailed

LOOKS = 3


class UserTask(SystemTask):
    """Counts the entries of its input, or fails as its input wants."""

    tasks_max = 50

    async def run(self, call: SystemCall) -> dict[str, object]:
        await asyncio.sleep(0)
        wish = call.input.get("fail")
        if wish and call.retry_count == 0:
            raise TaskFailed(f"asked to fail: {wish}", terminal=wish == "terminal")
        return {"size": len(call.input), "by": call.reference_name}


class BlockingTask(SystemTask):
    """Does what cannot be awaited; it has threads of its own."""

    tasks_max = 2

    def run(self, call: SystemCall) -> dict[str, object]:
        time.sleep(0.01)
        return {"blocked": True}


class PatientTask(SystemTask):
    """Looks three times before it is done."""

    async def run(self, call: SystemCall) -> dict[str, object] | Later:
        looks = call.runs_before + 1
        return {"looks": looks} if looks == LOOKS else Later(0.05, {"looks": looks})
