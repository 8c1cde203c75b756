"""From rows to the text that Prometheus reads: GET /metrics.

Counters are copied in the loop; the text is made in a thread, since thousands of lines would hold
the loop for a tenth of a second. Memory, CPU and descriptors of the process are the library's.
"""

from __future__ import annotations

import asyncio
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from podium.telemetry.backlog import Backlog
from podium.telemetry.metric import COUNTER, HISTOGRAM, TABLE
from podium.telemetry.reading import Buckets, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from podium.telemetry import metric
    from podium.telemetry.reading import Row, Sources

    Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

TOTAL: Final = "_total"


class Scrape(Collector):
    """What one request is told; a registry as the encoders of the library know it."""

    def __init__(self, rows: Iterable[Row], process: CollectorRegistry) -> None:
        self._rows = rows
        self._process = process

    def collect(self) -> Iterator[Metric]:
        yield from families(self._rows)
        yield from self._process.collect()


class MetricsPage:
    """Serves GET /metrics."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._backlog = Backlog(sources.runtime.store, sources.runtime.clock)
        self._process = CollectorRegistry(auto_describe=False)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)

    def routes(self) -> list[web.RouteDef]:
        """For the listener."""
        return [web.get("/metrics", self._serve)]

    async def _serve(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        rows = [*read(self._sources), *await self._backlog.rows()]
        scrape = Scrape(rows, self._process)
        text = await asyncio.to_thread(encode, scrape)
        return web.Response(body=text, headers={"Content-Type": content_type})


def families(rows: Iterable[Row]) -> list[Family]:
    """Every metric of the table, those without a row as well, in its order."""
    found = {each.name: _family(each) for each in TABLE.values()}
    for row in rows:
        _add(found[row.name], row)
    return list(found.values())


def _family(of: metric.Metric) -> Family:
    if of.kind == COUNTER:
        return CounterMetricFamily(of.name.removesuffix(TOTAL), of.help, labels=of.labels)
    if of.kind == HISTOGRAM:
        return HistogramMetricFamily(of.name, of.help, labels=of.labels)
    return GaugeMetricFamily(of.name, of.help, labels=of.labels)


def _add(family: Family, row: Row) -> None:
    scale = TABLE[row.name].scale
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(row.value, Buckets), row
        bounds = [*(str(bound / scale) for bound in row.value.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(row.value.counts), strict=True))
        family.add_metric(row.labels, buckets, row.value.total / scale)
    else:
        assert isinstance(row.value, int), row
        family.add_metric(row.labels, row.value / scale)
