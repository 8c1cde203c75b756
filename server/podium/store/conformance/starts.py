"""Conformance: idempotency keys of starts."""

# ruff: noqa: D103 - the name of a check is its sentence, an expected number the statement

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.store.conformance.subject import (
    NEIGHBOUR,
    STRANGER,
    WORKFLOW,
    commit,
    committed,
    first,
)
from podium.store.port import Commit, Committed, Conflict, Exists, Idempotency

if TYPE_CHECKING:
    from typing import Literal

    from podium.store.conformance.subject import Subject


def keyed(
    workflow_id: str,
    strategy: Literal["FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"] = "RETURN_EXISTING",
    key: str = "key",
) -> Commit:
    """A start with a key; ids of the same partition, as the caller makes them (distribution §1)."""
    return replace(first(workflow_id), idempotency=Idempotency("orders", key, strategy))


async def a_key_points_at_its_first_run(subject: Subject) -> None:
    await committed(subject, keyed(WORKFLOW))
    for strategy in ("FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"):
        assert await commit(subject, keyed(NEIGHBOUR, strategy)) == Exists(WORKFLOW)
    assert await subject.store.load(NEIGHBOUR, None) is None


async def keys_of_other_names_and_values_are_free(subject: Subject) -> None:
    await committed(subject, keyed(WORKFLOW))
    await committed(subject, keyed(NEIGHBOUR, key="other"))
    other_name = replace(first(STRANGER), idempotency=Idempotency("bills", "key", "FAIL"))
    await committed(subject, other_name)


async def fail_on_running_starts_again_after_the_end(subject: Subject) -> None:
    await committed(subject, keyed(WORKFLOW, "FAIL_ON_RUNNING"))
    await committed(subject, Commit(workflow_id=WORKFLOW, version=1, running=False))
    assert await commit(subject, keyed(NEIGHBOUR, "FAIL")) == Exists(WORKFLOW)
    await committed(subject, keyed(NEIGHBOUR, "FAIL_ON_RUNNING"))
    third = WORKFLOW.replace("0000", "0009", 1)
    assert await commit(subject, keyed(third, "FAIL_ON_RUNNING")) == Exists(NEIGHBOUR)


async def a_key_is_decided_within_a_batch(subject: Subject) -> None:
    results = await subject.store.commit([keyed(WORKFLOW), keyed(NEIGHBOUR)])
    assert results == [Committed(1), Exists(WORKFLOW)]


async def an_end_in_the_same_batch_frees_the_key(subject: Subject) -> None:
    await committed(subject, keyed(WORKFLOW, "FAIL_ON_RUNNING"))
    end = Commit(workflow_id=WORKFLOW, version=1, running=False)
    results = await subject.store.commit([end, keyed(NEIGHBOUR, "FAIL_ON_RUNNING")])
    assert results == [Committed(2), Committed(1)]


async def a_repeated_keyed_start_conflicts_with_itself(subject: Subject) -> None:
    await committed(subject, keyed(WORKFLOW))
    again = await commit(subject, keyed(WORKFLOW))
    assert isinstance(again, Conflict)
    assert again.version == 1


async def the_key_goes_with_its_run(subject: Subject) -> None:
    await committed(subject, keyed(WORKFLOW))
    await subject.store.remove(WORKFLOW, 1, 0)
    await committed(subject, keyed(NEIGHBOUR))


async def a_newer_run_keeps_the_key_when_the_older_goes(subject: Subject) -> None:
    await committed(subject, keyed(WORKFLOW, "FAIL_ON_RUNNING"))
    await committed(subject, Commit(workflow_id=WORKFLOW, version=1, running=False))
    await committed(subject, keyed(NEIGHBOUR, "FAIL_ON_RUNNING"))
    await subject.store.remove(WORKFLOW, 2, 0)
    third = WORKFLOW.replace("0000", "0009", 1)
    assert await commit(subject, keyed(third)) == Exists(NEIGHBOUR)


CHECKS: Final = (
    a_key_points_at_its_first_run,
    keys_of_other_names_and_values_are_free,
    fail_on_running_starts_again_after_the_end,
    a_key_is_decided_within_a_batch,
    an_end_in_the_same_batch_frees_the_key,
    a_repeated_keyed_start_conflicts_with_itself,
    the_key_goes_with_its_run,
    a_newer_run_keeps_the_key_when_the_older_goes,
)
