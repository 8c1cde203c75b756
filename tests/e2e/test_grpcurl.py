"""docs/grpcurl.md, run as it is printed: one shell for the page, the address replaced."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from podium.v1 import admin_pb2
from tests.cli.serving import serving

ADMIN_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/grpcurl.md"
ADDRESS = "127.0.0.1:8090"
BIN = Path(sys.executable).parent
RUN_S = 120
MARK = "----- command "


class Step(NamedTuple):
    """A command of the page, and lines that its output must have."""

    command: str
    lines: tuple[str, ...]


def steps() -> list[Step]:
    """A block marked sh is a command; a block without a mark right behind it is what it prints."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```$(?:\n^```\n(.*?)^```$)?", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    return [Step(command, tuple(printed.splitlines())) for command, printed in blocks]


@pytest.mark.part("grpcurl")
@pytest.mark.timeout(RUN_S + 60)
async def test_each_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    async with serving("--store", f"sqlite:///{tmp_path}/podium.db") as server:
        script = "set -euo pipefail\n"
        for number, step in enumerate(steps()):
            script += f"echo '{MARK}{number}'\n{step.command.replace(ADDRESS, server.target)}"
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script),
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(RUN_S):
            printed, _ = await process.communicate()
    outputs = printed.decode().split(MARK)[1:]
    assert process.returncode == 0, f"the last command failed: {outputs[-1]}"
    assert len(outputs) == len(steps())
    for step, output in zip(steps(), outputs, strict=True):
        for line in step.lines:
            assert line in output, (step.command, output)


def test_the_page_is_about_every_service_and_has_no_other_block() -> None:
    page = PAGE.read_text()
    fences = re.findall(r"^```(\w*)$", page, re.MULTILINE)
    found = len(fences) // 2
    assert found == len(steps()) + sum(bool(step.lines) for step in steps())
    for service in ("WorkflowService", "TaskService", "MetadataService", "AdminService"):
        assert any(f".{service}/" in step.command for step in steps()), service
    for method in ADMIN_SERVICE.methods:
        assert f"podium.v1.AdminService/{method.name}" in page, method.name
