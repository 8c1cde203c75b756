"""Which store a URL means: one of Podium's, or an installed one of the entry points podium.stores;
and the index that goes with it.

An entry point is named after the scheme of its URLs; it is called with the URL and a function that
tells the time in ms since the epoch, and gives a Store (store/port.py) that is not opened yet. It
passes `podium.store.conformance`.

Failures: StoreUnknown (what was expected, what was found, what helps).
"""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from podium.store.redis.address import AddressInvalid, is_address, read_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.config_store import Store as StoreSettings
    from podium.index.port import Index
    from podium.store.port import Store

LOG = logging.getLogger("podium.stores")
GROUP: Final = "podium.stores"
SQLITE: Final = "sqlite:///"
MEMORY: Final = "memory://"
INDEX_SUFFIX: Final = "-index"
URLS: Final = (
    "memory://, sqlite:///relative, sqlite:////absolute, redis://, rediss://, redis+sentinel://,"
    " redis+cluster://, dynomite:// or one of an installed store"
)


class StoreUnknown(Exception):
    """No store can be made of a URL; the text is for the operator."""


def open_store(settings: StoreSettings, now_ms: Callable[[], int]) -> Store:
    """The store of a URL, not opened yet. Raises StoreUnknown."""
    url = settings.url
    if is_address(url):
        return _redis(settings, now_ms)
    if settings.durability != "local":
        raise StoreUnknown(
            f"expected a URL of Redis with store.durability {settings.durability}, found"
            f" {url.partition(':')[0]}: other stores have one durability, leave it out"
        )
    if url == MEMORY:
        from podium.store.memory import MemoryStore  # noqa: PLC0415 - load the chosen backend only

        return MemoryStore(now_ms)
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        return _sqlite(Path(url.removeprefix(SQLITE)), now_ms)
    return _installed(url, now_ms)


def open_index(url: str, store: Store, now_ms: Callable[[], int]) -> Index | None:
    """The index of a store, not opened yet: beside its file, else in memory, as often made anew.

    None where several servers share the store: each would know what it did itself.
    """
    from podium.index.sqlite import SqliteIndex  # noqa: PLC0415 - as above

    if url.startswith(SQLITE):
        return SqliteIndex(Path(f"{url.removeprefix(SQLITE)}{INDEX_SUFFIX}"), now_ms)
    if url != MEMORY and store.capabilities.shared:
        return None
    return SqliteIndex(None, now_ms)


def _redis(settings: StoreSettings, now_ms: Callable[[], int]) -> Store:
    from podium.store.redis.durability import Durability  # noqa: PLC0415 - as above
    from podium.store.redis.store import RedisStore  # noqa: PLC0415 - as above

    try:
        address = read_address(settings.url)
    except AddressInvalid as problem:
        raise StoreUnknown(str(problem)) from None
    if address.kind == "dynomite" and settings.durability != "local":
        raise StoreUnknown(
            f"expected store.durability local for Dynomite, found {settings.durability}: it tells"
            " neither of disks nor of replicas"
        )
    return RedisStore(
        address,
        now_ms,
        durability=Durability(settings.durability, settings.replicas, settings.replica_ms),
        volatile_allowed=settings.volatile,
        notes=False,
    )


def _sqlite(path: Path, now_ms: Callable[[], int]) -> Store:
    from podium.store.sqlite import SqliteStore  # noqa: PLC0415 - as above

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreUnknown(
            f"expected a folder for {path}, found that {problem.filename} cannot be made:"
            f" {problem.strerror}. Choose another with --store URL"
        ) from None
    return SqliteStore(path, now_ms)


def _installed(url: str, now_ms: Callable[[], int]) -> Store:
    scheme, colon, _ = url.partition(":")
    found = {each.value: each for each in entry_points(group=GROUP, name=scheme)} if colon else {}
    if not found:
        raise StoreUnknown(f"expected {URLS}, found {url}")
    if len(found) > 1:
        raise StoreUnknown(f"expected one store for {scheme}, found {', '.join(sorted(found))}")
    (entry,) = found.values()
    try:
        make: Callable[[str, Callable[[], int]], Store] = entry.load()
        return make(url, now_ms)
    except Exception as error:
        noted = {"event": "store_unloadable", "entry": str(entry)}
        LOG.exception("an installed store cannot be made", extra=noted)
        raise StoreUnknown(
            f"entry point {GROUP}:{scheme} = {entry.value}: expected a store that can be made,"
            f" found {type(error).__name__}: see the log"
        ) from None
