"""A server whose disk is full, or cannot be written: clear refusals, nothing lost, and a way back.

A small tmpfs of its own is the disk, so the tests need the right to mount (part "tmpfs").
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from tests.chaos.victim import Victim
from tests.cli.serving import refused
from tests.e2e.client import Client
from tests.e2e.staying import NAME, staying

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISK_MIB = 8
STARTS_MAX = 200
BIG = "x" * 200_000
"""Of a start's input or a result's output: as many pages of the store as no corner has left."""
BLOCK_BYTES = 4096
REFUSAL = "expected space in the store, found it full or read-only; nothing was stored"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={DISK_MIB}m")
    subprocess.run(["mount", *options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the space that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(BLOCK_BYTES)) == BLOCK_BYTES:
                pass
        except OSError:
            pass
    return filler


def forbid_writing(folder: Path) -> None:
    """Access rights would not stop root."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


async def start_until_refused(client: Client, task_type: str) -> tuple[list[str], str]:
    """The starts that were acknowledged, and how the next one was refused."""
    started: list[str] = []
    for _ in range(STARTS_MAX):
        try:
            started.append(await client.start(task_type, BIG))
        except grpc.aio.AioRpcError as error:
            return started, f"{error.code().name}: {error.details()}"
    pytest.fail(f"expected a refusal, found {STARTS_MAX} starts acknowledged")


@pytest.mark.part("tmpfs")
@pytest.mark.timeout(90)
async def test_a_full_disk_loses_nothing_and_work_goes_on_with_space(disk: Path) -> None:
    async with Victim(disk) as server, Client(server.target) as client:
        await client.register("held")
        await client.register("waits")
        async with staying(server.target, "held", output=BIG) as stays:
            # Given a worker with a task in hand, and a disk that fills up under starts
            held_id = await client.start("held")
            await stays.has_taken()
            started = [await client.start("waits", BIG)]
            filler = fill(disk)
            more, refusal = await start_until_refused(client, "waits")
            started += more
            # Then the start that does not fit is refused, in clear words
            assert refusal == f"RESOURCE_EXHAUSTED: {REFUSAL}"
            # And the result that its worker sends arrives and is not acknowledged
            stays.go.set()
            said = stays.overheard
            await said.until(lambda: said.pongs > 0)
            assert await start_until_refused(client, "waits") == ([], refusal)
            assert (said.accepted, said.refused) == ({}, {})
            # And reads are answered
            assert (await client.read(held_id)).tasks[0].task_id == stays.taken[0][0]
            # When there is space again
            filler.unlink()
            # Then the result is stored and acknowledged, and starts are taken
            await said.until(lambda: bool(said.accepted))
            status, output = await client.ended(held_id)
            assert (status, output) == ("COMPLETED", {"by": NAME})
            started.append(await client.start("waits", BIG))
        # And all that was acknowledged is there, now and in the next life
        await _assert_all_there(client, started)
        assert (await server.stop())[0] == 0
        await server.start()
        await _assert_all_there(client, started)
        assert (await client.ended(held_id))[0] == "COMPLETED"


async def _assert_all_there(client: Client, started: list[str]) -> None:
    for workflow_id in started:
        found = await client.read(workflow_id)
        assert found.input["text"].string_value == BIG
        assert len(found.tasks) == 1


@pytest.mark.part("tmpfs")
async def test_a_folder_that_cannot_be_written_is_told_in_one_line(disk: Path) -> None:
    forbid_writing(disk)
    code, words = await refused("--grpc", "127.0.0.1:0", "--store", f"sqlite:///{disk}/podium.db")
    assert (code, words) == (
        2,
        f"podium: store.url: expected {disk} to be writable, found it read-only\n",
    )
