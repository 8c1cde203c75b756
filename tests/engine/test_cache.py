"""cacheConfig (S-043): equal calls of a worker's task are answered with one output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podium.engine.caching import CACHE, name_of
from podium.engine.command import Pause, Rerun, Restart, Resume, Retry
from podium.engine.graph import compile_workflow
from podium.engine.limits import CACHED_BYTES_LIMIT, CACHED_SECONDS_MAX, PAYLOAD_BYTES_LIMIT
from podium.engine.transition import CacheOutput, FetchCached
from podium.model.payload import Payload
from tests.engine.looping import Looping, loop
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, op, simple, task_def

if TYPE_CHECKING:
    from podium.engine.transition import Effect
    from podium.model.definition import WorkflowDef, WorkflowTask

TTL_S = 60
X = {"x": "${workflow.input.x}"}


def cached(key: str = "${x}", kind: str = "", ttl: int = TTL_S, **fields: Any) -> WorkflowTask:
    fields = {"input_parameters": X, **fields}
    config = {"key": key, "ttlInSecond": ttl}
    if kind:
        return op(kind, "a", cache_config=config, **fields)
    return simple("a", cache_config=config, **fields)


class Shop:
    """Executions of one definition after each other, on one cache."""

    def __init__(self, *tasks: WorkflowTask, **task_defs: Any) -> None:
        self.definition: WorkflowDef = flow(*tasks)
        self.task_defs = task_defs
        self.cached: dict[str, CacheOutput] = {}
        self.now_ms = T0

    def machine(self, definition: WorkflowDef | None = None) -> Machine:
        made = Machine(definition or self.definition, task_defs=self.task_defs)
        made.cached, made.now_ms = self.cached, self.now_ms
        return made

    def start(self, **input_: Any) -> Machine:
        return self.machine().start(input_)

    def worked(self, output: dict[str, Any], **input_: Any) -> Machine:
        """An execution whose task a worker completes."""
        machine = self.start(**input_)
        machine.work("a", output=output)
        machine.run_effects()
        return machine


def kept(machine: Machine) -> list[Effect]:
    return [each for each in machine.done_effects if isinstance(each, CacheOutput)]


def test_an_equal_call_is_completed_at_once_and_the_flow_goes_on() -> None:
    # Given an execution whose worker completed the task
    shop = Shop(cached(start_delay=5), simple("b", input_parameters={"got": "${a.output.y}"}))
    machine = shop.start(x=1)
    machine.due("a", "retry")
    machine.work("a", output={"y": [7]})
    assert machine.task("a").cached_as
    machine.run_effects()
    # When another one comes to it with the same key, five seconds later
    shop.now_ms = machine.now_ms + 5_000
    again = shop.start(x=1)
    # Then it has that output at once, no worker can take it, and what follows reads it
    task = again.task("a")
    assert again.list() == ["a COMPLETED", "b SCHEDULED"]
    assert (task.output.value, task.input.value) == ({"y": [7]}, {"x": 1})
    assert (task.worker_id, task.reason, task.poll_count) == (CACHE, None, 0)
    assert (task.scheduled_ms, task.start_ms, task.end_ms) == (shop.now_ms,) * 3
    assert set(again.ready) == {again.task("b").id}
    assert again.task("b").input.value == {"got": [7]}
    again.work("b")
    again.run_effects()
    assert again.status == "COMPLETED"
    # And it is not kept anew: it ends when it was to end
    assert kept(again) == []


def test_an_output_is_kept_from_its_end_for_its_time() -> None:
    shop = Shop(cached(ttl=1))
    machine = shop.start(x=1)
    machine.now_ms += 9_000
    machine.work("a", output={"y": 1})
    machine.run_effects()
    [effect] = kept(machine)
    assert effect == CacheOutput(
        name=machine.task("a").cached_as,
        output=Payload.of({"y": 1}),
        at_ms=T0 + 9_000,
        until_ms=T0 + 10_000,
    )
    for passed_ms, status in ((999, "COMPLETED"), (1_000, "SCHEDULED")):
        shop.now_ms = T0 + 9_000 + passed_ms
        assert shop.start(x=1).task("a").status == status


def test_the_reader_s_own_time_counts_too() -> None:
    shop = Shop(cached())
    shop.worked({"y": 1}, x=1)
    shop.now_ms += 2_000
    assert shop.machine(flow(cached(ttl=2))).start({"x": 1}).status == "RUNNING"
    assert shop.machine(flow(cached(ttl=3))).start({"x": 1}).status == "COMPLETED"


@pytest.mark.parametrize(
    ("key", "parameters", "equal", "other"),
    [
        ("${x}", X, {"x": 1, "z": 1}, {"x": 2}),
        ("${x}-${z}", {**X, "z": 5}, {"x": 1}, {"x": 2}),
        ("v1 ${workflow.input.z}", {}, {"x": 2, "z": 7}, {"x": 1, "z": 8}),
        ("${workflow.input.${x}}", X, {"x": "z", "z": 7}, {"x": "z", "z": 8}),
        ("${x}", X, {"x": 1}, {"x": None}),
        ("all the same", {}, {"x": 2}, None),
    ],
)
def test_keys_name_parameters_of_the_task_and_anything_else(
    key: str, parameters: dict[str, Any], equal: dict[str, Any], other: dict[str, Any] | None
) -> None:
    first = {"x": "z", "z": 7} if "${workflow.input.${" in key else {"x": 1, "z": 7}
    shop = Shop(cached(key, input_parameters=parameters))
    shop.worked({"y": 1}, **first)
    assert shop.start(**equal).status == "COMPLETED"
    if other is not None:
        assert shop.start(**other).status == "RUNNING"


def test_what_a_parameter_holds_is_not_searched_again() -> None:
    shop = Shop(cached("${x}", input_parameters={"x": "$${y}", "y": "${workflow.input.x}"}))
    shop.worked({"y": 1}, x=1)
    assert shop.start(x=2).status == "COMPLETED"


def test_a_parameter_of_the_task_s_own_comes_before_a_task_of_that_name() -> None:
    both = simple("x"), cached("${x}", input_parameters={"x": "${workflow.input.x}"})
    shop = Shop(*both)
    machine = shop.start(x=1)
    machine.work("x")
    machine.work("a")
    machine.run_effects()
    again = shop.start(x=1)
    again.work("x")
    assert again.status == "COMPLETED"


def test_a_parameter_of_the_attached_template_has_a_name_too() -> None:
    attached = task_def("a", input_template={"t": "${workflow.input.t}"})
    shop = Shop(cached("${t}", task_definition=attached))
    shop.worked({"y": 1}, x=1, t=1)
    assert shop.start(x=2, t=1).status == "COMPLETED"
    assert shop.start(x=1, t=2).status == "RUNNING"


def test_a_key_may_read_tasks_of_a_loop() -> None:
    body = simple("b"), cached("${b.output.n}", input_parameters={})
    machine = Looping(flow(loop(*body))).start()
    for number, taken in ((1, True), (2, True), (3, False)):
        machine.work(f"b__{number}", output={"n": min(number, 2)})
        if taken:
            assert machine.task(f"a__{number}").status == "SCHEDULED"
            machine.work(f"a__{number}", output={"n": number})
            machine.run_effects()
    assert machine.task("a__3").worker_id == CACHE
    assert machine.task("a__3").output.value == {"n": 2}
    assert machine.status == "COMPLETED"


@pytest.mark.parametrize("kind", ["", "HTTP", "OWN_TYPE", "DYNAMIC"])
def test_whatever_a_worker_takes_is_cached(kind: str) -> None:
    fields = {"dynamic_task_name_param": "n", "input_parameters": {**X, "n": "other"}}
    shop = Shop(cached("${x}", kind, **(fields if kind == "DYNAMIC" else {})))
    shop.worked({"y": 1}, x=1)
    again = shop.start(x=1)
    assert again.status == "COMPLETED"
    assert again.task("a").def_name == ("other" if kind == "DYNAMIC" else "a")


@pytest.mark.parametrize("kind", ["NOOP", "HUMAN", "SET_VARIABLE"])
def test_what_no_worker_takes_asks_no_cache(kind: str) -> None:
    shop = Shop(cached("${x}", kind))
    machine = shop.start(x=1)
    if kind == "HUMAN":
        machine.report("a", output={"y": 1})
    machine.run_effects()
    assert machine.status == "COMPLETED"
    assert kept(machine) == []
    assert not any(isinstance(need, FetchCached) for need in machine.needs)


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"key": "k"},
        {"ttlInSecond": 5},
        {"key": "k", "ttlInSecond": 0},
        {"key": " ", "ttlInSecond": 5},
        {"key": "${blank}", "ttlInSecond": 5},
    ],
)
def test_without_a_key_or_a_time_nothing_is_kept(config: Any) -> None:
    task = simple("a", input_parameters={"blank": ""}, cache_config=config)
    shop = Shop(task)
    machine = shop.worked({"y": 1})
    assert kept(machine) == []
    assert not any(isinstance(need, FetchCached) for need in machine.needs)


def test_a_failed_attempt_is_not_kept_and_the_next_one_looks_again() -> None:
    # Given an execution whose first attempt fails
    shop = Shop(cached(), a=task_def("a", retry_count=2, retry_delay_seconds=3))
    machine = shop.start(x=1)
    machine.work("a", "FAILED", output={"y": "bad"})
    machine.run_effects()
    assert machine.list() == ["a FAILED", "a SCHEDULED"]
    assert kept(machine) == []
    # When another execution leaves an output before the second attempt fails, too
    shop.worked({"y": "good"}, x=1)
    machine.due("a", "retry")
    machine.work("a", "FAILED")
    # Then the third has it at once, without waiting
    assert machine.list() == ["a FAILED", "a FAILED", "a COMPLETED"]
    assert machine.task("a").output.value == {"y": "good"}
    assert machine.task("a").cached_as == ""
    assert machine.status == "COMPLETED"


def test_a_retry_that_completes_is_kept() -> None:
    shop = Shop(cached(), a=task_def("a", retry_count=1))
    machine = shop.start(x=1)
    machine.work("a", "FAILED")
    machine.work("a", output={"y": 2})
    machine.run_effects()
    assert len(kept(machine)) == 1
    assert shop.start(x=1).task("a").output.value == {"y": 2}


def test_a_retry_by_hand_looks_again() -> None:
    shop = Shop(cached(), a=task_def("a"))
    machine = shop.start(x=1)
    machine.work("a", "FAILED")
    shop.worked({"y": 2}, x=1)
    machine.send(Retry())
    assert machine.list() == ["a FAILED", "a COMPLETED"]
    assert machine.status == "COMPLETED"


def test_a_restart_looks_again_and_a_rerun_from_the_task_runs_it() -> None:
    # Given an execution that took its output from the cache
    shop = Shop(cached(), simple("b"))
    machine = shop.start(x=1)
    machine.work("a", output={"y": "old"})
    machine.run_effects()
    machine.work("b")
    # When it is restarted, then it is answered again
    machine.send(Restart())
    assert machine.list() == ["a COMPLETED", "b SCHEDULED"]
    assert machine.task("a").worker_id == CACHE
    machine.work("b")
    # When it is run again from the very task, then a worker takes it
    machine.send(Rerun(task_ids=(machine.task("a").id,)))
    assert machine.list() == ["a SCHEDULED"]
    machine.now_ms += 1
    machine.work("a", output={"y": "new"})
    machine.run_effects()
    # And what comes out replaces what was kept
    shop.now_ms = machine.now_ms
    assert shop.start(x=1).task("a").output.value == {"y": "new"}


def test_an_input_given_to_a_rerun_makes_another_key() -> None:
    shop = Shop(cached())
    machine = shop.worked({"y": 1}, x=1)
    task_id = machine.task("a").id
    machine.send(Rerun(task_ids=(task_id,), task_input=Payload.of({"x": 2})))
    machine.work("a", output={"y": 2})
    machine.run_effects()
    shop.now_ms = machine.now_ms
    assert shop.start(x=1).task("a").output.value == {"y": 1}
    assert shop.start(x=2).task("a").output.value == {"y": 2}


def test_a_join_counts_a_branch_that_was_answered() -> None:
    shop = Shop(fork("f", [cached()], [simple("b")]), join("j", "a", "b"), simple("c"))
    machine = shop.start(x=1)
    machine.work("a", output={"y": 1})
    machine.run_effects()
    again = shop.start(x=1)
    assert again.list() == ["f COMPLETED", "a COMPLETED", "b SCHEDULED", "j IN_PROGRESS"]
    again.work("b", output={"z": 2})
    assert again.join_output("j") == {"a": {"y": 1}, "b": {"z": 2}}
    again.work("c")
    assert again.status == "COMPLETED"


def test_what_completes_in_a_pause_is_kept() -> None:
    shop = Shop(cached())
    machine = shop.start(x=1)
    machine.grant("a")
    machine.send(Pause())
    machine.report("a", lease_epoch=1, output={"y": 1})
    machine.run_effects()
    assert shop.start(x=1).status == "COMPLETED"
    machine.send(Resume())
    machine.run_effects()
    assert len(kept(machine)) == 1


@pytest.mark.parametrize("status", ["FAILED", "FAILED_WITH_TERMINAL_ERROR"])
def test_what_is_forgiven_is_not_kept(status: str) -> None:
    shop = Shop(cached(optional=True), a=task_def("a"))
    machine = shop.start(x=1)
    machine.work("a", status, output={"y": 1})
    machine.run_effects()
    assert machine.list() == ["a COMPLETED_WITH_ERRORS"]
    assert kept(machine) == []


@pytest.mark.parametrize(("more", "expected"), [(0, 1), (1, 0)])
def test_a_large_output_is_not_kept(more: int, expected: int) -> None:
    shop = Shop(cached())
    text = "y" * (CACHED_BYTES_LIMIT - len('{"y":""}') + more)
    assert len(kept(shop.worked({"y": text}, x=1))) == expected


def test_a_key_that_would_outgrow_the_memory_ends_the_workflow() -> None:
    shop = Shop(cached("${x}" * 30))
    machine = shop.start(x="x" * (PAYLOAD_BYTES_LIMIT // 10))
    assert machine.status == "FAILED"
    assert machine.header is not None
    assert "put together by expressions" in (machine.header.reason or "")


def test_an_input_that_is_too_large_fails_the_task_whatever_was_kept() -> None:
    shop = Shop(cached("k", input_parameters={"x": "${workflow.input.x}", "more": "m" * 50}))
    shop.worked({"y": 1}, x=1)
    machine = shop.start(x="x" * (PAYLOAD_BYTES_LIMIT - 20))
    task = machine.task("a")
    assert (task.status, task.worker_id) == ("FAILED_WITH_TERMINAL_ERROR", None)
    assert task.output.value == {}


def test_names_differ_by_type_name_and_key() -> None:
    machine = Machine(flow(op("HTTP", "a"), op("HTTP", "b"))).start()
    machine.work("a")
    one, other = machine.task("a"), machine.task("b")
    names = {name_of(one, "k"), name_of(other, "k"), name_of(one, "l"), name_of(one, "\ud800")}
    assert len(names) == 4
    assert {len(name) for name in names} == {64}


def test_a_time_beyond_all_measure_is_cut() -> None:
    node = compile_workflow(flow(cached(ttl=10**30))).nodes[0]
    assert node.cache is not None
    assert node.cache.ttl_ms == CACHED_SECONDS_MAX * 1000
