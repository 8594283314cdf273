"""One customer's story in time order: what happened, and why each merge, trigger and tag came about."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lake.report_data import Rows, Tables, open_tables
from lake.report_words import PAGE, REFUSALS, Lang, outcome_key, segment_name, stage_name, word
from lake.story_words import EVENTS, SENTENCES, WHY
from schemas.money import format_minor
from schemas.times import format_ms
from triggers.catalogue import CATALOGUE

_RUN_MS = 6 * 3_600_000
"""Events of one kind that lie closer than this are told in one line."""

_FACTS = 7
"""Facts of a message or tag told in the story; the table holds them all."""

_LEAST_TIME_MS = 10**11
"""Smaller numbers that are called times are durations: as an instant this one is in 1973."""

_WEIGHTS = {"merged": 0, "split": 0, "tag": 0, "profile": 0, "trigger": 1, "order": 1, "customer": 1, "consent": 1}


class StoryLine(NamedTuple):
    """One thing that happened: when (epoch ms), its kind (`order`, `merged`, `trigger`, `tag` ...) and the sentence."""

    at_ms: int
    kind: str
    text: str


def pick_customer(out_dir: Path) -> str | None:
    """Return the OneID whose story shows most: merged, several orders, tags, triggers of different outcomes.

    None when there are no people.
    """
    with open_tables(out_dir) as tables:
        found = tables.rows(
            """
            WITH merges AS (SELECT one_id, count(*) AS n FROM identity_changes WHERE change = 'merged' GROUP BY 1),
            outcomes AS (
                SELECT one_id, count(DISTINCT outcome || coalesce(reason, '')) AS n, count(DISTINCT rule) AS rules
                FROM triggers GROUP BY 1
            )
            SELECT p.one_id FROM profiles p
            LEFT JOIN merges m USING (one_id) LEFT JOIN outcomes o USING (one_id)
            ORDER BY
                (coalesce(m.n, 0) > 0)::INT + (p.orders BETWEEN 3 AND 12)::INT
                + (coalesce(o.n, 0) > 1)::INT + (len(p.tags) > 0)::INT DESC,
                least(coalesce(o.n, 0), 4) DESC, least(coalesce(o.rules, 0), 4) DESC, abs(p.events - 60), p.one_id
            LIMIT 1
            """
        )
    return found[0][0] if found else None


def story(out_dir: Path, one_id: str, lang: Lang = "en") -> list[StoryLine]:
    """Return what happened to a person, in time order, closed by the tags that hold in the end and why.

    Events that follow each other and are alike stand in one line. Empty when the tables do not know the person.
    """
    with open_tables(out_dir) as tables:
        aliases = _aliases(tables, one_id)
        lines = [*_events(tables, one_id, lang), *_changes(tables, aliases, lang), *_triggers(tables, one_id, lang)]
        lines.sort(key=lambda line: line.at_ms)
        return lines + _end(tables, one_id, max((line.at_ms for line in lines), default=0), lang)


def shorten(lines: list[StoryLine], limit: int, lang: Lang = "en") -> list[StoryLine]:
    """Return at most `limit` lines (at least one), in time order: what is said often or tells little goes first."""
    if len(lines) <= limit:
        return lines
    seen: Counter[tuple[str, str]] = Counter()
    ranked = []
    for place, line in enumerate(lines):
        head = (line.kind, line.text.partition(" · ")[0])
        seen[head] += 1
        weight = _WEIGHTS.get(line.kind, 2)
        ranked.append((weight + (seen[head] - 1) // 3 if weight else 0, place))
    kept = sorted(place for _, place in sorted(ranked)[: max(0, limit - 1)])
    more = word(PAGE, "more", lang).format(count=len(lines) - len(kept))
    return [*(lines[place] for place in kept), StoryLine(lines[-1].at_ms, "more", more)]


def _say(sentence: str, lang: Lang, **values: object) -> str:
    return SENTENCES[sentence][lang].format(**values)


def _type_name(event_type: str, lang: Lang) -> str:
    known = EVENTS.get(event_type)
    return event_type if known is None else known[1 if lang == "en" else 2]


def _events(tables: Tables, one_id: str, lang: Lang) -> list[StoryLine]:
    found = tables.rows(
        "SELECT epoch_ms(time), type, part FROM events WHERE one_id = ? ORDER BY time, event_id", [one_id]
    )
    lines: list[StoryLine] = []
    run: Rows = []
    for row in found:
        if run and (_kind(row[1]) != _kind(run[-1][1]) or row[0] - run[-1][0] > _RUN_MS):
            lines.append(_told(run, lang))
            run = []
        run.append(row)
    if run:
        lines.append(_told(run, lang))
    return lines


def _kind(event_type: str) -> str:
    known = EVENTS.get(event_type)
    return event_type if known is None else known[0]


def _told(run: Rows, lang: Lang) -> StoryLine:
    types = Counter(event_type for _, event_type, _ in run)
    parts = dict.fromkeys(part for _, _, part in run)
    what = (", " if lang == "en" else "、").join(
        _type_name(event_type, lang) + (f" ×{count}" if count > 1 else "") for event_type, count in types.items()
    )
    idents = _say("as", lang, idents=", ".join(map(brief, parts)))
    return StoryLine(run[0][0], _kind(run[0][1]), f"{what[:1].upper()}{what[1:]} · {idents}")


def brief(text: str) -> str:
    """Shorten a OneID or a long identifier for reading: its kind and first characters."""
    kind, colon, value = text.partition(":")
    if not colon:
        return text[:8]
    return f"{kind}:{value[:12]}…" if len(value) > 22 else text


def _aliases(tables: Tables, one_id: str) -> list[str]:
    """Return the OneIDs that were absorbed into the person, one after another, and its own."""
    known = {one_id: None}
    fresh = [one_id]
    while fresh:
        found = tables.rows(
            "SELECT DISTINCT other_one_id FROM identity_changes WHERE change = 'merged' "
            "AND other_one_id IS NOT NULL AND one_id IN (SELECT unnest(?::VARCHAR[])) "
            "AND other_one_id NOT IN (SELECT one_id FROM identities) ORDER BY 1",
            [fresh],
        )
        fresh = [other for (other,) in found if other not in known]
        known |= dict.fromkeys(fresh)
    return list(known)


def _changes(tables: Tables, aliases: list[str], lang: Lang) -> list[StoryLine]:
    found = tables.rows(
        """
        WITH mine AS (SELECT unnest(?::VARCHAR[]) AS one_id)
        SELECT epoch_ms(c."at"), c.change, c.one_id, c.other_one_id, c.reason, c.evidence_event_id, e.type, e.part
        FROM identity_changes c LEFT JOIN events e ON e.event_id = c.evidence_event_id
        WHERE c.one_id IN (FROM mine) OR c.other_one_id IN (FROM mine)
        ORDER BY c."at", c.evidence_event_id, c.change, c.one_id, c.other_one_id
        """,
        [aliases],
    )
    shown = _evidence(tables, [row[5] for row in found])
    return [StoryLine(row[0], row[1], _change(row, shown.get(row[5], []), lang)) for row in found]


def _evidence(tables: Tables, event_ids: Iterable[str | None]) -> dict[str, Rows]:
    if "evidence" not in tables.names:
        return {}
    found = tables.rows(
        "SELECT event_id, kind, a, b FROM evidence "
        "WHERE b IS NOT NULL AND event_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY ALL",
        [[event_id for event_id in event_ids if event_id is not None]],
    )
    pairs: dict[str, Rows] = {}
    for event_id, *pair in found:
        pairs.setdefault(event_id, []).append(tuple(pair))
    return pairs


def _change(row: tuple[Any, ...], pairs: Rows, lang: Lang) -> str:
    _, change, one, other, reason, event_id, event_type, part = row
    why = brief(reason or "") if change == "hub" else word(REFUSALS, reason or "", lang)
    text = _say(change, lang, one=brief(one), other=brief(other or "?"), why=why)
    if change == "hub" or event_id is None:
        return text
    type_name = _type_name(event_type or "", lang)
    if pairs:
        told = [
            _say(kind, lang, type=type_name, event=event_id, a=brief(a), b=brief(b)) for kind, a, b in pairs[:_FACTS]
        ]
        return f"{text} · {'; '.join(told)}"
    if part is None:
        return f"{text} · {event_id}"
    return f"{text} · {_say('event', lang, type=type_name, event=event_id, part=brief(part))}"


def rule_title(rule: str, lang: Lang) -> str:
    """Return the title of a rule of the core, or the name of one's own."""
    known = CATALOGUE.get(rule)
    return rule if known is None else str(known["title"][lang])


