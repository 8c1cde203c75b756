"""The sqlite store on a full disk and in a folder that cannot be written: refusal and way back.

A small tmpfs of its own is the disk, so the test needs the right to mount (part "tmpfs").
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.store.port import Commit, Committed, StoreError, StoreFull
from podium.store.sqlite import SqliteStore
from tests.store.committing import INCARNATION, now_ms, start_of

DISK_MIB = 6
BIG = b"x" * 40_000
COMMITS_MAX = 500


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_MIB}m"]
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
            while file.write(bytes(65_536)) == 65_536:
                pass
            while True:
                file.write(b"0")
        except OSError:
            return filler


def change_of(number: int, version: int) -> Commit:
    workflow_id = start_of(number).workflow_id
    return Commit(workflow_id=workflow_id, version=version, fields={"t:b": BIG})


def contents(disk: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in disk.glob("p.db*")}


def forbid_writing(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


async def commit_until_full(store: SqliteStore) -> int:
    """Versions of execution 0, until the store is full; answers the last that was acknowledged."""
    for version in range(1, COMMITS_MAX):
        try:
            assert await store.commit([change_of(0, version)]) == [Committed(version + 1)]
        except StoreFull:
            return version
    pytest.fail("expected StoreFull, found none")


@pytest.mark.part("tmpfs")
async def test_a_full_disk_refuses_writes_answers_reads_and_heals(disk: Path) -> None:
    # Given a store on a disk without space
    store = SqliteStore(disk / "p.db", now_ms)
    await store.open()
    await store.heartbeat(INCARNATION)
    await store.commit([start_of(0)])
    filler = fill(disk)
    # When commits no longer fit
    version = await commit_until_full(store)
    # Then the refused one left nothing, alone or in a batch, and reads are answered
    for _ in range(2):
        with pytest.raises(StoreFull, match="free some"):
            await store.commit([change_of(0, version), start_of(1)])
    workflow_id = start_of(0).workflow_id
    loaded = await store.load(workflow_id, ["h", "t:b"])
    assert loaded is not None
    assert loaded.version == version
    assert await store.load(start_of(1).workflow_id, None) is None
    assert (await store.heartbeat(INCARNATION)).members
    # And with space it goes on, in the same process
    filler.unlink()
    batch = [change_of(0, version), start_of(1)]
    assert [type(each) for each in await store.commit(batch)] == [Committed, Committed]
    await store.close()
    # And the same is found by the next
    again = SqliteStore(disk / "p.db", now_ms)
    await again.open()
    loaded = await again.load(workflow_id, ["t:b"])
    assert loaded is not None
    assert (loaded.version, loaded.fields) == (version + 1, {"t:b": BIG})
    assert await again.load(start_of(1).workflow_id, ["h"]) is not None
    await again.close()


@pytest.mark.part("tmpfs")
async def test_a_server_killed_on_a_full_disk_starts_there_again(disk: Path) -> None:
    # Given a store that met a full disk and was not closed
    store = SqliteStore(disk / "p.db", now_ms)
    await store.open()
    await store.commit([start_of(0)])
    filler = fill(disk)
    version = await commit_until_full(store)
    copy = contents(disk)
    filler.unlink()
    await store.close()
    # When the files are as a kill would have left them
    for name, content in copy.items():
        (disk / name).write_bytes(content)
    again = SqliteStore(disk / "p.db", now_ms)
    await again.open()
    # Then all that was acknowledged is there
    loaded = await again.load(start_of(0).workflow_id, ["h"])
    assert loaded is not None
    assert loaded.version == version
    await again.close()


@pytest.mark.part("tmpfs")
async def test_a_full_disk_from_the_first_moment_is_said_at_the_opening(disk: Path) -> None:
    filler = fill(disk)
    with pytest.raises(StoreError, match=r"p\.db.*(free some|have space)"):
        await SqliteStore(disk / "p.db", now_ms).open()
    filler.unlink()
    store = SqliteStore(disk / "p.db", now_ms)
    await store.open()
    assert [type(each) for each in await store.commit([start_of(0)])] == [Committed]
    await store.close()


@pytest.mark.part("tmpfs")
@pytest.mark.parametrize("existing", [True, False])
async def test_a_folder_mounted_read_only_is_said_at_the_opening(
    disk: Path, *, existing: bool
) -> None:
    if existing:
        store = SqliteStore(disk / "p.db", now_ms)
        await store.open()
        await store.close()
    forbid_writing(disk)
    with pytest.raises(StoreError, match=r"disk to be writable, found it read-only"):
        await SqliteStore(disk / "p.db", now_ms).open()


async def test_an_absent_folder_is_said_at_the_opening(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the folder must exist"):
        await SqliteStore(tmp_path / "absent" / "p.db", now_ms).open()


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    path.write_bytes(b"something else\n" * 1000)
    with pytest.raises(StoreError, match="restore"):
        await SqliteStore(path, now_ms).open()
    assert path.read_bytes() == b"something else\n" * 1000
