"""`kith report` as an analyst meets it: over a demo's folder, and over snapshots side by side."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from cli.main import main
from lake.answers import ANSWERS
from lake.answers.shown import shown_columns
from tests.lake.answer_tables import at, everything, nps, order, write_snapshot


def kith(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False, env={"COLUMNS": "100", "LC_ALL": "C.UTF-8"})


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("snapshots")
    people: list[dict[str, Any]] = [{"one_id": "a", "lifecycle": "new", "tier": "gold"}]
    write_snapshot(folder / "1", at("2026-05-31"), {"people": [{"one_id": "a", "lifecycle": "prospect"}]})
    orders = [order("a", "2026-06-01", 123_400), order("a", "2026-06-09", 5_000)]
    trigger = {"rule": "welcome", "one_id": "a", "outcome": "fired"}
    tables = {"people": people, "orders": orders, "surveys": [nps("2026-06-02", 9)], "triggers": [trigger]}
    write_snapshot(folder / "2", at("2026-06-15"), tables)
    return folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shop") / "demo"
    done = kith("demo", "--customers", "100", "--days", "200", "--no-live", "--out", str(out))
    assert done.exit_code == 0, done.output
    return out


def test_all_answers_are_printed_with_title_meaning_and_rows(snapshots: Path) -> None:
    done = kith("report", "--from", str(snapshots / "2"))
    assert done.exit_code == 0
    assert done.stderr == ""
    for answer in ANSWERS:
        assert answer.title[0] in done.stdout
    assert "As of 2026-06-15 00:00 (Asia/Shanghai), money in CNY · compared with 2026-05-31 00:00" in done.stdout
    assert re.search(r"2026-06\* +1 +1 +2 +1,284 +0.0% +– +– +100.0", done.stdout)
    assert "* The month is not over" in done.stdout
    assert re.search(r"prospect +new +1 +100.0%", done.stdout)
    assert "No rule with a goal has fired yet" in done.stdout


def test_nothing_is_wider_than_the_terminal(demo: Path) -> None:
    for lang in ("en", "zh"):
        done = kith("report", "--from", str(demo), "--lang", lang)
        assert max(map(cell_len, done.stdout.splitlines())) <= 100
        assert "…" not in done.stdout


def test_words_stay_whole_in_a_hundred_columns(tmp_path: Path) -> None:
    done = kith("report", "--from", str(everything(tmp_path)))
    said = set(done.stdout.split())
    tables = [answer for answer in ANSWERS if answer.chart.kind != "heat"]
    labels = [answer.label(column, "en") for answer in tables for column in shown_columns(answer)]
    assert {word for label in labels for word in label.split()} - said == set()
    assert done.stderr == ""


def test_one_answer_in_chinese(snapshots: Path) -> None:
    done = kith("report", "lifecycle-flow", "--from", str(snapshots / "2"), "--lang", "zh")
    assert done.exit_code == 0
    assert re.search(r"潜在 +新客 +1 +100.0%", done.stdout)
    assert "Lifecycle" not in done.stdout
    done = kith("report", "triggers-by-rule", "--from", str(snapshots / "2"), "--lang", "zh")
    assert "欢迎新客" in done.stdout


def test_an_unknown_name_is_refused_and_the_names_are_listed(snapshots: Path) -> None:
    done = kith("report", "sales", "--from", str(snapshots / "2"))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert all(answer.name in done.stderr for answer in ANSWERS)


def test_a_folder_without_a_snapshot_is_refused(tmp_path: Path) -> None:
    done = kith("report", "--from", str(tmp_path / "nowhere"))
    assert done.exit_code == 2
    assert str(tmp_path / "nowhere") in done.stderr
    assert kith("report").exit_code == 2


def test_a_comparison_without_an_earlier_snapshot_says_what_to_do(snapshots: Path, tmp_path: Path) -> None:
    done = kith("report", "tier-movement", "--from", str(snapshots / "1"))
    assert done.exit_code == 2
    assert "--before" in done.stderr
    done = kith("report", "--from", str(snapshots / "1"))
    assert done.exit_code == 0
    assert re.findall(r"^([a-z-]+): compares", done.stderr, re.MULTILINE) == ["lifecycle-flow", "tier-movement"]
    done = kith("report", "tier-movement", "--from", str(snapshots / "2"), "--before", str(tmp_path))
    assert done.exit_code == 2


def test_the_folder_of_a_replay_gives_all_but_what_only_a_snapshot_has(demo: Path) -> None:
    done = kith("report", "--from", str(demo))
    assert done.exit_code == 0
    lacking = re.findall(r"^([a-z-]+): ", done.stderr, re.MULTILINE)
    assert lacking == ["lifecycle-flow", "tier-movement", "tag-sizes", "goal-conversion", "nps-over-time"]
    assert "Important value" in done.stdout
    assert kith("report", "nps-over-time", "--from", str(demo)).exit_code == 2


def test_the_file_holds_both_languages_and_opens_in_the_one_asked_for(snapshots: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "report.html"
    done = kith("report", "--from", str(snapshots / "2"), "--html", str(page), "--lang", "zh")
    assert done.exit_code == 0
    assert str(page) in done.stdout
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?:", text)
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    pages = json.loads(found[1])
    assert pages["first"] == "zh"
    for place, lang in enumerate(("en", "zh")):
        assert [chart["title"] for chart in pages[lang]["charts"]] == [answer.title[place] for answer in ANSWERS]
    assert ["New customers · 2026-06", "1"] in pages["en"]["cards"]
    assert ["会员等级", "金卡 1"] in pages["zh"]["cards"]


def test_the_same_snapshot_gives_the_same_file(snapshots: Path, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        kith("report", "--from", str(snapshots / "2"), "--html", str(tmp_path / name), "--lang", "en")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
