"""`podium demo` as its user runs it: it ends well, says how, and leaves nothing behind."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

DEMO_S_MAX = 15
# Reference → the statuses it must be shown in, in order.
SHOWN = {
    "task_1": ["IN_PROGRESS", "COMPLETED"],
    "event_0": ["COMPLETED"],
    "oddEvenDecision": ["COMPLETED"],
    "fanout1": ["COMPLETED"],
    "fan_1": ["COMPLETED"],
    "fan_2": ["COMPLETED"],
    "fan_3": ["IN_PROGRESS", "COMPLETED"],
    "join1": ["COMPLETED"],
    "get_es_1": ["COMPLETED"],
    "task_30": ["COMPLETED"],
}


async def test_the_demo_shows_the_finished_kitchen_sink(tmp_path: Path) -> None:
    # A setting of the shell around it must not reach the demo's server.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PODIUM_GRPC_LISTEN": "nowhere"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "podium.cli.main", "demo"),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEMO_S_MAX):
            said, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert (process.returncode, complaints.decode()) == (0, "")

    text = said.decode()
    for reference, statuses in SHOWN.items():
        changes = re.findall(rf"^ *\d+ +\d+  {reference} +(\w+)", text, re.MULTILINE)
        assert [each for each in changes if each in statuses] == statuses, (reference, text)
    table, _, output = text.partition("\noutput:\n")
    assert table.splitlines()[-1].strip() == "COMPLETED"
    assert json.loads(output) == {
        "statues": ["COMPLETED", "RUNNING"],
        "workflowIds": ["7d1c0a52-demo-execution-1", "b04f9be6-demo-execution-2"],
    }
    assert not left_in(tmp_path)


def left_in(folder: Path) -> list[Path]:
    """What the demo forgot."""
    return list(folder.iterdir())
