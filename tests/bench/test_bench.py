"""The benchmark judges rightly, and its floor program does what its figures claim."""

import sqlite3
import sys
from pathlib import Path

import msgspec
import pytest

from tests.bench.figures import Bar, figure, percentile, ratio
from tests.bench.floor import WorkflowRecord
from tests.bench.jobs import ONE_TASK, TEN_TASKS, Latencies, Pace, Rate, Saturate, Shape
from tests.bench.measurements import ECHO_COMMAND
from tests.bench.processes import Failed, run_job, serving


@pytest.mark.parametrize(
    ("bar", "rounds", "met"),
    [
        (Bar(0.4, at_least=True), [0.1, 0.4, 0.9], True),
        (Bar(0.4, at_least=True), [0.1, 0.39, 0.9], False),
        (Bar(50, at_least=False), [1, 50, 90], True),
        (Bar(50, at_least=False), [1, 51, 90], False),
    ],
)
def test_the_median_decides(bar: Bar, rounds: list[float], met: bool) -> None:  # noqa: FBT001
    judged = figure("name", "unit", rounds, bar)
    assert judged.met is met
    assert ("MISSED" in judged.line(2)) is not met


def test_a_ratio_is_that_of_the_medians() -> None:
    judged = ratio("name", [4, 1, 2], [4, 4, 8], Bar(0.4, at_least=True))
    assert (judged.value, judged.low, judged.high) == (0.5, 0.25, 1.0)


def test_a_percentile_is_a_sample() -> None:
    hundred = [float(number) for number in range(100, 0, -1)]
    assert (percentile(hundred, 50), percentile(hundred, 99)) == (50, 99)
    assert percentile([7.0], 99) == 7


@pytest.mark.parametrize("shape", [ONE_TASK, TEN_TASKS])
async def test_the_floor_has_stored_every_workflow_it_counted(shape: Shape, tmp_path: Path) -> None:
    # given a floor that ended after a short saturation
    database = tmp_path / "floor.db"
    async with serving(sys.executable, "-m", "tests.bench.floor", str(database)) as server:
        job = Saturate(server.target, shape, calls=8, open_limit=8, warm_up_ms=0, window_ms=200)
        rate = await run_job(job, Rate)
    # when its rows are read
    with sqlite3.connect(database) as connection:
        workflows = connection.execute("SELECT record FROM workflow").fetchall()
        tasks = connection.execute("SELECT count(*) FROM task").fetchone()[0]
    # then all are completed, with all their tasks
    records = [msgspec.msgpack.decode(record, type=WorkflowRecord) for (record,) in workflows]
    assert {record.status for record in records} == {"COMPLETED"}
    assert len(records) >= rate.workflows > 0
    assert tasks == len(records) * shape.tasks


async def test_a_paced_run_times_every_start(tmp_path: Path) -> None:
    database = str(tmp_path / "floor.db")
    async with serving(sys.executable, "-m", "tests.bench.floor", database) as server:
        job = Pace(server.target, ONE_TASK, interval_ms=5, warm_up_count=5, count=20)
        latencies = await run_job(job, Latencies)
    assert len(latencies.received_ms) == len(latencies.answered_ms) == 20
    assert min(latencies.received_ms + latencies.answered_ms) > 0


async def test_a_server_that_does_not_serve_is_a_failure_with_its_words() -> None:
    program = "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"
    with pytest.raises(Failed, match="expected a serving line, found exit 3") as failure:
        async with serving(sys.executable, "-c", program):
            pass
    assert failure.value.__notes__ == ["the server wrote: no such thing"]


async def test_a_job_for_an_unreachable_server_is_a_failure() -> None:
    # given an address nobody serves any more
    async with serving(*ECHO_COMMAND) as server:
        gone = server.target
    # then the generator says so
    with pytest.raises(Failed, match="UNAVAILABLE"):
        await run_job(Pace(gone, ONE_TASK, interval_ms=1, warm_up_count=0, count=1), Latencies)


@pytest.mark.parametrize("library", ["asyncio", "uvloop"])
async def test_a_burning_loop_still_runs_its_program_to_the_end(library: str) -> None:
    # given a program that ends when a timer fires
    program = (
        f"import asyncio, json, {library}\n"
        "from tests.bench.burning_server import set_alight\n"
        "async def wait(): await asyncio.sleep(0.05); return 'over'\n"
        "set_alight()\n"
        f"print(json.dumps({{'event': 'serving', 'grpc': {library}.run(wait())}}))\n"
    )
    # then its loop burnt before, and its result is not lost
    async with serving(sys.executable, "-c", program) as server:
        assert (server.events, server.target) == (("burning", "serving"), "over")
