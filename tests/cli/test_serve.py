"""`podium serve`: comes up, says so, ends in order, and tells in one line why it cannot start."""

import asyncio
import signal
import socket
import sqlite3
from pathlib import Path

import grpc
import grpc.aio
import pytest

from podium.conductor.task_service_pb2 import BatchPollRequest, GetTaskRequest
from podium.conductor.task_service_pb2_grpc import TaskServiceStub
from podium.stores import URLS
from podium.v1 import worker_pb2, worker_pb2_grpc
from tests.cli.serving import refused, serving

ANSWER_S_MAX = 10
POLL_S = 5
NO_FOLDER = (
    "store.url: expected a folder for /proc/nowhere/podium.db, found that /proc/nowhere cannot be"
    " made: No such file or directory. Choose another with --store URL"
)


async def test_it_says_where_it_serves_and_ends_with_nothing_to_say(tmp_path: Path) -> None:
    async with serving("--store", f"sqlite:///{tmp_path}/podium.db") as server:
        assert server.said["event"] == "serving"
        host, _, port = server.target.rpartition(":")
        assert (host, int(port) > 0) == ("127.0.0.1", True)
        async with grpc.aio.insecure_channel(server.target) as channel:
            async with asyncio.timeout(ANSWER_S_MAX):
                await channel.channel_ready()
        code, complaints = await server.end()
        assert (code, complaints) == (0, "")


async def test_an_interrupt_ends_it_too() -> None:
    async with serving("--store", "memory://") as server:
        server.process.send_signal(signal.SIGINT)
        assert await server.ended() == (0, "")


async def test_at_its_end_it_sends_workers_away_and_ends_their_streams() -> None:
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        call = worker_pb2_grpc.WorkerServiceStub(channel).Connect()
        hello = worker_pb2.Hello(
            worker_id="w", sdk="test", task_types=[worker_pb2.TaskType(name="t")]
        )
        await call.write(worker_pb2.WorkerFrame(hello=hello))
        async with asyncio.timeout(ANSWER_S_MAX):
            assert "welcome" in str(await call.read())
            server.process.terminate()
            assert "go_away" in str(await call.read())
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert await server.ended() == (0, "")


async def test_at_its_end_it_answers_parked_polls_with_nothing() -> None:
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        tasks = TaskServiceStub(channel)
        poll = BatchPollRequest(task_type="t", count=1, timeout=POLL_S * 1000)
        parked = tasks.BatchPoll(poll)
        # A call of the same connection that is answered shows that the one before it was read.
        with pytest.raises(grpc.aio.AioRpcError):
            await tasks.GetTask(GetTaskRequest(task_id="absent"))
        async with asyncio.timeout(POLL_S / 2):
            server.process.terminate()
            assert [task async for task in parked] == []
            assert await parked.code() is grpc.StatusCode.OK
        assert await server.ended() == (0, "")


async def test_what_was_stored_is_there_for_the_next_life(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/podium.db"
    async with serving("--store", url) as server:
        await server.end()
    async with serving(PODIUM_STORE_URL=url) as server:
        assert (await server.end())[0] == 0


async def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        code, words = await refused("--grpc", place, "--store", "memory://")
    assert code == 2
    assert words == (
        f"podium: grpc.listen: expected a free port on an address of this machine, found {place}:"
        " Address already in use. Choose another with --grpc HOST:PORT (port 0 = any)\n"
    )


async def test_a_taken_port_of_http_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        code, words = await refused(
            *("--grpc", "127.0.0.1:0", "--http", place, "--store", "memory://")
        )
    assert code == 2
    assert words == (
        "podium: gateway.listen: expected a free port on an address of this machine, found"
        f" {place}: Address already in use. Choose another with --http HOST:PORT (port 0 = any)\n"
    )


async def test_without_a_place_no_http_is_served() -> None:
    async with serving("--store", "memory://", "--http", "") as server:
        assert "http" not in server.said
        assert await server.end() == (0, "")


async def test_a_second_server_on_the_same_file_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/podium.db"
    async with serving("--store", url):
        code, words = await refused("--grpc", "127.0.0.1:0", "--store", url)
    assert code == 2
    assert words.count("\n") == 1
    assert "podium.db" in words
    assert "expected" in words
    assert "Traceback" not in words


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "podium.db").write_text("words, not pages " * 1000)
    code, words = await refused(
        "--grpc", "127.0.0.1:0", "--store", f"sqlite:///{tmp_path}/podium.db"
    )
    assert code == 2
    assert words.count("\n") == 1
    assert "Traceback" not in words


async def test_a_database_of_a_newer_podium_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/podium.db"
    async with serving("--store", url) as server:
        await server.end()
    with sqlite3.connect(tmp_path / "podium.db") as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {version + 1000}")
    database.close()
    code, words = await refused("--grpc", "127.0.0.1:0", "--store", url)
    assert code == 2
    assert words.count("\n") == 1
    assert "Traceback" not in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--store", "rados://localhost"),
            f"store.url: expected {URLS}, found rados://localhost",
        ),
        (
            ("--store", "sqlite:////proc/nowhere/podium.db"),
            NO_FOLDER,
        ),
        (
            ("--grpc", "nowhere"),
            'grpc.listen: expected HOST:PORT (IPv6 in brackets), found "nowhere"',
        ),
    ],
)
async def test_what_cannot_be_used_is_told_in_one_line(
    arguments: tuple[str, ...], words: str
) -> None:
    code, said = await refused("--grpc", "127.0.0.1:0", *arguments)
    assert (code, said) == (2, f"podium: {words}\n")


async def test_an_allowed_place_that_cannot_be_read_is_named() -> None:
    code, words = await refused(
        "--grpc", "127.0.0.1:0", "--store", "memory://", PODIUM_HTTP_ALLOW="nowhere/at/all"
    )
    assert code == 2
    assert words.startswith("podium: http.allow: expected an address, a network or a host name")


async def test_a_secret_that_is_no_text_keeps_the_server_from_starting() -> None:
    code, words = await refused("--store", "memory://", CONDUCTOR_SECRET_KEY="k\udcff")
    assert code == 2
    assert "expected UTF-8 in 'CONDUCTOR_SECRET_KEY', found other bytes" in words