def _triggers(tables: Tables, one_id: str, lang: Lang) -> list[StoryLine]:
    found = tables.rows(
        """
        SELECT epoch_ms(coalesce(t.fired_at, t.due_at)), t.rule, t.instance, t.outcome, t.reason, t.payload,
               t.anchor_event_id, e.type
        FROM triggers t LEFT JOIN events e ON e.event_id = t.anchor_event_id
        WHERE t.one_id = ? ORDER BY 1, t.rule, t.instance, t.trigger_id
        """,
        [one_id],
    )
    lines = []
    for at_ms, rule, instance, outcome, reason, payload, anchor, event_type in found:
        about = f"{rule_title(rule, lang)} ({rule}{f' {instance}' if instance else ''})"
        why = word(WHY, outcome_key(outcome, reason), lang)
        told = [why, _say("anchor", lang, type=_type_name(event_type or "", lang), event=anchor)]
        facts = plain_facts(json.loads(payload) if payload else {})
        lines.append(StoryLine(at_ms, "trigger", " · ".join([about, *told, *([facts] if facts else [])])))
    return lines


def plain_facts(values: object) -> str:
    """Write the plain facts of a JSON object as `name=value`; nested and long ones stay in the table."""
    if not isinstance(values, dict):
        return "" if values is None else json.dumps(values, ensure_ascii=False)
    told = [
        _fact(name, value, values.get("currency"))
        for name, value in values.items()
        if value is not None and not isinstance(value, dict)
    ]
    return ", ".join([text for text in told if len(text) <= 80][:_FACTS])


