"""A scrape of a server, parsed by the library as Prometheus would read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client import Metric


class Scraped:
    """One answer of GET /metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Metric] = {
            each.name: each for each in text_string_to_metric_families(text)
        }
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Of one sample; 0 where there is none."""
        return self._values.get((name, frozenset(labels.items())), 0)

    def labels(self, label: str) -> set[str]:
        """All values of a label."""
        return {
            sample.labels[label]
            for family in self.families.values()
            for sample in family.samples
            if label in sample.labels
        }


async def scrape(web: str) -> Scraped:
    """`web`: as cli.serving.Serving has it."""
    async with aiohttp.ClientSession() as client, client.get(f"{web}/metrics") as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return Scraped(await answer.text())
