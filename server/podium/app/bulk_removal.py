"""Removing executions by filter: a dry run first, then in batches that name what it counted.

The dry run gives a token. A removal wants it, takes at most as many as were counted and none that
was started later, and gives the token for the rest. What cannot be removed is told and passed over.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.asking import asking
from podium.app.failure import Overtaken, RequestUnsound
from podium.app.removal import Removal
from podium.app.token import decode_token, encode_token
from podium.index.document import WorkflowDocument
from podium.index.query import (
    WORKFLOW_FIELDS,
    Compares,
    Equals,
    Every,
    Query,
)

if TYPE_CHECKING:
    from podium.app.listing import Filter
    from podium.app.services import Services
    from podium.index.query import Condition

SAMPLE: Final = 20
BATCH_MAX: Final = 1_000
TOGETHER: Final = 20
"""Removals under way at a time: they share the store's syncs."""


class Confirmation(msgspec.Struct, frozen=True, array_like=True):
    """What a dry run counted, or what is left of it."""

    digest: bytes
    archive: bool
    count: int
    asked_ms: int
    behind: tuple[int, str] | None = None


class DryRun(msgspec.Struct, frozen=True):
    """What would be removed."""

    count: int
    sample: list[WorkflowDocument]
    confirmation: str


class Failed(msgspec.Struct, frozen=True):
    """One execution that was not removed."""

    workflow_id: str
    error: Exception


class Removed(msgspec.Struct, frozen=True):
    """What a batch did. `confirmation` "" = nothing is left to try."""

    count: int
    failures: list[Failed]
    remaining: int = 0
    confirmation: str = ""


class BulkRemoval:
    """All raise RequestUnsound, TooMuch, Busy."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._removal = Removal(services)

    async def dry_run(self, asked: Filter, *, archive: bool) -> DryRun:
        """Count, and show the newest."""
        asked_ms = self._services.clock.now_ms()
        query = Query(where=_matching(asked, asked_ms, archive=archive), size=SAMPLE, texts=False)
        found = await asking(self._services, lambda index: index.workflows(query))
        token = Confirmation(asked.digest, archive, found.total, asked_ms)
        return DryRun(found.total, found.hits, encode_token(token))

    async def remove(
        self, asked: Filter, *, archive: bool, confirmation: str, limit: int = 0
    ) -> Removed:
        """One batch. `limit` 0 = BATCH_MAX. Raises Overtaken, too."""
        if not 0 <= limit <= BATCH_MAX:
            raise RequestUnsound(f"limit: expected 0 to {BATCH_MAX}, found {limit}")
        token = decode_token("confirmation", confirmation, Confirmation)
        if (token.digest, token.archive) != (asked.digest, archive):
            raise RequestUnsound(
                "confirmation: expected that of a dry run with this filter and archive,"
                " found another's"
            )
        query = Query(
            where=_matching(asked, token.asked_ms, archive=archive),
            behind=token.behind,
            size=limit or BATCH_MAX,
            texts=False,
        )
        found = await asking(self._services, lambda index: index.workflows(query))
        if found.total > token.count:
            raise Overtaken(
                f"expected at most {token.count} workflows, as the dry run counted, found"
                f" {found.total}: make another dry run"
            )
        failures = await self._remove_all(found.hits, archive=archive)
        rest = ""
        left = found.total - len(found.hits)
        if left:
            last = found.hits[-1]
            rest = encode_token(
                msgspec.structs.replace(token, count=left, behind=(last.start_ms, last.id))
            )
        return Removed(len(found.hits) - len(failures), failures, left, rest)

    async def _remove_all(
        self, documents: list[WorkflowDocument], *, archive: bool
    ) -> list[Failed]:
        failures: list[Failed] = []
        for first in range(0, len(documents), TOGETHER):
            some = documents[first : first + TOGETHER]
            answers = await asyncio.gather(
                *(self._removal.remove(each.id, archive=archive) for each in some),
                return_exceptions=True,
            )
            for each, answer in zip(some, answers, strict=True):
                if isinstance(answer, Exception):
                    failures.append(Failed(each.id, answer))
                elif isinstance(answer, BaseException):
                    raise answer
        return failures


def _matching(asked: Filter, token_ms: int, *, archive: bool) -> Condition:
    """Those that the filter means and that were there; none is archived twice."""
    found: list[Condition] = [
        asked.condition("filter"),
        Compares(WORKFLOW_FIELDS["startTime"], "<=", token_ms),
    ]
    if archive:
        found.append(Equals(WORKFLOW_FIELDS["archived"], 0))
    return Every(tuple(found))
