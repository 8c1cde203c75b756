"""Log lines of a served process, and of records that would break a line or tell too much."""

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from podium.conductor.definition_pb2 import WorkflowTask
from podium.telemetry.log_line import JsonLine, TextLine
from podium_worker import worker_task
from tests.cli.serving import serving
from tests.system_tasks.test_example import client_of, of_type
from tests.worker.working import working

SECRET = "canary-4711"
ANSWER_S_MAX = 10
RAISING = """
from podium.tasks.system import SystemTask


class Raising(SystemTask):
    async def run(self, call):
        raise KeyError(f"no field in {call.input}\\nand a second line")
"""


@worker_task("echo")
async def echo(task_input: dict[str, object]) -> dict[str, object]:
    return task_input


def installed(folder: Path) -> str:
    """A distribution whose system task raises whatever it is given, as pip would lay it down."""
    (folder / "raising.py").write_text(RAISING)
    about = folder / "raising-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: raising\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[podium.tasks]\nRAISING = raising:Raising\n")
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


@pytest.mark.timeout(60)
async def test_every_line_of_a_server_is_an_event_with_its_ids_and_no_values(
    tmp_path: Path,
) -> None:
    async with serving(
        *("--store", "memory://"), PYTHONPATH=installed(tmp_path), PODIUM_LOG_LEVEL="info"
    ) as server:
        async with client_of(server.target) as client, working(server.target, echo):
            found = await client.runs(of_type("RAISING", "r", card=SECRET))
            await go_away(server.target)
        code, complaints = await server.end()

    lines: list[dict[str, Any]] = [json.loads(line) for line in complaints.splitlines()]
    events = {line["event"]: line for line in lines}
    assert code == 0
    assert {"serving", "stream_opened", "stream_ended", "stopping"} <= events.keys()
    raised = events["system_task_raised"]
    assert raised["level"] == "error"
    assert raised["task_id"] == found.tasks[0].task_id
    assert raised["error"] == "KeyError"
    assert raised["traceback"][-1].endswith("raising.py:7 run")
    assert all({"time", "level", "logger", "event", "text"} <= line.keys() for line in lines)
    assert SECRET not in complaints


@pytest.mark.timeout(60)
async def test_a_warning_of_a_definition_is_a_line_of_text_where_text_is_wanted() -> None:
    async with serving("--store", "memory://", PODIUM_LOG_FORMAT="text") as server:
        async with client_of(server.target) as client:
            fork = WorkflowTask(name="f", task_reference_name="f", type="FORK_JOIN")
            branch = fork.fork_tasks.add()
            branch.tasks.append(WorkflowTask(name="n", task_reference_name="n", type="NOOP"))
            odd = WorkflowTask(name="j", task_reference_name="j", type="JOIN")
            await client.runs(fork, odd, name="odd")
        code, complaints = await server.end()
    assert code == 0
    assert complaints.count("\n") == len(complaints.splitlines())
    assert " warning definition_warning logger=" in complaints


async def go_away(target: str) -> None:
    """Connect, say an HTTP/2 GOAWAY with an error, and leave: the C core has words for that."""
    host, _, port = target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    settings = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    goaway = bytes((0, 0, 8, 7, 0, 0, 0, 0, 0)) + bytes((0, 0, 0, 0, 0, 0, 0, 2))
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + goaway)
    await writer.drain()
    async with asyncio.timeout(ANSWER_S_MAX):
        await reader.readexactly(len(settings))  # its own, so it reads ours
    writer.close()


def record_of(text: str, error: Exception | None = None, **extra: Any) -> logging.LogRecord:
    logger = logging.getLogger("podium.test")
    trace = None if error is None else (type(error), error, error.__traceback__)
    return logger.makeRecord(
        "podium.test", logging.WARNING, __file__, 1, text, (), trace, extra=extra
    )


@pytest.mark.parametrize("formatter", [JsonLine(), TextLine()])
@pytest.mark.parametrize("text", ["a\nb", "\u2028x", "\udc80", "\x00\r", "x" * 5_000])
def test_nothing_breaks_a_line(formatter: logging.Formatter, text: str) -> None:
    line = formatter.format(record_of(text, event="odd", task_id=text))
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert len(line) < 10_000


def test_the_text_of_an_exception_is_told_at_debug_alone() -> None:
    def cause() -> None:
        raise ValueError(SECRET)

    def effect() -> None:
        try:
            cause()
        except ValueError as error:
            raise RuntimeError(f"again {SECRET}") from error

    with pytest.raises(RuntimeError) as caught:
        effect()
    record = record_of("it failed", caught.value, event="failed")
    told = json.loads(JsonLine().format(record))
    assert (told["error"], told["causes"]) == ("RuntimeError", ["ValueError"])
    assert SECRET not in json.dumps(told)

    root, before = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.DEBUG)
    try:
        told = json.loads(JsonLine().format(record))
    finally:
        root.setLevel(before)
    assert told["error_text"] == f"again {SECRET}"


def test_what_libraries_log_tells_its_pattern_and_not_its_values() -> None:
    logger = logging.getLogger("asyncio")
    text = f"Task exception was never retrieved\nfuture: <Task exception=KeyError('{SECRET}')>"
    record = logger.makeRecord("asyncio", logging.ERROR, __file__, 1, text, (), None)
    told = json.loads(JsonLine().format(record))
    assert (told["event"], told["text"]) == ("log", "Task exception was never retrieved")


def test_times_are_in_utc_with_milliseconds() -> None:
    record = record_of("now", event="x")
    told = json.loads(JsonLine().format(record))["time"]
    assert told.endswith("+00:00")
    assert told[:19] == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    assert sys.excepthook is not None
