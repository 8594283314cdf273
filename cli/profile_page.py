"""The readable page of a profile."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich import box
from rich.table import Table
from rich.text import Text

from cli.config import Lang
from cli.terminal import Terminal
from lake.profile_table import PROFILES
from lake.story import plain_facts
from schemas.money import format_minor
from schemas.settings import Settings

Row = dict[str, Any]

SECTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Value": (
        "价值",
        (
            "orders",
            "items",
            "revenue_minor",
            "refunded_minor",
            "aov_minor",
            "first_order_at",
            "last_order_at",
            "other_currencies",
            "rfm_segment",
            "clv_minor",
        ),
    ),
    "Stage": (
        "阶段",
        (
            "lifecycle",
            "lifecycle_since",
            "lifecycle_until",
            "tier",
            "tier_spend_minor",
            "tier_next",
            "tier_gap_minor",
            "tier_until",
            "points",
            "badges",
        ),
    ),
    "Cart and interest": (
        "购物车与兴趣",
        (
            "cart_items",
            "cart_value_minor",
            "favourite_categories",
            "favourite_channels",
            "last_viewed",
            "sku_cycle_days",
            "promo_share",
            "usual_weekday",
            "usual_hour",
        ),
    ),
    "Service and consent": (
        "服务与授权",
        ("open_tickets", "tickets", "first_response_ms", "resolution_ms", "satisfaction", "nps", "consent"),
    ),
    "Record": ("记录", ("first_seen", "last_seen", "events", "completeness", "timezone", "next_change_at")),
}

_OWN_CURRENCY = {"revenue_minor", "refunded_minor", "aov_minor", "clv_minor"}
_WORDS = {
    "identifiers": {"en": "Identifiers", "zh": "标识"},
    "tags": {"en": "Tags and why", "zh": "标签与依据"},
    "triggers": {"en": "Triggers", "zh": "触发"},
}


_TRIGGER_COLUMNS = {
    "at": {"en": "fired, else due", "zh": "触发或应触发时间"},
    "rule": {"en": "rule", "zh": "规则"},
    "instance": {"en": "about", "zh": "对象"},
    "outcome": {"en": "outcome", "zh": "结果"},
}


def page(row: Row, identifiers: list[Row], triggers: list[Row], settings: Settings, lang: Lang) -> None:
    """Print a profile for people to read, times in the person's time zone."""
    console = Terminal(highlight=False)
    zone = ZoneInfo(row["timezone"] or settings.timezone)

    def shown(name: str, value: Any) -> str:
        if isinstance(value, datetime):
            return value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
        if name.endswith("_minor"):
            currency = (row["currency"] if name in _OWN_CURRENCY else None) or settings.currency
            return f"{format_minor(value, currency)} {currency}"
        if name.endswith("_ms"):
            return f"{value / 3_600_000:.1f} h"
        if isinstance(value, dict):
            return ", ".join(f"{key} {shown('', each)}" for key, each in value.items())
        if isinstance(value, list):
            return ", ".join(shown("", each) for each in value)
        return str(value)

    console.print(Text(row["one_id"], style="bold"))
    comments = {column.name: column for column in PROFILES.columns}
    for title, (title_zh, names) in SECTIONS.items():
        known = [(name, row[name]) for name in names if row[name] not in (None, [], {})]
        if not known:
            continue
        table = _grid(console, title if lang == "en" else title_zh)
        for name, value in known:
            label = (
                name.removesuffix("_minor").replace("_", " ") if lang == "en" else comments[name].zh.partition("（")[0]
            )
            table.add_row(label, shown(name, value))
        console.print(table)
    table = _grid(console, _WORDS["identifiers"][lang])
    for each in identifiers:
        seen = f"{shown('', each['first_seen'])} … {shown('', each['last_seen'])}  ×{each['events']}"
        table.add_row(f"{each['kind']}:{each['value']}", seen)
    console.print(table)
    if row["tag_reasons"]:
        table = _grid(console, _WORDS["tags"][lang])
        for tag in row["tag_reasons"]:
            table.add_row(tag["name"], f"{tag['rule']} v{tag['version']}: {plain_facts(tag['facts'])}")
        console.print(table)
    if triggers:
        console.print(_triggers(console, triggers, shown, lang))


def _grid(console: Terminal, title: str) -> Table:
    console.print()
    console.print(Text(title, style="bold cyan"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _triggers(console: Terminal, triggers: Iterable[Row], shown: Any, lang: Lang) -> Table:
    console.print()
    console.print(Text(_WORDS["triggers"][lang], style="bold cyan"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, words in _TRIGGER_COLUMNS.items():
        table.add_column(words[lang], no_wrap=name != "outcome")
    for each in triggers:
        outcome = each["outcome"] if each["reason"] is None else f"{each['outcome']}: {each['reason']}"
        at = each["fired_at"] or each["due_at"]
        table.add_row(shown("", at)[:16], each["rule"], each["instance"] or "", outcome)
    return table
