"""The metrics by name: one rule, one table, the same in the document and on the wire."""

import re
from pathlib import Path

from podium.telemetry.exposition import families
from podium.telemetry.metric import COUNTER, HISTOGRAM, TABLE

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(podium_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
UNITS = (
    *("seconds", "bytes", "tasks", "workflows", "leases", "results", "commands", "commits"),
    *("groups", "syncs", "mailboxes", "timers", "effects", "servers", "nodes", "takeovers"),
    *("calls", "streams", "polls", "hits", "misses", "evictions", "kills", "programs", "lines"),
)


def test_names_follow_the_rule() -> None:
    rule = re.compile(rf"podium_[a-z]+(_[a-z]+)*_({'|'.join(UNITS)})(_total)?|podium_[a-z]+_\w+")
    for metric in TABLE.values():
        assert rule.fullmatch(metric.name), metric.name
        unit = metric.name.removesuffix("_total").rpartition("_")[2]
        assert unit in UNITS, metric.name
        assert metric.name.endswith("_total") is (metric.kind == COUNTER), metric.name
        assert metric.help.endswith("."), metric.name
        assert metric.scale == 1 or unit == "seconds", metric.name
        assert metric.kind != HISTOGRAM or unit in ("seconds", "commits"), metric.name


def test_the_document_has_every_metric_and_no_other() -> None:
    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)), text)
        for name, kind, labels, text in ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    }
    expected = {each.name: (each.kind, each.labels, each.help) for each in TABLE.values()}
    assert documented == expected


def test_every_metric_is_told_even_where_nothing_was_counted() -> None:
    told = {family.name: family for family in families([])}
    assert {name.removesuffix("_total") for name in TABLE} == {
        name.removesuffix("_total") for name in told
    }
