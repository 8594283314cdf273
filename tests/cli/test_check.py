"""`kith check`, `kith rules`, and how errors end any command."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli import main as cli_main
from schemas.errors import ConfigError, StateError

WRONG = """\
timezon: Asia/Shanghai
currency: XXZ
identity:
  kinds:
    phone: {limt: 3}
triggers:
  cap: {marketing: often}
  rules:
    cart-abandon:
      after: soon
    birthday: off
    mine:
      since: order.paid
      when: "orders >"
"""


def kith(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner(env={"LANG": "C", "LC_ALL": None, **(environment or {})}).invoke(cli_main.main, arguments)


def written(folder: Path, text: str) -> str:
    path = folder / "kith.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_mistake_is_shown_with_file_line_and_field(tmp_path: Path) -> None:
    path = written(tmp_path, WRONG)
    result = kith("check", "--config", path)
    assert result.exit_code == 2
    places = [": ".join(line.split(": ")[:2]) for line in result.stderr.splitlines()]
    assert places == [
        f"{path}:1: timezon",
        f"{path}:2: currency",
        f"{path}:5: identity.kinds.phone.limt",
        f"{path}:7: triggers.cap.marketing",
        f"{path}:10: triggers.rules.cart-abandon.after",
        f"{path}:14: triggers.rules.mine.when",
    ]
    assert result.stdout == ""


def test_a_right_file_is_said_to_be_right(tmp_path: Path) -> None:
    result = kith("check", "--config", written(tmp_path, "currency: USD\n"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "right" in result.stdout


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    result = kith("check", "--config", written(tmp_path, ""), environment={"KITH_HORIZON_DAYS": "soon"})
    assert result.exit_code == 2
    assert result.stderr.startswith("environment KITH_HORIZON_DAYS: horizon_days: ")


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    result = kith("check", "--config", str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert "none.yaml" in result.stderr


@pytest.mark.parametrize(
    ("lang", "environment", "title"),
    [
        (["--lang", "zh"], {}, "购物车遗留"),
        (["--lang", "en"], {"LANG": "zh_CN.UTF-8"}, "Cart left behind"),
        ([], {"LANG": "zh_CN.UTF-8"}, "购物车遗留"),
        ([], {"LANG": "de_DE.UTF-8"}, "Cart left behind"),
        ([], {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "Cart left behind"),
    ],
)
def test_rules_speak_the_language_asked_for_else_that_of_the_system(
    lang: list[str], environment: dict[str, str], title: str
) -> None:
    listed = kith("rules", "list", *lang, environment=environment)
    shown = kith("rules", "show", "cart-abandon", *lang, environment=environment)
    assert title in listed.stdout
    assert title in shown.stdout


def test_a_configuration_changes_the_rules_that_are_listed(tmp_path: Path) -> None:
    text = "triggers: {rules: {birthday: off, cart-abandon: {after: 12h, cap: off}, mine: {since: order.paid}}}"
    config = ["--config", written(tmp_path, text)]
    rules = {rule["name"]: rule for rule in json.loads(kith("rules", "list", "--json", *config).stdout)}
    assert "birthday" not in rules
    assert "mine" in rules
    assert rules["cart-abandon"]["due"] == "12 hours later"
    assert "at most" not in kith("rules", "show", "cart-abandon", *config).stdout
    assert "at most" in kith("rules", "show", "welcome", *config).stdout


def test_every_rule_can_be_shown_in_both_languages() -> None:
    for rule in json.loads(kith("rules", "list", "--json").stdout):
        name = rule["name"]
        for lang in ("en", "zh"):
            result = kith("rules", "show", name, "--lang", lang)
            assert result.exit_code == 0
            assert result.stdout.startswith(name)


def test_an_unknown_rule_is_an_error_that_names_the_known_ones() -> None:
    result = kith("rules", "show", "birthdy")
    assert result.exit_code == 2
    assert "birthday" in result.stderr


def test_the_schemas_are_written_and_listed(tmp_path: Path) -> None:
    result = kith("schema", "export", str(tmp_path / "new" / "schemas"))
    assert result.exit_code == 0, result.output
    files = [Path(line) for line in result.stdout.splitlines()]
    assert files
    assert all(path.is_file() for path in files)
    assert any("asyncapi" in path.name for path in files)


def test_the_version_is_that_of_the_distribution() -> None:
    assert kith("--version").stdout == "kith, version 0.2.0\n"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("kith.yaml:3: currency: wrong"), 2, "kith.yaml:3: currency: wrong\n"),
        (StateError("the graph contradicts itself"), 1, "kith: the graph contradicts itself\n"),
        (KeyboardInterrupt(), 130, "kith: interrupted\n"),
    ],
)
def test_an_error_ends_with_a_message_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(self: click.Group, ctx: click.Context) -> None:
        raise error

    monkeypatch.setattr(click.Group, "invoke", fail)
    result = kith("rules", "list")
    assert (result.exit_code, result.stderr, result.stdout) == (code, message, "")


def test_a_name_that_stands_for_nothing_is_named_with_its_line(tmp_path: Path) -> None:
    text = (
        "triggers:\n  rules:\n    cart-abandon:\n      when: cart.valu > 0 and orders > 1\n"
        "    mine: {since: order.paid, after: 1h, when: traits.a = 1 and count.order.paid > 2, emit: {a: nonsense.b}}\n"
    )
    path = written(tmp_path, text)
    done = kith("check", "--config", path)
    assert done.exit_code == 2
    assert done.output.splitlines() == [
        f"{path}:4: triggers.rules.cart-abandon.when: nothing is called cart.valu",
        f"{path}:5: triggers.rules.mine.emit.a: nothing is called nonsense.b",
    ]
