"""A rule in plain words, in English or Chinese: what it waits for, when it goes, and what holds it back."""

from triggers import anchors
from triggers.model import Rule
from triggers.rules import RuleSet
from triggers.terms import Cap, Cycle, Quiet

_UNITS = (
    (86_400_000, "days", "天"),
    (3_600_000, "hours", "小时"),
    (60_000, "minutes", "分钟"),
    (1000, "seconds", "秒"),
)
_STAGES = {"new": "新客", "growing": "成长", "mature": "成熟", "declining": "衰退", "lost": "流失"}


def title(rule: Rule, lang: str) -> str:
    """Return a rule's title in `en` or `zh`."""
    return rule.title.in_language(lang)


def explain(rule: Rule, ruleset: RuleSet, lang: str = "en") -> list[str]:
    """Return what `kith rules show` prints of a rule, line by line, in `en` or `zh`."""
    zh = lang == "zh"
    lines = [f"{rule.name} · {title(rule, lang)}" + (f" (版本 {rule.version})" if zh else f" (version {rule.version})")]
    if rule.explanation.in_language(lang):
        lines += ["", rule.explanation.in_language(lang)]
    lines.append("")
    for label_en, label_zh, text in _facts(rule, ruleset, zh):
        lines.append(f"{label_zh}：{text}" if zh else f"{label_en + ':':<14} {text}")
    return lines


def summary(rule: Rule, lang: str = "en") -> tuple[str, str, str, str]:
    """Return (name, title, anchor, due) of a rule, as `kith rules list` prints them."""
    zh = lang == "zh"
    return rule.name, title(rule, lang), _anchor(rule, zh), _due(rule, zh)


def span(time_ms: int, zh: bool) -> str:
    """Return a duration in its largest whole unit up to days; 24 hours rather than 1 day."""
    if time_ms == 0:
        return "立即" if zh else "at once"
    for unit_ms, en, name_zh in _UNITS:
        count, rest = divmod(time_ms, unit_ms)
        if rest == 0 and not (en == "days" and count == 1):
            return f"{count} {name_zh}" if zh else f"{count} {en if count != 1 else en[:-1]}"
    return f"{time_ms} 毫秒" if zh else f"{time_ms} ms"


