"""A toy store: everything in memory, and a count of the commits."""

from podium.store.memory import MemoryStore


class ToyStore(MemoryStore):
    """See podium.store.port."""

    def __init__(self, url, now_ms):
        super().__init__(now_ms)
        self.url = url
        self.commits_count = 0

    async def commit(self, commits):
        self.commits_count += len(commits)
        return await super().commit(commits)


def make_store(url, now_ms):
    """What the entry point names: a store that is not opened yet."""
    return ToyStore(url, now_ms)


def make_broken(url, now_ms):
    """One that cannot be made."""
    raise RuntimeError(f"no store for {url}, and here is a secret")
