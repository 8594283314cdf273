"""The words of the report and the story, in English and Chinese."""

from typing import Final, Literal

Lang = Literal["en", "zh"]
Both = dict[str, str]
LANGS: Final[tuple[Lang, ...]] = ("en", "zh")

# Segment as it stands in the tables: its English name, and whether R, F and M are high.
SEGMENTS: Final[dict[str, tuple[str, str]]] = {
    "重要价值": ("Important value", "HHH"),
    "重要发展": ("Important growth", "HLH"),
    "重要保持": ("Important to keep", "LHH"),
    "重要挽留": ("Important to win back", "LLH"),
    "一般价值": ("General value", "HHL"),
    "一般发展": ("General growth", "HLL"),
    "一般保持": ("General to keep", "LHL"),
    "一般挽留": ("General to win back", "LLL"),
}
STAGES: Final[dict[str, str]] = {
    "prospect": "潜在",
    "new": "新客",
    "growing": "成长",
    "mature": "成熟",
    "declining": "衰退",
    "lost": "流失",
}
# Outcome, with the reason where there is one.
OUTCOMES: Final[dict[str, Both]] = {
    "fired": {"en": "fired", "zh": "已触发"},
    "held_out": {"en": "held out", "zh": "对照组"},
    "suppressed consent": {"en": "suppressed: no consent", "zh": "抑制：未同意"},
    "suppressed cap": {"en": "suppressed: cap reached", "zh": "抑制：频控"},
    "expired": {"en": "expired", "zh": "已过期"},
}
CHANGES: Final[dict[str, Both]] = {
    "merged": {"en": "merged", "zh": "合并"},
    "split": {"en": "split", "zh": "拆分"},
    "refused": {"en": "refused", "zh": "拒绝"},
    "hub": {"en": "hub", "zh": "枢纽标识"},
}
REASONS: Final[dict[str, Both]] = {
    "not_json": {"en": "not JSON", "zh": "不是 JSON"},
    "invalid": {"en": "invalid field", "zh": "字段无效"},
    "unknown_type": {"en": "unknown type", "zh": "未知类型"},
    "no_identifier": {"en": "no identifier", "zh": "无有效标识"},
    "invalid_link": {"en": "invalid link", "zh": "无效关联"},
    "id_conflict": {"en": "id used twice", "zh": "ID 冲突"},
    "too_large": {"en": "too large", "zh": "超长"},
    "failed": {"en": "broke a stage", "zh": "处理出错"},
    "too_late": {"en": "too late", "zh": "迟到"},
}
REFUSALS: Final[dict[str, Both]] = {
    "limit": {
        "en": "together they would have more identifiers of one kind than a person may have",
        "zh": "合并后某类标识会超过一个人的上限",
    },
    "unlinked": {"en": "a steward said they are two people", "zh": "人工确认是两个人"},
    "size": {"en": "the person would grow too large", "zh": "合并后标识过多"},
}
CARDS: Final[dict[str, Both]] = {
    "people": {"en": "people", "zh": "人"},
    "identifiers": {"en": "identifiers", "zh": "标识"},
    "events": {"en": "events", "zh": "事件"},
    "buyers": {"en": "buyers", "zh": "买家"},
    "orders": {"en": "orders", "zh": "订单"},
    "revenue": {"en": "net revenue", "zh": "净收入"},
    "fired": {"en": "triggers fired", "zh": "触发次数"},
    "merges": {"en": "merges", "zh": "合并次数"},
    "duplicates": {"en": "repeats dropped", "zh": "去重"},
    "deadletters": {"en": "dead letters", "zh": "死信"},
}
TRUTH: Final[dict[str, Both]] = {
    "precision": {"en": "precision", "zh": "精确率"},
    "recall": {"en": "recall", "zh": "召回率"},
    "f1": {"en": "F1", "zh": "F1"},
    "people": {"en": "people found / true", "zh": "识别人数 / 真实人数"},
    "exact": {"en": "people found exactly", "zh": "完全一致的人"},
}
# Chart: its title and what to read from it.
CHARTS: Final[dict[str, dict[Lang, tuple[str, str]]]] = {
    "truth": {
        "en": ("People found and true people", "By number of identifiers; what no event ties together stays apart"),
        "zh": ("识别的人与真实的人", "按每人标识数量统计；没有任何事件相连的标识无法合并"),
    },
    "rfm": {
        "en": ("RFM segments", "People and net revenue; R F M are high (H) or low (L)"),
        "zh": ("RFM 八大客群", "人数与净收入；R F M 高（H）或低（L）"),
    },
    "lifecycle": {"en": ("Lifecycle", "People by stage today"), "zh": ("生命周期", "各阶段人数")},
    "orders": {
        "en": ("Orders by month", "Payments, cancellations and refunds as they came in"),
        "zh": ("每月订单", "支付、取消与退款事件数"),
    },
    "cohorts": {
        "en": ("Revenue by first month", "Net revenue to date of those whose first order was in the month"),
        "zh": ("按首单月份的收入", "当月首次购买者至今的净收入"),
    },
    "activity": {"en": ("Events by day", "The pulse of the year"), "zh": ("每日事件", "一年的节奏")},
    "rules": {
        "en": ("Triggers by rule", "What became of each trigger that was due"),
        "zh": ("各规则触发", "到期触发的结果"),
    },
    "triggers": {"en": ("Triggers by week", "By the week they were due"), "zh": ("每周触发", "按应触发的周统计")},
    "changes": {
        "en": ("Identity changes by week", "When evidence joined, parted or was refused"),
        "zh": ("每周身份变化", "证据带来的合并、拆分与拒绝"),
    },
    "deadletters": {"en": ("Dead letters", "Lines not accepted, by reason"), "zh": ("死信", "未被接受的行，按原因")},
}
PAGE: Final[dict[str, Both]] = {
    "title": {"en": "Kith · what the replay found", "zh": "Kith · 回放结果"},
    "range": {"en": "Events from {first} to {last}", "zh": "事件时间 {first} 至 {last}"},
    "truth": {"en": "Found against the truth", "zh": "与真实情况对比"},
    "story": {"en": "One customer's story", "zh": "一位顾客的故事"},
    "empty": {"en": "Nothing to show", "zh": "暂无数据"},
    "zone": {"en": "Days, weeks and months in {zone}", "zh": "日、周、月按 {zone}"},
    "people": {"en": "people", "zh": "人"},
    "found": {"en": "found", "zh": "识别"},
    "true": {"en": "true", "zh": "真实"},
    "identifiers": {"en": "identifiers per person", "zh": "每人标识数"},
    "paid": {"en": "paid", "zh": "支付"},
    "cancelled": {"en": "cancelled", "zh": "取消"},
    "refunded": {"en": "refunded", "zh": "退款"},
    "revenue": {"en": "net revenue", "zh": "净收入"},
    "events": {"en": "events", "zh": "事件"},
    "more": {"en": "… and {count} more", "zh": "…… 另有 {count} 条"},
}


def outcome_key(outcome: str, reason: str | None) -> str:
    """Return the key of `OUTCOMES` for an outcome and its reason."""
    return f"{outcome} {reason}" if reason else outcome


def word(table: dict[str, Both], key: str, lang: Lang) -> str:
    """Return the word for `key`, or the key itself when the table does not know it."""
    both = table.get(key)
    return key if both is None else both[lang]


def segment_name(segment: str, lang: Lang) -> str:
    """Return the name of an RFM segment."""
    if lang == "zh" or segment not in SEGMENTS:
        return segment
    return SEGMENTS[segment][0]


def stage_name(stage: str, lang: Lang) -> str:
    """Return the name of a lifecycle stage."""
    return STAGES.get(stage, stage) if lang == "zh" else stage