def clock(minutes: int) -> str:
    """Return minutes of a day as HH:MM."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _facts(rule: Rule, ruleset: RuleSet, zh: bool) -> list[tuple[str, str, str]]:
    found = [("counts from", "起点", _anchor(rule, zh)), ("due", "触发时间", _due(rule, zh))]
    if rule.until:
        found.append(("called off by", "取消条件", ("、" if zh else ", ").join(rule.until)))
    if rule.when is not None:
        found.append(("only when", "前提", rule.when.text))
    found.append(("purpose", "用途（须有同意）" if zh else "purpose", rule.purpose))
    found.append(
        ("channel", "渠道", rule.channel or ("该用途允许的任一渠道" if zh else "any that the purpose may use"))
    )
    found.append(("cap", "频控", _caps(rule, ruleset, zh)))
    quiet = ruleset.quiet_hours(rule)
    found.append(("quiet hours", "免打扰", ("无" if zh else "none") if quiet is None else _quiet(quiet, zh)))
    percent = ruleset.held_out(rule).percent
    found.append(("held out", "对照组", f"{percent.normalize():f}%" if percent else ("无" if zh else "nobody")))
    if rule.expires_after is not None:
        late = span(rule.expires_after, zh)
        found.append(("expires", "过期", f"到期后 {late}" if zh else f"{late} after it is due"))
    if rule.goal is not None:
        within = span(rule.goal.within, zh)
        found.append(("goal", "目标", f"{within}内 {rule.goal.event}" if zh else f"{rule.goal.event} within {within}"))
    if rule.emit:
        found.append(("carries", "携带", ", ".join(f"{name} = {each.text}" for name, each in rule.emit.items())))
    return found


def _quiet(quiet: Quiet, zh: bool) -> str:
    edges = f"{clock(quiet.start)}-{clock(quiet.end)}"
    return f"当地时间 {edges}" if zh else f"{edges} local time"


def _caps(rule: Rule, ruleset: RuleSet, zh: bool) -> str:
    general = ruleset.general_cap(rule)
    parts = []
    if isinstance(rule.cap, Cap):
        parts.append(_cap(rule.cap, zh) + ("（本规则）" if zh else " for this rule"))
    if general is not None:
        parts.append(_cap(general, zh) + (f"（{rule.purpose} 合计）" if zh else f" for all of {rule.purpose}"))
    return ("；" if zh else "; ").join(parts) or ("无" if zh else "none")


def _cap(cap: Cap, zh: bool) -> str:
    window = span(cap.window_ms, zh)
    return f"{window}内最多 {cap.count} 次" if zh else f"at most {cap.count} in {window}"


def _anchor(rule: Rule, zh: bool) -> str:
    since = rule.since
    match since:
        case anchors.CartChanged():
            return (
                "非空购物车的最后一次变动（每个购物车）"
                if zh
                else "the last change of a cart that is not empty, per cart"
            )
        case anchors.DayFirst():
            return "当地每天首次浏览商品" if zh else "the first product.viewed of a local day, per day"
        case anchors.Purchase():
            return "某 SKU 最近一次支付购买（每个 SKU）" if zh else "the newest paid purchase of a SKU, per SKU"
        case anchors.TicketResolved():
            return "ticket.resolved（每个工单）" if zh else "ticket.resolved, per ticket"
        case anchors.LowScore():
            return "一次低分评价（每个事件）" if zh else "a low score, per event"
        case anchors.PaidOrder(which):
            return _which(which, "支付订单" if zh else "paid order", zh)
        case anchors.Occurrence(which, event):
            return _which(which, event, zh)
        case anchors.StageEntered(stage):
            return f"进入生命周期阶段“{_STAGES[stage]}”" if zh else f"entering the lifecycle stage {stage}"
        case anchors.Calendar():
            return _calendar(since, zh)


def _which(which: str, what: str, zh: bool) -> str:
    if zh:
        return f"{'首次' if which == 'first' else '最近一次'}{' ' if what.isascii() else ''}{what}"
    return f"the {which} {what}"


def _calendar(since: anchors.Calendar, zh: bool) -> str:
    often = ("仅一次" if since.once else "每年") if zh else ("once" if since.once else "every year")
    moved = []
    if since.months:
        moved.append(f"{since.months:+d} 个月" if zh else f"{since.months:+d} months")
    if since.days:
        moved.append(f"{since.days:+d} 天" if zh else f"{since.days:+d} days")
    shift = f" ({', '.join(moved)})" if moved else ""
    return (
        f"特征 {since.trait} 的日期{shift}，{often}" if zh else f"the date of the trait {since.trait}{shift}, {often}"
    )


def _due(rule: Rule, zh: bool) -> str:
    after = rule.after
    if isinstance(after, Cycle):
        base = "购买时间 + 消耗周期 × 数量" if zh else "the purchase + consumption days x quantity"
        if after.shift_ms == 0:
            return base
        return f"{base} {'+' if after.shift_ms > 0 else '-'} {span(abs(after.shift_ms), zh)}"
    if rule.at is None:
        return span(after, zh) if after == 0 else (f"{span(after, zh)}后" if zh else f"{span(after, zh)} later")
    at = clock(rule.at)
    if isinstance(rule.since, anchors.Calendar):
        return f"当天当地 {at}" if zh else f"{at} local time on the date"
    days = after // 86_400_000
    if zh:
        return f"{'次日' if days == 1 else f'{days} 天后'}当地 {at}"
    return f"{at} local time {'the next day' if days == 1 else f'{days} days later'}"
