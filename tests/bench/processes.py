"""The processes of the benchmark: servers started, watched and ended, the generator run.

A server is a command that prints one line {"event":"serving","grpc":"HOST:PORT"} on its stdout and
ends on SIGTERM. Only processes started here are ended here, by their own id. Knows nothing of what
is measured.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, TypeVar

import msgspec

from tests.bench.jobs import Job, Latencies, Rate

Answer = TypeVar("Answer", Rate, Latencies)

ROOT = Path(__file__).resolve().parents[2]
SERVING_S_MAX = 20
END_S_MAX = 10
JOB_S_MAX = 120
COMPLAINT_CHARACTERS = 2_000
PROCESSES = Path("/proc")


class Failed(Exception):
    """A process did not do what the measurement needs; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A serving process.

    `serving_s`: from starting the process to its serving line.
    `events`: what it printed until then.
    """

    target: str
    process_id: int
    serving_s: float
    events: tuple[str, ...]

    def resident_mb(self) -> float:
        return resident_mb(self.process_id)


def resident_mb(process_id: int) -> float:
    """Resident memory (VmRSS) now, in 10^6 bytes."""
    lines = (PROCESSES / str(process_id) / "status").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(kib) * 1024 / 1e6


@asynccontextmanager
async def serving(*command: str) -> AsyncIterator[Server]:
    """A server for the block; `{folder}` in the command becomes a fresh folder of its own."""
    with TemporaryDirectory(prefix="podium-bench-") as folder, TemporaryFile() as complaints:
        began_s = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(word.replace("{folder}", folder) for word in command),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
        )
        try:
            target, events = await serving_line(process)
            yield Server(target, process.pid, time.perf_counter() - began_s, events)
        except Failed as failure:
            # Whoever failed, the server's own words may tell why.
            if words := words_of(complaints):
                failure.add_note(f"the server wrote: {words}")
            raise
        finally:
            await end(process)


async def run_job(job: Job, answer_type: type[Answer]) -> Answer:
    """Run the generator on the job and return its answer, which is of the kind jobs.py names."""
    with TemporaryFile() as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.generator",
            msgspec.json.encode(job).decode(),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
        )
        try:
            async with asyncio.timeout(JOB_S_MAX):
                answer, _ = await process.communicate()
        except TimeoutError:
            raise Failed(f"generator: expected an answer in {JOB_S_MAX} s, found none") from None
        finally:
            await end(process)
        if process.returncode != 0:
            found = f"exit {process.returncode}: {words_of(complaints)}"
            raise Failed(f"generator: expected exit 0, found {found}")
        return msgspec.json.decode(answer, type=answer_type)


async def serving_line(
    process: asyncio.subprocess.Process, within_s: float = SERVING_S_MAX
) -> tuple[str, tuple[str, ...]]:
    """HOST:PORT of the serving line, and the events printed until then."""
    assert process.stdout is not None, "the process was started with a pipe"
    events: list[str] = []
    try:
        async with asyncio.timeout(within_s):
            async for line in process.stdout:
                event = json.loads(line)
                events.append(str(event["event"]))
                if events[-1] == "serving":
                    return str(event["grpc"]), tuple(events)
            await process.wait()
    except TimeoutError:
        message = f"server: expected a serving line in {within_s} s, found none"
        raise Failed(message) from None
    raise Failed(f"server: expected a serving line, found exit {process.returncode}")


async def end(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, and end it when it does not; no-op when it has ended."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(END_S_MAX):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def words_of(complaints: IO[bytes]) -> str:
    """The end of what a process wrote to its stderr."""
    complaints.seek(0)
    return complaints.read().decode(errors="replace").strip()[-COMPLAINT_CHARACTERS:]
