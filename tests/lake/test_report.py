"""The report, the story and the printed summary, of a small folder as a replay writes it."""

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from ingest.generator import Agreement
from lake.printing import print_summary
from lake.report import write_report
from lake.report_data import read_figures
from lake.report_words import Lang
from lake.story import StoryLine, pick_customer, shorten, story
from lake.tables import DEADLETTERS, EVENTS, EVIDENCE, IDENTITIES, IDENTITY_CHANGES, TRIGGERS

DAY = 86_400_000
START = 1_751_299_200_000  # 2025-06-30T16:00:00Z, the first of July in Shanghai
ANNA, GONE, BEN, CARL = "aaaaaaaa-1", "bbbbbbbb-2", "cccccccc-3", "dddddddd-4"
TIME = pa.timestamp("ms", tz="UTC")
PROFILES = pa.schema(
    [
        ("one_id", pa.string()),
        ("events", pa.int64()),
        ("orders", pa.int64()),
        ("currency", pa.string()),
        ("revenue_minor", pa.int64()),
        ("first_order_at", TIME),
        ("rfm_segment", pa.string()),
        ("lifecycle", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("tag_reasons", pa.string()),
    ]
)
FACTS = {"orders": 3, "money_minor": 123_456, "currency": "CNY", "last_order_at": START + 35 * DAY, "cuts": {"r": [1]}}
REASONS = json.dumps([{"name": "重要价值", "rule": "rfm", "version": 1, "facts": FACTS}])
ROWS: dict[str, tuple[pa.Schema, list[tuple[object, ...]]]] = {
    "identities": (
        IDENTITIES.schema,
        [
            (ANNA, "member_id", "M1", START, START + 9 * DAY, 9),
            (ANNA, "anonymous_id", "0123456789abcdef0123456789abcdef", START, START, 2),
            (BEN, "phone", "+8613912345678", START, START, 1),
            (CARL, "email", "carl@example.com", START, START, 1),
        ],
    ),
    "profiles": (
        PROFILES,
        [
            (ANNA, 8, 3, "CNY", 123_456, START + DAY, "重要价值", "growing", ["重要价值"], REASONS),
            (BEN, 1, 1, "CNY", 5_000, START + 40 * DAY, "一般发展", "new", [], "[]"),
            (CARL, 1, 1, "USD", 9_999, START + 40 * DAY, "一般发展", "new", [], "[]"),
        ],
    ),
    "triggers": (
        TRIGGERS.schema,
        [
            (
                "t1",
                "cart-abandon",
                1,
                ANNA,
                "K1",
                "e5",
                START,
                START + DAY,
                START + DAY,
                "fired",
                None,
                '{"value": "88.00"}',
            ),
            ("t2", "welcome", 1, ANNA, None, "e3", START, START, None, "suppressed", "consent", "{}"),
            ("t3", "birthday", 1, BEN, "2025", "e9", START, START + DAY, None, "expired", None, None),
        ],
    ),
    "events": (
        EVENTS.schema,
        [
            ("e1", "product.viewed", START, ANNA, "anonymous_id:0123456789abcdef0123456789abcdef"),
            ("e2", "product.viewed", START + 60_000, ANNA, "anonymous_id:0123456789abcdef0123456789abcdef"),
            ("e3", "customer.identified", START + 120_000, ANNA, "member_id:M1"),
            ("e4", "order.paid", START + DAY, ANNA, "member_id:M1"),
            ("e5", "cart.added", START + 2 * DAY, ANNA, "member_id:M1"),
            ("e6", "order.paid", START + 35 * DAY, ANNA, "member_id:M1"),
            ("e7", "order.refunded", START + 36 * DAY, ANNA, "member_id:M1"),
            ("e8", "custom.[bold]", START + 37 * DAY, ANNA, "member_id:M1"),
            ("e9", "order.paid", START + 40 * DAY, BEN, "phone:+8613912345678"),
            ("e10", "customer.unlinked", START + 41 * DAY, None, None),
        ],
    ),
    "identity_changes": (
        IDENTITY_CHANGES.schema,
        [
            (START + 120_000, "merged", ANNA, GONE, None, "e3"),
            (START + 3 * DAY, "refused", GONE, BEN, "limit", "e9"),
            (START + 4 * DAY, "hub", CARL, None, "device_id:KIOSK", "e9"),
        ],
    ),
    "deadletters": (
        DEADLETTERS.schema,
        [("in.jsonl", 4, "not_json", "</script>", b"{"), ("in.jsonl", 7, "invalid", "time", b"{}")],
    ),
    "evidence": (
        EVIDENCE.schema,
        [("edge", "anonymous_id:0123456789abcdef0123456789abcdef", "member_id:M1", START + 120_000, "e3")],
    ),
}


def write_folder(folder: Path, empty: bool = False) -> Path:
    folder.mkdir(parents=True)
    for name, (schema, rows) in ROWS.items():
        arrays = [
            pa.array([] if empty else [row[place] for row in rows], type=field.type)
            for place, field in enumerate(schema)
        ]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / f"{name}.parquet")
    (folder / "summary.json").write_text(json.dumps({"input": {"lines": 14, "duplicates": 2}}))
    return folder


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "out[1]")


