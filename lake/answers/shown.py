"""How the values of an answer are written, in the terminal and on the page."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from lake.answers.answer import Answer
from lake.report_words import Lang, segment_name, stage_name
from lake.story import rule_title

Row = tuple[Any, ...]
Rows = Sequence[Row]

COMPLETE = "complete"
"""The column that says whether a month is over; shown as an asterisk."""

MONTHS = {"month", "cohort"}
SHARES = {
    *("share", "repeat_rate", "repeat_rate_90", "churn", "view_to_cart", "cart_to_order", "view_to_order"),
    *("treated_rate", "held_out_rate", "difference", "lowest", "highest"),
}
"""Columns that are shares of one."""

_WORDS = {
    "new here": ("new here", "新出现"),
    "merged": ("merged", "已合并"),
    "none": ("no tier", "无等级"),
    "gold": ("gold", "金卡"),
    "silver": ("silver", "银卡"),
    "promoter": ("promoter", "推荐者"),
    "passive": ("passive", "中立者"),
    "detractor": ("detractor", "贬损者"),
    "open": ("open", "有"),
}
_RULES = {"lifecycle": "生命周期", "tier": "等级", "rfm": "RFM", "nps": "NPS", "cart": "购物车", "ticket": "工单"}
_TAGS = {"churn_risk": "流失风险", "coupon_lover": "爱用优惠券", "refund_prone": "常退款"}
_NAMED = {"segment", "before", "now", "tier"}
"""Columns of segments, stages and tiers."""


def shown_columns(answer: Answer) -> list[str]:
    """Return the columns that are shown."""
    return [column for column in answer.columns if column != COMPLETE]


def shown_row(answer: Answer, row: Row, scale: int, lang: Lang) -> list[str]:
    """Return the texts of a row; the value that is of a month which is not over ends with an asterisk."""
    values = dict(zip(answer.columns, row, strict=True))
    texts = {column: shown(values[column], column, scale, lang) for column in shown_columns(answer)}
    if values.get(COMPLETE) is False:
        texts["share" if "share" in texts else next(iter(texts))] += "*"
    return list(texts.values())


def shown(value: Any, column: str, scale: int, lang: Lang) -> str:
    """Return a value as it is shown: shares in per cent, months without day, money in whole units, names in words."""
    if value is None:
        return "–"
    if isinstance(value, date):
        return f"{value:%Y-%m}" if column in MONTHS else f"{value:%Y-%m-%d}"
    if column.endswith("_minor"):
        return f"{value / scale:,.0f}"
    if isinstance(value, float):
        if column in SHARES:
            return f"{value:+.1%}" if column in ("difference", "lowest", "highest") else f"{value:.1%}"
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else named(str(value), column, lang)


def named(name: str, column: str, lang: Lang) -> str:
    """Return a stage, segment, tier, tag or rule in the language; other names as they are."""
    if column == "rule":
        return rule_title(name, lang) if lang == "zh" else name
    if column == "tag":
        rule, colon, rest = name.partition(":")
        if not colon:
            return _TAGS.get(name, name) if lang == "zh" else name
        return f"{_RULES.get(rule, rule) if lang == 'zh' else rule}:{_word(rest, lang)}"
    return _word(name, lang) if column in _NAMED else name


def _word(name: str, lang: Lang) -> str:
    if name in _WORDS:
        return _WORDS[name][lang == "zh"]
    return segment_name(stage_name(name, lang), lang)
