"""docs/topics.md against the table of topics."""

import re
from pathlib import Path

from schemas.settings import Settings
from schemas.topics import PARTITIONS, TOPICS
from stream.topics import expected
from triggers.rules import RuleSet

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "topics.md").read_text(encoding="utf-8")


def test_every_topic_is_documented_as_the_table_has_it() -> None:
    rows = [
        f"| `{topic.name}` | {topic.key} | {'shared' if topic.partitions == PARTITIONS else topic.partitions} "
        f"| {topic.cleanup} | {topic.holds}{' Internal.' if topic.internal else ''} |"
        for topic in TOPICS
    ]
    assert re.findall(r"^\| `.*\| (?:delete|compact) \|.*\|$", PAGE, re.MULTILINE) == rows


def test_every_option_that_is_set_is_documented_with_its_value() -> None:
    settings = Settings()
    options: dict[str, set[str]] = {}
    for topic in expected(settings, RuleSet.from_settings(settings)):
        for name, value in topic.config.items():
            options.setdefault(name, set()).add(value)
    documented = dict(re.findall(r"^\| `([a-z.]+)` \| ([^|]*) \| [^|]* \|$", PAGE.split("## Configuration")[1], re.M))
    documented.pop("min.insync.replicas")
    assert {
        name: set(re.findall(r"`([^`]*)`", text)) - {"kafka.retention"} for name, text in documented.items()
    } == options
