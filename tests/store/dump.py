"""Everything a store tells about itself, in one canonical value: equal stores, equal dumps."""

from collections.abc import Iterable
from typing import Any

from podium.model.queue import Queue
from podium.store.port import PARTITIONS, Store, partition_of, workflow_of

FAR_MS = 10**15


async def dump(
    store: Store, *, servers: Iterable[str], queues: Iterable[Queue], tasks: Iterable[str]
) -> dict[Any, Any]:
    """The stored state; wishes, claims and watchers are soft and not part of it."""
    everyone = range(PARTITIONS)
    parts = sorted({partition_of(workflow_of(each)) for each in tasks})
    found: dict[Any, Any] = {
        "executions": {},
        "due": await deadlines(store),
        "ready": await store.ready(everyone),
        "outstanding": sorted(
            (
                each.outstanding.queue.task_type,
                each.outstanding.queue.domain,
                each.outstanding.state,
                each.count,
            )
            for each in await store.outstanding_counts()
        ),
        "slots": [each for part in everyone for each in await store.slots(part)],
        "changed": await changes(store),
        "archived": await store.archived_after("", 1_000),
        "generation": await store.registry_generation(),
    }
    for part in everyone:
        for workflow_id in await store.scan(part, "", 1_000):
            loaded = await store.load(workflow_id, None)
            history = await store.history(workflow_id, 0, 1_000)
            found["executions"][workflow_id] = (loaded, history)
    for server in servers:
        found["held", server] = await store.held(everyone, server)
        found["outbox", server] = await store.outbox(everyone, server)
    for queue in queues:
        found["size", queue] = await store.queue_size(queue)
        found["seen", queue] = await store.poll_data(queue.task_type)
        found["counts", queue] = await store.queue_counts(queue.task_type)
        found["pending", queue] = [
            each for part in parts for each in await store.pending(part, queue.task_type, "", 1_000)
        ]
        found["unqueued", queue] = [
            sorted(await store.unqueued(part, queue.task_type), key=lambda each: each.task_id)
            for part in parts
        ]
    for kind in ("workflow", "task", "bound"):
        found["definitions", kind] = await store.list_definitions(kind)
    found["types"] = await store.task_types() if queues else []
    for task in tasks:
        found["logs", task] = await store.logs(task)
    return found


async def deadlines(store: Store) -> list[tuple[int, str, str, str]]:
    """All of them, the first to pass first."""
    return sorted(
        (each.deadline.at_ms, each.workflow_id, each.deadline.task_id, each.deadline.kind)
        for each in await store.due(range(PARTITIONS), FAR_MS, 10_000)
    )


async def changes(store: Store) -> list[tuple[str, int]]:
    """What the index has yet to see."""
    found = await store.changed(range(PARTITIONS), 10_000)
    return sorted((each.workflow_id, each.version) for each in found)