def _fact(name: str, value: object, currency: object) -> str:
    if isinstance(value, int) and name.endswith(("_at", "_ms", "since", "until")) and value > _LEAST_TIME_MS:
        return f"{name.removesuffix('_ms')}={format_ms(value)[:10]}"
    if isinstance(value, int) and name.endswith("_minor") and isinstance(currency, str):
        return f"{name.removesuffix('_minor')}={format_minor(value, currency)}"
    return f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _end(tables: Tables, one_id: str, at_ms: int, lang: Lang) -> list[StoryLine]:
    found = tables.rows(
        "SELECT lifecycle, rfm_segment, orders, revenue_minor, currency, tags, tag_reasons FROM profiles "
        "WHERE one_id = ?",
        [one_id],
    )
    if not found:
        return []
    stage, segment, orders, revenue, currency, tags, reasons = found[0]
    idents = tables.rows(
        "SELECT kind || ':' || value FROM identities WHERE one_id = ? ORDER BY first_seen, 1", [one_id]
    )
    known = _say("identifiers", lang, idents=", ".join(brief(ident) for (ident,) in idents))
    summary = _say(
        "profile",
        lang,
        lifecycle=stage_name(stage or "-", lang),
        segment=segment_name(segment or "-", lang),
        orders=orders,
        revenue="-" if currency is None else f"{format_minor(revenue, currency)} {currency}",
    )
    lines = [StoryLine(at_ms, "profile", known), StoryLine(at_ms, "profile", summary)]
    told = {reason.get("name"): reason for reason in json.loads(reasons or "[]")}
    for name in tags or []:
        reason = told.get(name, {})
        text = _say("tag", lang, name=name, rule=reason.get("rule", "?"), version=reason.get("version", "?"))
        facts = plain_facts(reason.get("facts"))
        lines.append(StoryLine(at_ms, "tag", f"{text} · {facts}" if facts else text))
    return lines
