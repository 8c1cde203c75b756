"""Names of keys (distribution.md §1): everything that one script touches shares one hash tag.

`{HH}` = partition of an execution in hex, `{q:T}` = task type, `{reg}` = definitions, `{srv}` =
members, `{c:NAME}` = a kept output, `{m:SERVER}` = messages where there are no channels; `kept`
behind a tag is what a wait for replicas writes (durability.py). Text of users is percent-encoded,
so it holds neither braces nor bytes that a tag could end at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from podium.store.port import partition_of

if TYPE_CHECKING:
    from podium.model.queue import Queue


def execution_of(task_id: str) -> str:
    """A task id is `<workflow id>.<key>.<attempt>`."""
    return task_id.rsplit(".", 2)[0]


def _safe(text: str) -> str:
    return quote(text, safe="-_.:", errors="surrogatepass")


class Keys:
    """`prefix` begins every key: several deployments may share one Redis."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._tags = tuple(f"{prefix}{{{number:02x}}}" for number in range(256))
        self.definitions = f"{prefix}{{reg}}"
        self.members = (f"{prefix}{{srv}}alive", f"{prefix}{{srv}}concerns")

    def partition(self, number: int, name: str) -> str:
        """`due`, `ready`, `slot`, `held`, `ob`, `open`, `ids`, `out`, `outn`, `arcs` or `chg` of a
        partition.
        """
        return self._tags[number] + name

    def part_of(self, workflow_id: str, name: str) -> str:
        return self._tags[partition_of(workflow_id)] + name

    def execution(self, workflow_id: str, kind: str) -> str:
        """`x` fields, `y` history, `tomb`, `watch`, `arc`, `log`."""
        return f"{self._tags[partition_of(workflow_id)]}{kind}:{_safe(workflow_id)}"

    def log(self, task_id: str) -> str:
        tag = self._tags[partition_of(execution_of(task_id))]
        return f"{tag}l:{_safe(task_id)}"

    def idempotency(self, workflow_id: str, name: str, key: str) -> str:
        """In the partition of the execution that has the key."""
        return f"{self._tags[partition_of(workflow_id)]}idem:{_safe(name)}:{_safe(key)}"

    def type(self, task_type: str, name: str) -> str:
        """`f`, `c`, `lim`, `d` or `p` of a task type."""
        return f"{self._prefix}{{q:{_safe(task_type)}}}{name}"

    def queue(self, queue: Queue, name: str) -> str:
        """`r`, `w` or `s` of one domain."""
        return f"{self._prefix}{{q:{_safe(queue.task_type)}}}{name}:{_safe(queue.domain)}"

    def cached(self, name: str) -> str:
        return f"{self._prefix}{{c:{_safe(name)}}}"

    @property
    def types(self) -> str:
        """Task types whose queues were ever used."""
        return f"{self._prefix}{{srv}}types"

    def wishes(self, server: str) -> str:
        """Queues in which a server ever waited."""
        return f"{self._prefix}{{srv}}wish:{_safe(server)}"

    def rows(self, kind: str, name: str) -> str:
        """Version → document."""
        return f"{self.definitions}d:{kind}:{_safe(name)}"

    def names(self, kind: str) -> str:
        """The names of a kind of document."""
        return f"{self.definitions}n:{kind}"

    @property
    def generation(self) -> str:
        return f"{self.definitions}gen"

    @property
    def audit(self) -> tuple[str, str]:
        """Rows and their sequence."""
        return f"{self._prefix}{{aud}}rows", f"{self._prefix}{{aud}}seq"

    @property
    def lives(self) -> str:
        """How often a server began to use the store."""
        return f"{self._prefix}{{srv}}lives"

    def pair(self, number: int) -> tuple[str, str]:
        """Two keys of one tag, for a look at where they lie; nothing is stored at them."""
        return f"{self._prefix}{{try:{number}}}a", f"{self._prefix}{{try:{number}}}b"

    def mail(self, server: str) -> str:
        """Messages to a server, where there are no channels."""
        return f"{self._prefix}{{m:{_safe(server)}}}"

    @property
    def format(self) -> str:
        return f"{self.definitions}format"

    def channel(self, server: str) -> str:
        return f"{self._prefix}bus:{_safe(server)}"
