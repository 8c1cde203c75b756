"""Checks of what clients name: definitions, workers, domains, executions, tasks.

A name that is over its limit is refused before anything is asked of the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.app.failure import NotFound, RequestUnsound, shown
from podium.engine.problem import NAME_CHARS_LIMIT, check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

DOMAINS_MAX: Final = 1_000
VERSION_MAX: Final = 2**31 - 1


def require_name(place: str, name: str) -> str:
    """A name that must be there. Raises RequestUnsound."""
    for problem in check_name(place, name):
        raise RequestUnsound(f"{problem.place}: {problem.message}")
    return name


def bounded_text(place: str, text: str) -> str:
    """The client's own text, which may be empty: at most 255 characters, none of control."""
    if len(text) > NAME_CHARS_LIMIT:
        raise RequestUnsound(
            f"{place}: expected at most {NAME_CHARS_LIMIT} characters, found {len(text)}"
        )
    if not text.isprintable():
        raise RequestUnsound(
            f"{place}: expected text without control characters, found one with them"
        )
    return text


def require_version(place: str, version: int) -> int | None:
    """0 = the latest = None. Raises RequestUnsound."""
    if version < 0:
        raise RequestUnsound(f"{place}: expected 0 (the latest) or more, found {version}")
    return version or None


def require_domains(place: str, domains: Mapping[str, str]) -> dict[str, str]:
    """Domain by task name; a value may be a list with commas (S-566). Raises RequestUnsound."""
    if len(domains) > DOMAINS_MAX:
        raise RequestUnsound(f"{place}: expected at most {DOMAINS_MAX} tasks, found {len(domains)}")
    for task, listed in domains.items():
        require_name(f"{place} (task)", task)
        for domain in listed.split(","):
            bounded_text(f"{place}[{shown(task)}]", domain)
    return {task: listed for task, listed in domains.items() if listed}


def require_workflow_id(place: str, workflow_id: str) -> str:
    """Raises RequestUnsound where it is empty, NotFound where it cannot be one."""
    if not workflow_id:
        raise RequestUnsound(f"{place}: expected a workflow id, found none")
    if len(workflow_id) > NAME_CHARS_LIMIT:
        raise no_workflow(workflow_id)
    return workflow_id


def no_workflow(workflow_id: str) -> NotFound:
    """No execution has this id."""
    return NotFound(f"expected the id of a workflow, found no workflow {shown(workflow_id)}")


def no_task(task_id: str, workflow_id: str = "") -> NotFound:
    """No task has this id (in this execution)."""
    where = f" in workflow {shown(workflow_id)}" if workflow_id else ""
    return NotFound(f"expected the id of a task{where}, found no task {shown(task_id)}")
