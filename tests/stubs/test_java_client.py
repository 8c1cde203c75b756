"""Conductor's own gRPC client for Java, unchanged, against a real server (tests/stubs/java)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

import pytest

from tests.cli.serving import serving
from tests.stubs.building import java_client

HERE: Final = Path(__file__).with_name("java")
RUN_S: Final = 120


def scenes() -> list[str]:
    """Those that the program names."""
    return re.findall(r'SCENES\.put\("([^"]+)"', (HERE / "Main.java").read_text())


@pytest.mark.part("java")
@pytest.mark.timeout(RUN_S + 120)
async def test_the_java_client_of_conductor_works_unchanged(tmp_path: Path) -> None:
    command = java_client(tmp_path / "classes")
    async with serving("--store", f"sqlite:///{tmp_path}/podium.db") as server:
        process = await asyncio.create_subprocess_exec(
            *command,
            *server.target.rsplit(":", 1),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(RUN_S):
                said, complaints = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, complaints.decode()
        assert said.decode().splitlines() == scenes()
        assert await server.end() == (0, "")


def test_the_program_has_scenes_and_the_client_that_the_contract_names() -> None:
    assert scenes()
    pom = (HERE / "pom.xml").read_text()
    named = re.search(
        r"<groupId>(.+)</groupId>\s*<artifactId>(conductor-.+)</artifactId>"
        r"\s*<version>(.+)</version>",
        pom,
    )
    assert named is not None
    assert named.groups() == ("com.netflix.conductor", "conductor-grpc-client", "3.15.0")
