"""Names that the engine derives instead of drawing: task keys, task ids, child ids.

A task key is a hash of (reference, iteration path), so a record is found from either without an
index; a task id carries its execution's id, so a look-up by task id needs no second index.
"""

from __future__ import annotations

from base64 import b32encode
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from uuid import UUID, uuid5

KEY_BYTES: Final = 10
ATTEMPTS_PER_RUN: Final = 1_000_000
"""Attempts of a restarted execution are numbered from a multiple of this on, so that the result of
a former run's task finds no task. More than the tasks that an execution may have.
"""
NAMESPACE: Final = UUID("6f1c7f0e-5a0b-5c6e-9a53-3b1c1b0f7d11")


@lru_cache(maxsize=65536)
def task_key(ref: str, iteration: tuple[int, ...] = ()) -> str:
    """16 lower-case base32 characters, fixed for (ref, iteration path)."""
    text = ref if not iteration else f"{ref}\0{','.join(map(str, iteration))}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
    return b32encode(digest).decode().lower()


def reference_in(ref: str, iteration: tuple[int, ...]) -> str:
    """The reference as clients see it: in a loop with the iteration as its suffix (S-040)."""
    return ref if not iteration else f"{ref}__{'__'.join(map(str, iteration))}"


def task_id(workflow_id: str, key: str, attempt: int) -> str:
    """`<workflow id>.<key>.<attempt>`."""
    return f"{workflow_id}.{key}.{attempt}"


@lru_cache(maxsize=4096)
def split_task_id(text: str) -> tuple[str, str, int] | None:
    """(workflow id, key, attempt), or None when the text is no task id of ours."""
    head, dot, attempt = text.rpartition(".")
    workflow_id, dot_two, key = head.rpartition(".")
    if not (dot and dot_two and workflow_id and key and attempt.isascii() and attempt.isdigit()):
        return None
    return workflow_id, key, int(attempt)


def child_id(parent_task_id: str, run_epoch: int) -> str:
    """Id of the child that a SUB_WORKFLOW task starts: started twice, it is one child."""
    return str(uuid5(NAMESPACE, f"child:{parent_task_id}:{run_epoch}"))


def failure_workflow_id(workflow_id: str, position: int) -> str:
    """Id of the failure workflow of one end; `position` = of the history before that."""
    return str(uuid5(NAMESPACE, f"failure:{workflow_id}:{position}"))
