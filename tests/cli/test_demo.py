"""The demo as a user meets it: one command, and the commands it names at its end."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main


def kith(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("shop") / "demo"
    done = kith("demo", "--customers", "300", "--seed", "3", "--no-live", "--out", str(out), "--lang", "en")
    assert done.exit_code == 0, done.output
    return out, done.output


def test_it_prints_the_truth_the_grid_the_stages_the_triggers_and_a_story(demo: tuple[Path, str]) -> None:
    out, text = demo
    assert re.search(r"[Pp]recision", text)
    assert re.search(r"[Rr]ecall", text)
    for word in ("RFM", "prospect", "browse-no-order", "Tag lifecycle:", "report.html"):
        assert word in text, word
    page = (out / "report.html").read_text(encoding="utf-8")
    assert len(page) > 1_000_000, "the charts' code is in the page, so that it opens offline"
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?:", page)


def test_the_commands_it_names_work(demo: tuple[Path, str]) -> None:
    out, text = demo
    named = re.findall(r"kith (profile show|identity explain) (\S+) --from (\S+)", text)
    assert [command for command, _, _ in named] == ["profile show", "identity explain"]
    ident = named[0][1]
    page = kith("profile", "show", ident, "--from", str(out), "--lang", "en")
    assert page.exit_code == 0
    assert ident in page.output
    told = json.loads(kith("profile", "show", ident, "--from", str(out), "--json").output)
    assert f"{told['identifiers'][0]['kind']}:" in page.output
    assert {reason["name"] for reason in told["tag_reasons"]} == set(told["tags"])
    why = kith("identity", "explain", ident, "--from", str(out), "--lang", "zh")
    assert told["one_id"] in why.output
    dot = kith("identity", "explain", ident, "--from", str(out), "--dot")
    assert dot.output.startswith("graph kith {")
    assert dot.output.count("{") == dot.output.count("}")


def test_the_same_seed_gives_the_same_year(demo: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = demo
    kith("demo", "--customers", "300", "--seed", "3", "--no-live", "--out", str(tmp_path / "again"), "--lang", "zh")
    for table in ("identities", "profiles", "triggers", "events"):
        assert (out / f"{table}.parquet").read_bytes() == (tmp_path / "again" / f"{table}.parquet").read_bytes()


@pytest.mark.parametrize(
    "identifier", ["phone", "fax:1", "phone:12", "member_id:null", "phone:13900009999", "device_id:nobody-has-this"]
)
def test_an_identifier_that_is_none_or_that_nobody_holds_ends_with_2_and_says_so(
    demo: tuple[Path, str], identifier: str
) -> None:
    done = kith("profile", "show", identifier, "--from", str(demo[0]))
    assert done.exit_code == 2
    assert identifier in done.output


def test_a_folder_that_no_replay_wrote_ends_with_2(tmp_path: Path) -> None:
    done = kith("profile", "show", "phone:13800001234", "--from", str(tmp_path))
    assert done.exit_code == 2
    assert "kith replay" in done.output


def test_a_person_without_an_order_has_a_page(tmp_path: Path) -> None:
    source = tmp_path / "e.jsonl"
    who = {"phone": "13912345678"}
    source.write_text(
        json.dumps({"id": "1", "type": "page.viewed", "time": 1, "identifiers": who, "data": {"url": "/"}})
    )
    assert kith("replay", str(source), "--out", str(tmp_path / "out"), "--quiet").exit_code == 0
    for lang in ("en", "zh"):
        page = kith("profile", "show", "phone:13912345678", "--from", str(tmp_path / "out"), "--lang", lang)
        assert page.exit_code == 0
        assert "0.00 CNY" in page.output


def test_the_demo_replayed_by_the_hint_gives_the_same_triggers(demo: tuple[Path, str], tmp_path: Path) -> None:
    out, text = demo
    hint = next(line for line in text.splitlines() if "kith replay" in line)
    arguments = hint.split("kith ")[1].split(" (")[0].split()
    arguments[arguments.index("--out") + 1] = str(tmp_path / "again")
    assert kith(*arguments, "--quiet").exit_code == 0
    assert (out / "triggers.parquet").read_bytes() == (tmp_path / "again" / "triggers.parquet").read_bytes()


def test_it_ends_with_the_same_people_live(tmp_path: Path) -> None:
    done = kith("demo", "--customers", "25", "--seed", "3", "--out", str(tmp_path / "demo"), "--lang", "zh")
    assert done.exit_code == 0, done.output
    end = done.stdout[done.stdout.rindex("kith replay ") :]
    same, fired = r"共 (\d+) 人，OneID 与重放同一批事件的结果完全一致", r"已触发 (\d+) 次：\S+ \d+"
    found, triggers = re.search(same, end), re.search(fired, end)
    assert found is not None, end
    assert int(found[1]) > 20
    assert triggers is not None, end
    assert int(triggers[1]) > 20
    assert "已正常停止" in end
