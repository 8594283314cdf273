"""Which snapshots an answer is asked of: the one named, and the earlier one it is compared with."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from lake.answers import ANSWERS, Answer, by_name
from lake.answers.opened import opened
from schemas.errors import ConfigError
from tests.lake.answer_tables import at, write_snapshot


def person(one_id: str, lifecycle: str, tier: str = "none") -> dict[str, Any]:
    return {"one_id": one_id, "lifecycle": lifecycle, "tier": tier}


MAY = [person("a", "prospect"), person("b", "new"), person("c", "new", "silver"), person("d", "lost", "gold")]
JUNE = [
    person("a", "new"),
    person("b", "new"),
    person("c", "declining", "gold"),
    person("e", "prospect"),
    person("f", "prospect"),
]


def answer(name: str) -> Answer:
    found = by_name(name)
    assert found is not None
    return found


FLOW, TIERS, NOW = answer("lifecycle-flow"), answer("tier-movement"), answer("tiers")


@pytest.fixture
def side_by_side(tmp_path: Path) -> Path:
    """Snapshots of April, May and June in one folder, a link to the last, and things that are no snapshots."""
    folder = tmp_path / "snapshots"
    write_snapshot(folder / "2026-06", at("2026-06-30"), {"people": JUNE})
    write_snapshot(folder / "2026-04", at("2026-04-30"), {"people": [person("a", "prospect")]})
    write_snapshot(folder / "2026-05", at("2026-05-31"), {"people": MAY})
    write_snapshot(folder / ".2026-06-29-under-way", at("2026-06-29"), {"people": []})
    write_snapshot(folder / "without people", None, {})
    (folder / "latest").symlink_to("2026-06")
    (folder / "broken").mkdir()
    (folder / "broken" / "kith.duckdb").write_bytes(b"no database")
    (folder / "notes.txt").write_text("nothing")
    return folder


@pytest.mark.parametrize("name", ["latest", "2026-06", "2026-06/kith.duckdb"])
def test_the_newest_earlier_snapshot_beside_it_is_compared_with(side_by_side: Path, name: str) -> None:
    with opened(side_by_side / name, ANSWERS) as found:
        assert found.before == at("2026-05-31")
        assert found.rows(FLOW) == [
            ("new here", "prospect", 2, 1.0),
            ("prospect", "new", 1, 1.0),
            ("new", "new", 1, 0.5),
            ("new", "declining", 1, 0.5),
            ("lost", "merged", 1, 1.0),
        ]
        assert sorted(found.rows(TIERS)) == [
            ("gold", "merged", 1, 1.0),
            ("new here", "none", 2, 1.0),
            ("none", "none", 2, 1.0),
            ("silver", "gold", 1, 1.0),
        ]


def test_another_one_can_be_named(side_by_side: Path) -> None:
    with opened(side_by_side / "latest", (FLOW,), side_by_side / "2026-04") as found:
        assert found.rows(FLOW) == [
            ("new here", "prospect", 2, 0.5),
            ("new here", "new", 1, 0.25),
            ("new here", "declining", 1, 0.25),
            ("prospect", "new", 1, 1.0),
        ]


@pytest.mark.parametrize("name", ["2026-06", "without people"])
def test_one_that_is_not_earlier_is_refused(side_by_side: Path, name: str) -> None:
    with (
        pytest.raises(ConfigError, match="not earlier"),
        opened(side_by_side / "2026-05", (FLOW,), side_by_side / name),
    ):
        pass


def test_without_an_earlier_one_it_says_what_to_do_and_gives_the_rest(side_by_side: Path) -> None:
    with opened(side_by_side / "2026-04", ANSWERS) as found:
        assert {each.name for each in found.why_not} == {"lifecycle-flow", "tier-movement"}
        assert all("--before" in reason for reasons in found.why_not.values() for reason in reasons)
        assert found.rows(NOW) == [("none", 1, 1.0, 0)]


def test_a_snapshot_without_people_has_answers_without_rows(side_by_side: Path) -> None:
    with opened(side_by_side / "without people", ANSWERS) as found:
        assert found.as_of is None
        assert all(found.rows(each) == [] for each in ANSWERS if each not in found.why_not)


def test_asking_changes_nothing_in_the_folders(side_by_side: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in side_by_side.rglob("*")}
    with opened(side_by_side / "latest", ANSWERS) as found:
        for each in ANSWERS:
            found.rows(each)
    assert {path: path.stat().st_mtime_ns for path in side_by_side.rglob("*")} == before


def test_what_is_no_snapshot_is_refused_with_its_path(side_by_side: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with duckdb.connect(str(other / "kith.duckdb")) as connection:
        connection.execute("CREATE TABLE cats (name VARCHAR)")
    for path, why in (
        (tmp_path / "nowhere", "no kith.duckdb"),
        (side_by_side / "broken", "cannot be read"),
        (other, "no table of people"),
    ):
        with pytest.raises(ConfigError, match=why) as caught, opened(path, ANSWERS):
            pass
        assert str(path) in str(caught.value)
