"""Metrics: counted as said, documented, and the only ones that the dashboard and the alerts read."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from stream.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "kith.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SERIES = re.compile(r"\b(?:kith|process)_[a-z_]+\b(?:\{([^}]*)\})?")
FOREIGN = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """The value of each series, by its name and its labels in the order of `names`."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels = metrics.names.get(re.sub(r"_(?:bucket|sum|count)$", "", sample.name), ())
            labels = metrics.names.get(sample.name, labels)
            found[sample.name, *[sample.labels[label] for label in labels]] = sample.value
    return found


def test_everything_that_is_told_is_counted_under_its_labels() -> None:
    metrics = Metrics()
    metrics.batch("profile", 500, 0.1)
    metrics.committed("profile", 0.02)
    metrics.aborted("identify")
    metrics.rebalanced("identify")
    metrics.partitions("profile", 4, 12)
    metrics.lag("profile", [("events.identified", 0, 7), ("events.identified", 1, 0)])
    metrics.restored("profile", 1000, 1.5)
    metrics.refused("too_late", 2)
    metrics.folded(2, 3)
    metrics.people_changed(4, 1, 0)
    metrics.part_moved()
    metrics.bounced(2)
    metrics.frozen(3, 0.5)
    metrics.fired("cart-abandon", "fired")
    metrics.clock_behind(0.25)
    metrics.published(10, 4)
    metrics.state(99, [("profile", 1 << 20)])
    metrics.webhook("crm", "delivered")
    metrics.alarm()
    metrics.command("clock", "done")
    metrics.snapshot_made(9, 1.8e9, 2.5)
    metrics.snapshot_failed()
    metrics.audited(200, {"trigger_twice": 1, "profile": 0}, 1.8e9)
    metrics.answered("profile", 404, 0.001)
    found = values(metrics)
    assert found["kith_events_total", "profile"] == 500
    assert found["kith_batch_seconds_count", "profile"] == 1
    assert found["kith_lag_messages", "profile", "events.identified", "0"] == 7
    assert (found["kith_partitions", "profile"], found["kith_partitions_expected", "profile"]) == (4, 12)
    assert found["kith_dead_letters_total", "too_late"] == 2
    assert (found["kith_late_events_total",], found["kith_duplicates_total",]) == (2, 3)
    assert (found["kith_merges_total",], found["kith_splits_total",]) == (4, 1)
    assert found["kith_triggers_total", "cart-abandon", "fired"] == 1
    assert found["kith_api_requests_total", "profile", "404"] == 1
    for name in metrics.names:
        assert any(key[0] in (name, f"{name}_count") for key in found), f"{name} was not told"


def test_what_is_no_longer_told_of_is_no_longer_shown() -> None:
    metrics = Metrics()
    metrics.lag("profile", [("events.identified", 0, 7), ("events.identified", 1, 5)])
    metrics.lag("identify", [("events.order", 0, 1)])
    metrics.lag("profile", [("events.identified", 1, 0)])
    metrics.state(5, [("graph", 1), ("profile", 2)])
    metrics.state(5, [("graph", 1)])
    found = values(metrics)
    assert {key[1:] for key in found if key[0] == "kith_lag_messages"} == {
        ("profile", "events.identified", "1"),
        ("identify", "events.order", "0"),
    }
    assert {key[1:] for key in found if key[0] == "kith_state_bytes"} == {("graph",)}


def test_a_batch_of_which_nothing_is_heard_is_noticed() -> None:
    metrics = Metrics()
    heard: list[Callable[[], None]] = [
        lambda: metrics.committed("profile", 0.1),
        lambda: metrics.aborted("profile"),
        lambda: metrics.rebalanced("profile"),
    ]
    for hear in heard:
        assert metrics.uncommitted_s("profile") == 0
        metrics.batch("profile", 1, 0.1)
        time.sleep(0.002)
        waited_s = metrics.uncommitted_s("profile")
        assert waited_s >= 0.002
        metrics.batch("profile", 1, 0.1)
        assert metrics.uncommitted_s("profile") >= waited_s
        assert metrics.uncommitted_s("identify") == 0
        hear()


def test_two_workers_in_one_process_count_each_their_own() -> None:
    first, second = Metrics(), Metrics()
    first.alarm()
    assert values(second)["kith_quality_alarms_total",] == 0


def test_no_label_names_a_person() -> None:
    allowed = {
        "stage",
        "topic",
        "partition",
        "reason",
        "rule",
        "outcome",
        "store",
        "target",
        "command",
        "route",
        "status",
        "kind",
    }
    assert {label for labels in Metrics().names.values() for label in labels} <= allowed


def test_every_metric_is_documented_with_its_labels() -> None:
    rows = dict(re.findall(r"^\| `(kith_[a-z_]+)` \| ([^|]*) \|", OPERATIONS, re.MULTILINE))
    wanted = {name: ", ".join(f"`{label}`" for label in labels) for name, labels in Metrics().names.items()}
    assert {name: labels.strip() for name, labels in rows.items()} == wanted


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"] if panel["type"] != "row"]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> list[tuple[str, str]]:
    found = [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    return found + [(rule["alert"], rule["expr"]) for rule in alerts()]


@pytest.mark.parametrize(("title", "query"), queries())
def test_a_query_reads_metrics_and_labels_that_there_are(title: str, query: str) -> None:
    names = Metrics().names
    found = list(SERIES.finditer(query))
    assert found
    of_query: set[str] = set()
    for match in found:
        name = match[0].partition("{")[0]
        metric = re.sub(r"_(?:bucket|sum|count)$", "", name) if name not in names else name
        if name in FOREIGN:
            continue
        assert metric in names, f"{title} reads {name}"
        of_query.update(names[metric])
        used = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", match[1] or "")
        assert set(used) <= {*names[metric], "instance", "job"}, f"{title}: {match[0]}"
    grouped = {
        label.strip() for labels in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query) for label in labels.split(",")
    }
    assert grouped <= {*of_query, "le", "instance", "job", ""}, f"{title} groups by {grouped}"
    assert query.count("(") == query.count(")")


def test_the_dashboard_shows_every_metric() -> None:
    shown = " ".join(query for panel in panels() for query in [target["expr"] for target in panel["targets"]])
    assert not [name for name in Metrics().names if not re.search(rf"\b{name}(?:_bucket|_count|_sum)?\b", shown)]


def test_every_panel_has_a_title_a_chinese_description_a_unit_and_a_place_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["title"].isascii()
        assert re.search(r"[\u4e00-\u9fff]", panel["description"]), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert rule["annotations"]["summary"]
        assert f"### {rule['alert']}\n" in OPERATIONS, f"docs/operations.md does not say what to do on {rule['alert']}"
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
