"""Asking the index: it is up to date first, and its failures become refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from podium.app.failure import Busy, TooMuch
from podium.index.port import IndexDamaged, IndexFailure, SearchTooLong
from podium.runtime.indexer import IndexUnready

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from podium.app.services import Services
    from podium.index.port import Index

FAILS: Final = "expected an index that answers, found that it does not; try again"

Answer = TypeVar("Answer")


async def asking(services: Services, call: Callable[[Index], Awaitable[Answer]]) -> Answer:
    """What the index answers when it holds all that was committed here. Raises Busy, TooMuch."""
    try:
        return await call(await services.runtime.indexer.settled())
    except IndexUnready as problem:
        raise Busy(problem.message) from None
    except SearchTooLong as problem:
        raise TooMuch(
            f"expected a search that takes at most {problem}, found a longer one: narrow it"
        ) from None
    except IndexDamaged:
        services.runtime.indexer.damaged()
        raise Busy(FAILS) from None
    except IndexFailure:
        raise Busy(FAILS) from None
