"""What commands share: the options `--config` and `--lang`, and reading the settings with every mistake at once."""

import os
from pathlib import Path
from typing import Any, Literal

import click

from profiles.lookup import is_known
from schemas.errors import ConfigError
from schemas.load import read_settings
from schemas.settings import Settings, TriggerSettings
from triggers.engine import Engine
from triggers.rules import RuleSet

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML file with settings; without it the defaults and KITH_... variables apply.",
)


def default_language() -> str:
    """Return zh if the system's language is Chinese, else en."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


Lang = Literal["en", "zh"]
"""What `lang_option` gives."""

lang_option = click.option(
    "--lang",
    type=click.Choice(["en", "zh"]),
    default=default_language,
    show_default="of the system",
    help="Language of the output.",
)


def configured(config: Path | None) -> Settings:
    """Return the settings of a file and the environment, rules included.

    Raises ConfigError with one line `file:line: field: what` for every mistake.
    """
    loaded = read_settings(config, os.environ)
    for line in rule_problems(loaded.settings):
        loaded.note((), line)
    if loaded.problems:
        raise ConfigError("\n".join(loaded.problems))
    return loaded.settings


def rule_problems(settings: Settings) -> list[str]:
    """Return what is wrong with the triggers' settings, as lines `field: what`.

    The rules stop at the first that is wrong, so that is taken out and the others are asked again.
    """
    problems: list[str] = []
    general = settings.triggers.model_dump()
    while True:
        try:
            ruleset = RuleSet.from_settings(settings.model_copy(update={"triggers": TriggerSettings(**general)}))
        except ConfigError as error:
            lines = str(error).splitlines()
            problems.extend(lines)
            if not _take_out(general, lines[0]):
                return problems
        else:
            return problems + unknown_names(ruleset, settings)


def unknown_names(ruleset: RuleSet, settings: Settings) -> list[str]:
    """Return the names in conditions and messages that stand for nothing, as lines `field: what`.

    A condition on one of them would be false for ever, and say nothing.
    """
    problems = []
    for watch in Engine(ruleset, settings).watches:
        rule = watch.rule
        fields = {f"emit.{name}": expression for name, expression in rule.emit.items()}
        if rule.when is not None:
            fields["when"] = rule.when
        for field, expression in fields.items():
            names = [name for name in sorted(expression.names) if name not in watch.scope and not is_known(name)]
            problems += [f"triggers.rules.{rule.name}.{field}: nothing is called {name}" for name in names]
    return problems


def _take_out(general: dict[str, Any], problem: str) -> bool:
    """Take the rule or the general setting that a problem names out of the triggers' settings."""
    for name in sorted(general["rules"], key=len, reverse=True):
        if problem.startswith((f"triggers.rules.{name}.", f"triggers.rules.{name}:")):
            del general["rules"][name]
            return True
    for name in ("quiet_hours", "cap", "holdout"):
        if name in general and problem.startswith((f"triggers.{name}.", f"triggers.{name}:")):
            del general[name]
            return True
    return False
