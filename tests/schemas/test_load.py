"""Settings from a file and the environment."""

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.load import load_settings
from schemas.settings import IdentitySettings, KindSettings, Settings, default_kinds


def load(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    path = folder / "kith.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ or {})


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, environ)
    return [line.replace(f"{folder}/", "") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("text", ["", "# nothing\n", "identity:\nprofiles:\n  rfm:\n", "\ufeff"])
def test_an_empty_file_or_section_gives_the_defaults(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Settings()
    assert load_settings(None, {"PATH": "/bin", "KITHX": "1"}) == Settings()


def test_the_environment_goes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    text = "timezone: UTC\nhorizon_days: 3\nidentity: {max_size: 50}\n"
    settings = load(tmp_path, text, {"KITH_TIMEZONE": "Asia/Tokyo", "KITH_IDENTITY__MAX_SIZE": "60"})
    assert (settings.timezone, settings.horizon_days, settings.identity.max_size) == ("Asia/Tokyo", 3, 60)
    assert settings.currency == "CNY"


def test_a_variable_of_a_text_setting_is_taken_as_it_stands() -> None:
    settings = load_settings(None, {"KITH_SPACE": "007", "KITH_PROFILES__RFM__MONEY": "99.50"})
    assert (settings.space, settings.profiles.rfm.money) == ("007", "99.50")


def test_a_variable_of_any_other_setting_is_yaml() -> None:
    settings = load_settings(
        None,
        {
            "KITH_TRIGGERS__RULES": "{birthday: off}",
            "KITH_TRIGGERS__QUIET_HOURS": "off",
            "KITH_IDENTITY__KINDS__PHONE__HUB": "null",
            "KITH_IDENTITY__BLOCK__VALUES": "[0000, abc]",
        },
    )
    assert settings.triggers.rules == {"birthday": False}
    assert settings.triggers.quiet_hours is False
    assert settings.identity.kinds["phone"] == KindSettings(limit=5, hub=None)
    assert settings.identity.block.values == ("0000", "abc")


def test_declared_kinds_change_those_out_of_the_box_in_place_and_new_ones_come_last(tmp_path: Path) -> None:
    settings = load(tmp_path, "identity: {kinds: {shop_id: {limit: 2}, phone: {limit: 9}, email: }}")
    assert list(settings.identity.kinds) == [*default_kinds(), "shop_id"]
    assert settings.identity.kinds["phone"] == KindSettings(limit=9, hub=5)
    assert settings.identity.kinds["member_id"] == KindSettings(limit=1, hub=None)
    assert settings.identity.kinds["email"] == default_kinds()["email"]
    assert settings.identity.kinds["shop_id"] == KindSettings(limit=2)


def test_an_order_gives_the_priority_of_all_kinds(tmp_path: Path) -> None:
    names = ["shop_id", *reversed(default_kinds())]
    settings = load(tmp_path, f"identity: {{order: [{', '.join(names)}], kinds: {{shop_id: {{}}}}}}")
    assert list(settings.identity.kinds) == names


@pytest.mark.parametrize(
    ("order", "what"),
    [(("a",), "missing: b"), (("a", "b", "c"), "not declared: c"), (("a", "b", "a"), "twice")],
)
def test_an_order_must_name_exactly_the_kinds(order: tuple[str, ...], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        IdentitySettings(kinds={"a": KindSettings(), "b": KindSettings()}, order=order)


def test_texts_that_yaml_likes_to_convert_stay_texts(tmp_path: Path) -> None:
    rules = "{a: {at: 22:00, on: yes, off: 2026-01-01, month: 0123}}"
    settings = load(tmp_path, f"default_region: NO\ntriggers: {{rules: {rules}}}")
    assert settings.default_region == "NO"
    assert settings.triggers.rules["a"] == {"at": "22:00", "on": "yes", "off": "2026-01-01", "month": "0123"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\nb: 2", "kith.yaml:2: not valid YAML: while parsing a flow sequence"),
        ("- 1", "kith.yaml:1: the file must hold settings"),
        ("space: a\nspace: b", "kith.yaml:2: space: stands twice; first in line 1"),
        ("\ncurency: CNY", "kith.yaml:2: curency: is not a setting; did you mean currency?"),
        ("profiles:\n  clv: {year: 3}", "kith.yaml:2: profiles.clv.year: is not a setting; did you mean years?"),
        ("currency: cny", "kith.yaml:1: currency: must be an ISO 4217 code"),
        ("timezone: Mars/Base", "kith.yaml:1: timezone: must be an IANA time zone"),
        ("timezone: ../etc/passwd", "kith.yaml:1: timezone: must be an IANA time zone"),
        ("default_region: China", "kith.yaml:1: default_region: must be an ISO 3166"),
        ("horizon_days: true", "kith.yaml:1: horizon_days: should be a valid integer, not true"),
        ("horizon_days: '7'", "kith.yaml:1: horizon_days: should be a valid integer"),
        ("horizon_days: 0", "kith.yaml:1: horizon_days: should be greater than or equal to 1, not 0"),
        ("profiles: {clv: {margin: 1.5}}", "kith.yaml:1: profiles.clv.margin: should be less than or equal to 1"),
        ("space: ' '", "kith.yaml:1: space: must not be empty"),
        ("identity: 3", "kith.yaml:1: identity: "),
        ("identity:\n  kinds:\n    A-b: {}", "kith.yaml:3: identity.kinds.A-b: a kind is named by"),
        ("identity:\n  kinds:\n    x: 3", "kith.yaml:3: identity.kinds.x: "),
        ("identity:\n  block:\n    patterns:\n      - '('", "kith.yaml:4: identity.block.patterns.0: is not a regular"),
        ("profiles: {rfm: {money: lots}}", "kith.yaml:1: profiles.rfm.money: must be an amount of money"),
        ("profiles: {rfm: {money: -1}}", "kith.yaml:1: profiles.rfm.money: must be from 0"),
        ("profiles: {rfm: {money: 1.005}}", "kith.yaml:1: profiles.rfm.money: "),
        ("currency: JPY\nprofiles:\n  tiers: {a: 1.5}", "kith.yaml:3: profiles.tiers.a: "),
        ("profiles: {tiers: {a: 2, b: 1}}", "kith.yaml:1: profiles.tiers: must ascend"),
        ("profiles: {tiers: {none: 2}}", "kith.yaml:1: profiles.tiers: `none` is"),
        ("profiles:\n  lifecycle:\n    lost_days: 30", "kith.yaml:2: profiles.lifecycle: declining_days (60)"),
        ("profiles:\n  completeness: {a: .nan}", "kith.yaml:2: profiles.completeness.a: "),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(tmp_path: Path, text: str, problem: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "space: ''\nidentity:\n  max_size: 1\n  mx: 2\nhorizon_days: x\n"
    found = problems(tmp_path, text, {"KITH_CURRENCY": "X", "KITH_TIMEZON": "UTC"})
    assert [line.partition(": ")[0] for line in found] == [
        "kith.yaml:1",
        "kith.yaml:3",
        "kith.yaml:4",
        "kith.yaml:5",
        "environment KITH_TIMEZON",
        "environment KITH_CURRENCY",
    ]
    assert found[4].endswith("did you mean KITH_TIMEZONE?")


def test_what_is_not_text_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "kith.yaml"
    path.write_bytes(b"space: \xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings(path, {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path, {})


def test_a_node_that_holds_itself_ends_in_an_error(tmp_path: Path) -> None:
    assert "nested deeper" in problems(tmp_path, "triggers: {rules: &a {x: *a}}")[0]
