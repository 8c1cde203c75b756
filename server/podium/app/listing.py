"""Lists of executions by filter, the newest first, in pages that new ones do not shift.

A page token names the last execution of a page and the filter it is of; it is no secret. A filter
of nothing is every execution.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.asking import asking
from podium.app.failure import RequestUnsound, shown
from podium.app.token import decode_token, encode_token
from podium.index.document import WorkflowDocument
from podium.index.parsing import parse_query
from podium.index.query import WORKFLOW_FIELDS, Among, Compares, Every, Query
from podium.index.unsound import QueryUnsound
from podium.index.words import parse_words
from podium.model.execution import WorkflowStatus

if TYPE_CHECKING:
    from podium.app.services import Services
    from podium.index.query import Condition

PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1_000
NAMES_MAX: Final = 1_000
DIGEST_BYTES: Final = 12


class Window(msgspec.Struct, frozen=True):
    """Epoch ms: from the first on, before the second; 0 = open."""

    from_ms: int = 0
    before_ms: int = 0


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for an execution; an empty part holds for all."""

    names: tuple[str, ...] = ()
    version: int = 0
    statuses: tuple[str, ...] = ()
    correlation_ids: tuple[str, ...] = ()
    started: Window = Window()
    ended: Window = Window()
    query: str = ""
    free_text: str = ""

    def condition(self, place: str) -> Condition:
        """Raises RequestUnsound."""
        self._check(place)
        fields = WORKFLOW_FIELDS
        found: list[Condition] = [
            Among(fields[name], values)
            for name, values in (
                ("workflowType", self.names),
                ("status", self.statuses),
                ("correlationId", self.correlation_ids),
                ("version", (self.version,) if self.version else ()),
            )
            if values
        ]
        for name, window in (("startTime", self.started), ("endTime", self.ended)):
            if window.from_ms:
                found.append(Compares(fields[name], ">=", window.from_ms))
            if window.before_ms:
                found.append(Compares(fields[name], "<", window.before_ms))
        try:
            found.append(parse_query(self.query, fields, place=f"{place}.query"))
            found.append(parse_words(self.free_text, f"{place}.free_text"))
        except QueryUnsound as problem:
            raise RequestUnsound(problem.message) from None
        return Every(tuple(found))

    def _check(self, place: str) -> None:
        if self.version < 0:
            raise RequestUnsound(f"{place}.version: expected 0 or more, found {self.version}")
        for name, values in (("names", self.names), ("correlation_ids", self.correlation_ids)):
            if len(values) > NAMES_MAX:
                raise RequestUnsound(
                    f"{place}.{name}: expected at most {NAMES_MAX}, found {len(values)}"
                )
        for status in self.statuses:
            if status not in WorkflowStatus.__members__:
                raise RequestUnsound(
                    f"{place}.statuses: expected one of {', '.join(WorkflowStatus)},"
                    f" found {shown(status)}"
                )

    @property
    def digest(self) -> bytes:
        """Tells filters apart."""
        return blake2b(msgspec.msgpack.encode(self), digest_size=DIGEST_BYTES).digest()


class Listed(msgspec.Struct, frozen=True):
    """A page. `next_token` "" = there are no more; `total` 0 = it was not asked for."""

    documents: list[WorkflowDocument]
    next_token: str = ""
    total: int = 0


class PageToken(msgspec.Struct, frozen=True, array_like=True):
    """The place behind the last one of a page."""

    digest: bytes
    start_ms: int
    workflow_id: str


class Listing:
    """Lists executions."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def page(
        self,
        asked: Filter,
        *,
        size: int = 0,
        token: str = "",
        counted: bool = False,
        payloads: bool = False,
    ) -> Listed:
        """size 0 = PAGE_SIZE. Raises RequestUnsound, TooMuch, Busy."""
        if not 0 <= size <= PAGE_SIZE_MAX:
            raise RequestUnsound(f"page_size: expected 0 to {PAGE_SIZE_MAX}, found {size}")
        size = size or PAGE_SIZE
        behind = None
        if token:
            read = decode_token("page_token", token, PageToken)
            if read.digest != asked.digest:
                raise RequestUnsound("page_token: expected one of this filter, found another's")
            behind = (read.start_ms, read.workflow_id)
        query = Query(
            where=asked.condition("filter"),
            size=size + 1,
            behind=behind,
            counted=False,
            texts=payloads,
        )
        found = await asking(self._services, lambda index: index.workflows(query))
        total = await self._total(query) if counted else 0
        documents = found.hits[:size]
        if len(found.hits) <= size:
            return Listed(documents, total=total)
        last = documents[-1]
        rest = PageToken(asked.digest, last.start_ms, last.id)
        return Listed(documents, encode_token(rest), total)

    async def _total(self, query: Query) -> int:
        """Of all pages."""
        everything = msgspec.structs.replace(query, behind=None, counted=True, size=0)
        return (await asking(self._services, lambda index: index.workflows(everything))).total
