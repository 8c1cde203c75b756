"""What a sound Hello is, and what a sound name is. Every refusal names the item and its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from podium.protocol.problem import ProtocolError, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.model.queue import Queue
    from podium.protocol.frame import Hello, LeaseName

Item = TypeVar("Item")

NAME_CHARACTERS_MAX: Final = 255
TASK_ID_CHARACTERS_MAX: Final = 512
"""A workflow id of 255 characters, a key, an attempt, and room to spare."""
FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f{}]")


def check_hello(hello: Hello) -> None:
    """Raise ProtocolError where the contract forbids this Hello."""
    if not hello.worker_id:
        raise ProtocolError("hello.worker_id: expected a worker id, found none")
    if not hello.served:
        raise ProtocolError("hello.task_types: expected at least one task type, found none")
    _check_name("hello.worker_id", hello.worker_id)
    _check_name("hello.sdk", hello.sdk)
    _check_maximum("hello.tasks_max", hello.tasks_max)
    _check_served(hello)
    check_ids("hello.in_hand", hello.in_hand)
    twice = _first_twice(hello.in_hand)
    if twice is not None:
        found = f"{quoted(twice.task_id)} epoch {twice.lease_epoch} twice"
        raise ProtocolError(f"hello.in_hand: expected each task once, found {found}")


def check_ids(place: str, leases: Iterable[LeaseName]) -> None:
    """Raise ProtocolError for a task id that cannot be one: its answer would grow with it."""
    for lease in leases:
        check_id(place, lease.task_id)


def check_id(place: str, task_id: str) -> None:
    """As check_ids, for one."""
    if len(task_id) > TASK_ID_CHARACTERS_MAX:
        raise ProtocolError(
            f"{place}: expected a task id of at most {TASK_ID_CHARACTERS_MAX} characters, "
            f"found {len(task_id)} characters"
        )


def queue_text(queue: Queue) -> str:
    """A queue in an error text."""
    domain = f" in domain {quoted(queue.domain)}" if queue.domain else ""
    return f"{quoted(queue.task_type)}{domain}"


def _check_served(hello: Hello) -> None:
    for index, served in enumerate(hello.served):
        place = f"hello.task_types[{index}]"
        if not served.queue.task_type:
            raise ProtocolError(f"{place}.name: expected a task type, found none")
        _check_name(f"{place}.name", served.queue.task_type)
        _check_name(f"{place}.domain", served.queue.domain)
        _check_name(f"{place}.input_type", served.input_type)
        _check_name(f"{place}.output_type", served.output_type)
        _check_maximum(f"{place}.tasks_max", served.tasks_max)
    twice = _first_twice([served.queue for served in hello.served])
    if twice is not None:
        found = f"{queue_text(twice)} twice"
        raise ProtocolError(f"hello.task_types: expected each queue once, found {found}")


def _check_name(place: str, name: str) -> None:
    if len(name) > NAME_CHARACTERS_MAX:
        raise ProtocolError(
            f"{place}: expected at most {NAME_CHARACTERS_MAX} characters, found {len(name)}"
        )
    if FORBIDDEN.search(name):
        raise ProtocolError(
            f"{place}: expected no control characters and no braces, found {quoted(name)}"
        )


def _check_maximum(place: str, value: int) -> None:
    if value < 0:
        raise ProtocolError(f"{place}: expected 0 or more, found {value}")


def _first_twice(items: Iterable[Item]) -> Item | None:
    seen: set[Item] = set()
    for item in items:
        if item in seen:
            return item
        seen.add(item)
    return None
