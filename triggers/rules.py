"""The rules in force: the catalogue of the core, what the settings change of it, and their own rules."""

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import ValidationError

from schemas.errors import ConfigError
from schemas.settings import Settings
from triggers import terms
from triggers.catalogue import CATALOGUE
from triggers.model import RULE_NAME, Rule
from triggers.terms import Cap, Quiet, Share

GENERAL_QUIET_PURPOSE = "marketing"
_PLACE = "triggers.rules"
_EXPLAINED = frozenset(("since", "key", "until", "after", "at"))


class RuleSet(msgspec.Struct, frozen=True):
    """All rules in force, by name, and what is general to them.

    `quiet` holds marketing only; `caps` is by purpose; `timezone` is for people who state none.
    """

    rules: tuple[Rule, ...]
    quiet: Quiet | None
    caps: dict[str, Cap]
    holdout: Share
    timezone: str

    @classmethod
    def from_settings(cls, settings: Settings) -> "RuleSet":
        """Return the rules that the settings ask for. Raises ConfigError that names the setting."""
        general = settings.triggers
        return cls(
            rules=build_rules(general.rules),
            quiet=_parsed("triggers.quiet_hours", terms.quiet_or_off, general.quiet_hours),
            caps=_caps(general.cap),
            holdout=_parsed("triggers.holdout", terms.share, general.holdout),
            timezone=settings.timezone,
        )

    def rule(self, name: str) -> Rule:
        """Return a rule by name. Raises ConfigError if there is none, naming those there are."""
        for rule in self.rules:
            if rule.name == name:
                return rule
        raise ConfigError(f"there is no rule {name!r}; there are: {', '.join(rule.name for rule in self.rules)}")

    def quiet_hours(self, rule: Rule) -> Quiet | None:
        """Return the quiet hours that hold a rule: its own, else for marketing the general ones."""
        if isinstance(rule.quiet_hours, Quiet):
            return rule.quiet_hours
        return self.quiet if rule.quiet_hours == "default" and rule.purpose == GENERAL_QUIET_PURPOSE else None

    def held_out(self, rule: Rule) -> Share:
        """Return the share of people a rule is held out from: its own, else the general one."""
        return self.holdout if rule.holdout is None else rule.holdout

    def general_cap(self, rule: Rule) -> Cap | None:
        """Return the general cap of the rule's purpose, unless the rule is free of it."""
        return None if rule.cap == "off" else self.caps.get(rule.purpose)


def build_rules(written: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the catalogue with the written rules over it, sorted by name. Raises ConfigError."""
    found: dict[str, dict[str, Any]] = dict(CATALOGUE)
    for name, fields in written.items():
        if not isinstance(name, str) or RULE_NAME.fullmatch(name) is None:
            raise ConfigError(f"{_PLACE}.{name}: a rule's name is of lower-case letters, digits, - and _")
        if fields is True or fields is None:
            if name not in CATALOGUE:
                raise ConfigError(f"{_PLACE}.{name}: is no rule of the core and says nothing")
        elif terms.is_off(fields):
            if name not in CATALOGUE:
                raise ConfigError(f"{_PLACE}.{name}: only a rule of the core can be turned off: {', '.join(CATALOGUE)}")
            del found[name]
        elif isinstance(fields, dict):
            found[name] = _over(CATALOGUE.get(name, {}), fields)
        else:
            raise ConfigError(f"{_PLACE}.{name}: must be off or the fields of a rule")
    return tuple(build_rule(name, found[name]) for name in sorted(found))


def _over(core: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields over the core's; the core's explanation goes when what it explains is another."""
    kept = core if _EXPLAINED.isdisjoint(fields) else {k: v for k, v in core.items() if k != "explanation"}
    return {**kept, **fields}


def build_rule(name: str, fields: Mapping[str, Any]) -> Rule:
    """Return one validated rule. Raises ConfigError naming `triggers.rules.NAME.field`."""
    if "name" in fields:
        raise ConfigError(f"{_PLACE}.{name}.name: the name of a rule is its key")
    unknown = [str(field) for field in fields if field not in Rule.model_fields]
    if unknown:
        known = ", ".join(field for field in Rule.model_fields if field != "name")
        raise ConfigError(f"{_PLACE}.{name}.{unknown[0]}: unknown field; a rule has {known}")
    if "since" not in fields:
        raise ConfigError(f"{_PLACE}.{name}.since: is missing; it says what the rule's time counts from")
    try:
        return Rule.model_validate({"title": name, **fields, "name": name})
    except ValidationError as error:
        raise ConfigError("\n".join(_problem(name, each) for each in error.errors())) from None


def _problem(name: str, error: Any) -> str:
    # The parts of a union's branches in a location mean nothing to a reader.
    field = ".".join(str(part) for part in error["loc"] if str(part).replace("_", "").islower())
    message = error["msg"].removeprefix("Value error, ")
    return f"{_PLACE}.{name}.{field}: {message}"


def _parsed(place: str, parse: Any, value: Any) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from None


def _caps(value: Any) -> dict[str, Cap]:
    if terms.is_off(value) or value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError("triggers.cap: must be off or a map of purposes, such as {marketing: 2 per 1d}")
    found: dict[str, Cap] = {}
    for purpose, text in value.items():
        limit = _parsed(f"triggers.cap.{purpose}", terms.cap_or_off, text)
        if limit is not None:
            found[str(purpose)] = limit
    return found
