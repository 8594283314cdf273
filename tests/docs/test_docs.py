"""The documentation against the program: nothing missing, nothing made up, links that lead somewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml

from cli.main import main
from ingest import mapping, mapping_values
from ingest.csv_options import CsvOptions
from profiles.derived import COLUMNS
from schemas.contract import EVENT_MODELS
from schemas.errors import Reason
from schemas.load import load_settings
from stream.replay import TABLES
from tests.docs import reports_page, snapshots_page
from triggers.catalogue import CATALOGUE
from triggers.model import Rule
from triggers.rules import RuleSet

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from leaves(inner, (*path, name))
    else:
        yield " ".join(path), command


LEAVES = dict(leaves(main, ("kith",)))


def section(command: str) -> str:
    """The text of a command's section in docs/commands.md."""
    parts = re.split(r"^## ", COMMANDS, flags=re.MULTILINE)
    return next((part for part in parts if part.startswith(f"`{command}`\n")), "")


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_and_option_is_documented_and_explains_itself(command: str) -> None:
    text = section(command)
    assert text, f"docs/commands.md has no section on {command}"
    assert LEAVES[command].help
    flags = set()
    for parameter in LEAVES[command].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{command} {parameter.opts[0]} has no help"
            flags.add(max(parameter.opts, key=len))
    assert set(re.findall(r"^\| `(--[a-z-]+)` \|", text, re.MULTILINE)) == flags


def test_no_command_is_documented_that_is_not_there() -> None:
    assert set(re.findall(r"^## `(kith [^`]+)`$", COMMANDS, re.MULTILINE)) == set(LEAVES)


def test_every_group_explains_itself() -> None:
    context = click.Context(main)
    assert all((command := main.get_command(context, name)) and command.help for name in main.list_commands(context))


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    spec = spec_from_file_location("settings_reference", Path(__file__).with_name("settings_reference.py"))
    assert spec is not None
    assert spec.loader is not None
    reference = module_from_spec(spec)
    spec.loader.exec_module(reference)
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `.*\|$", text, re.MULTILINE)
    assert documented == reference.rows()
    assert not any("| None |" in row or "|  |" in row for row in documented)


def test_every_rule_and_every_field_of_a_rule_is_documented() -> None:
    text = (ROOT / "docs" / "triggers.md").read_text(encoding="utf-8")
    for name in [*CATALOGUE, *(field for field in Rule.model_fields if field != "name")]:
        assert f"`{name}`" in text, f"docs/triggers.md does not name {name}"


def test_every_event_type_is_documented() -> None:
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    assert not [name for name in EVENT_MODELS if f"`{name}`" not in text]
    named = set(re.findall(r"`((?:order|chat|ticket|customer|survey|points|message|cart|app)\.[a-z_]+)`", text))
    assert named <= set(EVENT_MODELS)


def test_every_reason_of_a_dead_letter_is_documented() -> None:
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z_]+)` \| [^|]*\|$", text.split("## Dead letters")[1], re.M)) == set(
        get_args(Reason)
    )


def test_every_table_and_every_column_of_a_profile_is_documented() -> None:
    for table in TABLES:
        assert f"`{table.name}.parquet`" in COMMANDS
    text = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
    assert not [column for column in COLUMNS if f"`{column}`" not in text]


def test_the_page_of_snapshots_tells_every_table_and_column() -> None:
    assert snapshots_page.PAGE.read_text(encoding="utf-8") == snapshots_page.page(), (
        "run python -m tests.docs.snapshots_page"
    )


def test_every_mapping_that_comes_along_is_named_and_valid() -> None:
    text = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs" / "maps").iterdir()):
        assert f"`docs/maps/{path.name}`" in text
        assert mapping.loads(path.read_text(encoding="utf-8"), path.name)


def test_every_module_of_the_pipeline_has_a_place_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "stream").glob("*.py")):
        assert path.name == "__init__.py" or f"`stream/{path.name}`" in text, path.name


@pytest.mark.parametrize("page", ["settings.md", "triggers.md"])
def test_the_settings_shown_are_valid(page: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        path = tmp_path / "kith.yaml"
        path.write_text(block, encoding="utf-8")
        assert yaml.safe_load(block)
        RuleSet.from_settings(load_settings(path, {}))


@pytest.mark.parametrize("page", ["docs/mapping.md", "README.md"])
def test_the_mappings_shown_are_valid(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^(?:```yaml|cat > orders\.yaml <<'END')\n(.*?)^(?:```|END)$", text, re.MULTILINE | re.DOTALL)
    whole = [block for block in blocks if block.startswith("id:")]
    assert whole
    for block in whole:
        assert mapping.loads(block, page)


def test_every_key_of_a_mapping_is_documented() -> None:
    text = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    options = CsvOptions.__dataclass_fields__
    for name in [*mapping.KEYS, *mapping.SHARED, *mapping_values.OPTIONS]:
        assert f"`{name}`" in text, f"docs/mapping.md does not name {name}"
    assert all(f"\n  {name}: " in text for name in options)
    assert all(f"{{{name}: " in text for name in mapping_values.ORIGINS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    folders = "schemas|identity|profiles|triggers|ingest|stream|lake|cli|tests|docs|bench|deploy"
    text = page.read_text(encoding="utf-8")
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_the_commands_of_the_readme_are_those_of_make() -> None:
    block = re.search(r"## Two commands\n.*?```sh\n(.*?)```", README, re.DOTALL)
    assert block is not None
    commands = [line.split("#")[0].split() for line in block[1].splitlines() if line.strip()]
    assert commands == [["make", "demo"], ["make", "test"]]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^demo: \$\(STAMP\).*\n\t@\$\(BIN\)/kith demo ", makefile, re.MULTILINE)
    assert re.search(r"^test: lint types tests ", makefile, re.MULTILINE)
    named = set(re.findall(r"`?make ([a-z]+)", README))
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert "demo" in main.list_commands(click.Context(main))


def test_the_build_server_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").rstrip().endswith("make test")


def test_the_lock_pins_everything_with_hashes_and_names_no_host() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", " "))]
    assert all(re.match(r"[a-z0-9-]+==[^ ]+ (; .* )?\\$", pin) for pin in pins)
    assert {"hatchling", "editables", "pytest", "msgspec"} <= {pin.partition("==")[0] for pin in pins}
    assert not [line for line in lines if "://" in line or "index" in line]


def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    blocks = re.findall(r"<!-- run -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 4
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", "\n".join(blocks)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "external_id:C2" in done.stdout
    assert "cart-abandon" in done.stdout


def test_the_answers_stand_in_the_docs_as_they_are() -> None:
    assert reports_page.PAGE.read_text(encoding="utf-8") == reports_page.page(), "run python -m tests.docs.reports_page"
