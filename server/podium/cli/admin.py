"""`podium admin`: what is done to a store while no server uses it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from podium.config import Store as StoreSettings
from podium.copying.copy import Copying
from podium.copying.image import CopyFailed
from podium.runtime.clock import SystemClock
from podium.store.codec import StoredFormatUnknown
from podium.store.port import StoreError
from podium.stores import StoreUnknown, open_store

if TYPE_CHECKING:
    from podium.copying.copy import Copied
    from podium.store.port import Store


class AdminFailed(Exception):
    """The text is for the operator."""


def copy(source: str, target: str) -> str:
    """From URL to URL; answers what was done. Raises AdminFailed."""
    if source == target:
        raise AdminFailed(f"expected two stores, found {source} twice")
    try:
        copied = asyncio.run(_copy(source, target))
    except (StoreUnknown, StoreError, StoredFormatUnknown, CopyFailed) as problem:
        raise AdminFailed(str(problem)) from None
    return (
        f"copied {copied.executions} executions ({copied.equal} were there, equal),"
        f" {copied.archived} archived ones, {copied.definitions} documents,"
        f" {copied.audit_rows} rows of the audit trail"
    )


async def _copy(source: str, target: str) -> Copied:
    clock = SystemClock()
    first = await _opened(source, clock)
    try:
        second = await _opened(target, clock)
        try:
            return await Copying(first, second, clock, _say).run()
        finally:
            await second.close()
    finally:
        await first.close()


async def _opened(url: str, clock: SystemClock) -> Store:
    """What it loses when it ends is the operator's choice, here as in serving."""
    store = open_store(StoreSettings(url=url, volatile=True), clock.now_ms)
    await store.open()
    return store


def _say(line: str) -> None:
    print(f"podium: {line}", file=sys.stderr)