TRUTH = Agreement(
    precision=0.9912,
    recall=0.75,
    f1=0.854,
    people_found=3,
    people_true=2,
    exact=1,
    identifiers=4,
    left_out=1,
    found_sizes={1: 2, 14: 1},
    true_sizes={2: 2},
)


def page_data(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    assert found is not None
    parsed: dict[str, Any] = json.loads(found.group(1))
    return parsed


def test_figures_come_from_the_tables(lake: Path) -> None:
    figures = read_figures(lake)
    assert figures.cards == {
        "people": 3,
        "identifiers": 4,
        "events": 10,
        "buyers": 3,
        "orders": 5,
        "fired": 1,
        "merges": 1,
        "deadletters": 2,
        "duplicates": 2,
    }
    assert (figures.first, figures.last) == ("2025-06-30", "2025-08-10")
    assert figures.rules == {
        "fired": {"cart-abandon": 1},
        "suppressed consent": {"welcome": 1},
        "expired": {"birthday": 1},
    }
    assert figures.deadletters == {"invalid": 1, "not_json": 1}


def test_money_counts_only_the_usual_currency(lake: Path) -> None:
    figures = read_figures(lake)
    assert (figures.currency, figures.revenue) == ("CNY", 1284.56)
    assert figures.rfm["一般发展"] == (2, 50.0)
    assert figures.rfm["重要保持"] == (0, 0.0)
    assert figures.cohorts == {"2025-07": 1234.56, "2025-08": 50.0}


def test_months_and_days_are_those_of_the_time_zone(lake: Path) -> None:
    assert read_figures(lake).activity["2025-07-01"] == 3
    assert read_figures(lake, zone="UTC").activity["2025-06-30"] == 3
    assert read_figures(lake).orders == {"paid": {"2025-07": 1, "2025-08": 2}, "refunded": {"2025-08": 1}}
    assert list(read_figures(lake).changes["merged"]) == ["2025-06-30"]  # the Monday of that week


def test_the_report_loads_nothing_from_elsewhere(lake: Path, tmp_path: Path) -> None:
    write_report(lake, tmp_path / "new" / "report.html", truth=TRUTH)
    text = (tmp_path / "new" / "report.html").read_text()
    page = text.replace(text[text.index("<script>") : text.index("</script>") + 9], "")
    assert "Plotly" in text
    assert not re.search(r"https?://|<link[^>]+stylesheet|<script[^>]+src|@import", page)


def test_the_report_holds_both_languages_and_opens_in_the_one_asked_for(lake: Path, tmp_path: Path) -> None:
    write_report(lake, tmp_path / "report.html", lang="zh", truth=TRUTH)
    data = page_data(tmp_path / "report.html")
    assert data["first"] == "zh"
    zh, en = json.dumps(data["zh"], ensure_ascii=False), json.dumps(data["en"], ensure_ascii=False)
    assert "生命周期" in zh
    assert "99.12%" in zh
    assert "Lifecycle" in en
    assert "Important value" in en


def test_every_chart_of_the_report_has_data(lake: Path, tmp_path: Path) -> None:
    write_report(lake, tmp_path / "report.html", truth=TRUTH)
    charts = page_data(tmp_path / "report.html")["en"]["charts"]
    assert [chart["id"] for chart in charts if chart["empty"]] == []
    assert len(charts) == 10


def test_the_same_tables_give_the_same_report(lake: Path, tmp_path: Path) -> None:
    write_report(lake, tmp_path / "a.html", truth=TRUTH)
    write_report(lake, tmp_path / "b.html", truth=TRUTH)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_replay_without_events_still_has_a_report(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "none", empty=True)
    assert pick_customer(folder) is None
    write_report(folder, tmp_path / "report.html")
    assert page_data(tmp_path / "report.html")["en"]["story"] == []
    print_summary(Console(file=StringIO()), folder)


def test_the_customer_with_most_to_tell_is_picked(lake: Path) -> None:
    assert pick_customer(lake) == ANNA


def test_the_story_is_in_time_order_and_ends_with_the_tags(lake: Path) -> None:
    lines = story(lake, ANNA)
    assert [line.at_ms for line in lines] == sorted(line.at_ms for line in lines)
    assert [line.kind for line in lines] == [
        "browse",
        "trigger",
        "customer",
        "merged",
        "order",
        "trigger",
        "cart",
        "refused",
        "order",
        "order",
        "custom.[bold]",
        "profile",
        "profile",
        "tag",
    ]


def test_the_story_says_why(lake: Path) -> None:
    by_kind: dict[str, str] = {}
    for line in story(lake, ANNA):
        by_kind.setdefault(line.kind, line.text)
    assert by_kind["browse"].startswith("Product viewed ×2 · as anonymous_id:0123456789ab…")
    assert "identified e3 showed anonymous_id:0123456789ab… together with member_id:M1" in by_kind["merged"]
    assert "more identifiers of one kind" in by_kind["refused"]
    assert "no consent" in by_kind["trigger"]
    assert by_kind["tag"] == (
        "Tag 重要价值 · by rfm v1 · orders=3, money=1234.56, currency=CNY, last_order_at=2025-08-04"
    )


def test_the_story_speaks_chinese(lake: Path) -> None:
    text = "\n".join(line.text for line in story(lake, ANNA, "zh"))
    assert "浏览商品 ×2" in text
    assert "合并为一人" in text
    assert "购物车遗留 (cart-abandon K1) · 触发" in text
    assert "value=88.00" in text


def test_the_story_of_nobody_is_empty(lake: Path) -> None:
    assert story(lake, "unknown") == []


def test_a_story_goes_on_under_absorbed_oneids_but_not_under_other_people(lake: Path) -> None:
    texts = [line.text for line in story(lake, ANNA)]
    assert any("Kept apart · bbbbbbbb and cccccccc" in text for text in texts)  # of the OneID that was absorbed
    assert not any("Two became one" in line.text for line in story(lake, BEN))


def test_a_long_story_loses_its_least_telling_lines() -> None:
    lines = [StoryLine(place, "browse", f"Viewed · {place}") for place in range(50)]
    lines[20] = StoryLine(20, "merged", "Two became one")
    lines[30] = StoryLine(30, "order", "Order paid")
    short = shorten(lines, 10)
    assert len(short) == 10
    assert {"merged", "order"} <= {line.kind for line in short}
    assert [line.at_ms for line in short] == sorted(line.at_ms for line in short)
    assert short[-1].text == "… and 41 more"
    assert shorten(lines, 50) == lines


def test_the_summary_is_printed_in_both_languages(lake: Path) -> None:
    cases: tuple[tuple[Lang, tuple[str, ...]], ...] = (
        ("en", ("precision 99.12%", "Important value", "growing")),
        ("zh", ("精确率", "重要价值", "成长")),
    )
    for lang, expected in cases:
        out = StringIO()
        print_summary(Console(file=out, width=120), lake, TRUTH, lang)
        for text in (*expected, "cart-abandon", "[bold]"):
            assert text in out.getvalue()
