"""Which domain a worker's task gets: lists, active workers, attempts (S-565 to S-569)."""

from __future__ import annotations

import pytest

from podium.engine.transition import FetchDomains
from tests.engine.machine import Machine
from tests.engine.shapes import flow, op, simple, task_def


@pytest.mark.parametrize(
    ("listed", "active", "domain"),
    [
        ("eu, us", {"us"}, "us"),
        ("eu,us", {"eu", "us"}, "eu"),
        ("eu,us", set(), "us"),
        ("eu,NO_DOMAIN", {"", "us"}, ""),
        ("NO_DOMAIN,eu", set(), "eu"),
        ("eu,us,NO_DOMAIN", {"us"}, "us"),
    ],
)
def test_s_566_the_first_domain_with_active_workers(
    listed: str, active: set[str], domain: str
) -> None:
    machine = Machine(flow(simple("a")))
    machine.active_domains = active
    machine.start(task_to_domain={"*": "no", "a": listed})
    assert machine.task("a").domain == domain
    assert machine.task("a").queue is not None
    assert sum(isinstance(need, FetchDomains) for need in machine.needs) == 1


def test_one_domain_needs_no_look() -> None:
    machine = Machine(flow(simple("a"), op("HTTP", "h"))).start(
        task_to_domain={"*": "eu", "HTTP": "eu,us"}
    )
    machine.work("a")
    assert (machine.task("a").domain, machine.task("h").domain) == ("eu", "")


def test_s_568_each_attempt_chooses_again_and_dynamic_tasks_choose_too() -> None:
    dynamic = op(
        "DYNAMIC", "d", dynamic_task_name_param="t", input_parameters={"t": "b"},
        task_definition=task_def("d", retry_count=1),
    )  # fmt: skip
    machine = Machine(flow(dynamic))
    machine.active_domains = {"eu"}
    machine.start(task_to_domain={"b": "eu,us"})
    assert machine.task("d").domain == "eu"
    machine.active_domains = set()
    machine.work("d", "FAILED")
    assert (machine.task("d").retry_count, machine.task("d").domain) == (1, "us")
