"""The reference: from lines to the tables of a replay. `python -m tests.reference.run FILE... [--until MS]`."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.reference.clock import Clock
from tests.reference.facts import orders, profile
from tests.reference.identifiers import Identifier
from tests.reference.parse import Event, Line, read
from tests.reference.people import cluster, one_id
from tests.reference.settings import from_dict

Table = list[dict[str, Any]]


def reference(
    lines: list[Line], *, until_ms: int | None = None, settings: dict[str, Any] | None = None
) -> dict[str, Table]:
    s = from_dict(settings)
    every, dead, counts = read(lines, s)
    until = until_ms if until_ms is not None else max((e.time for e in every), default=0)
    events = [e for e in every if e.time <= until]
    counts["later"] = len(every) - len(events)
    counts["events"] = len(events)
    people = cluster(events, s)
    owner: dict[Identifier, str] = {}
    own: dict[str, list[Event]] = {}
    for group in people.groups:
        oid = one_id(group, people, s)
        if oid is not None:
            own[oid] = []
            owner |= {i: oid for i in group if i in people.seen}
    for e in events:
        if not e.command:
            own[owner[e.ids[0]]].append(e)
        counts.update(f"identifiers_{why}" for why in e.ignored)
    counts["people"], counts["identifiers"] = len(own), len(owner)
    counts["hubs"], counts["edges_refused"] = len(people.hubs), len(people.refused)
    counts["refunds_left_out"] = sum(o.left_out for mine in own.values() for o in orders(mine))

    marks = Clock(events, s, until).run()
    triggers: Table = [
        {
            "rule": m.instance.rule,
            "one_id": owner[m.part],
            "instance": m.instance.name,
            "anchor_event_id": m.instance.anchor.id,
            "anchor_at": m.instance.anchor.time,
            "due_at": m.instance.due,
            "fired_at": m.fired_at,
            "outcome": m.outcome,
            "reason": m.reason,
        }
        for m in sorted(marks, key=lambda m: m.instance.key)
    ]
    counts.update(f"triggers:{t['rule']}:{t['outcome']}:{t['reason'] or ''}" for t in triggers)
    counts.update(f"deadletters:{d['reason']}" for d in dead)
    return {
        "identities": [
            {
                "one_id": owner[i],
                "kind": i[0],
                "value": i[1],
                "first_seen": people.seen[i].first[0],
                "last_seen": people.seen[i].last,
                "events": people.seen[i].events,
            }
            for i in sorted(owner)
        ],
        "profiles": [{"one_id": oid, **profile(mine, until, s)} for oid, mine in sorted(own.items())],
        "triggers": triggers,
        "events": [
            {
                "event_id": e.id,
                "type": e.type,
                "time": e.time,
                "one_id": None if e.command else owner[e.ids[0]],
                "part": None if e.command else ":".join(e.ids[0]),
            }
            for e in events
        ],
        "deadletters": dead,
        "summary": [dict(Counter(counts))],
    }


def lines_of(raw: bytes, source: str = "events.jsonl") -> list[Line]:
    """Lines end at a newline, and a carriage return before it is dropped."""
    found = raw.split(b"\n")
    ended = [line.removesuffix(b"\r") for line in found[:-1]]
    return [(source, n, line) for n, line in enumerate([*ended, *([found[-1]] if found[-1] else [])], 1)]


def main() -> None:
    args = argparse.ArgumentParser()
    args.add_argument("files", nargs="+", type=Path)
    args.add_argument("--until", type=int)
    given = args.parse_args()
    lines = [line for f in given.files for line in lines_of(f.read_bytes(), str(f))]
    for name, rows in reference(lines, until_ms=given.until).items():
        print(f"# {name}")
        for row in rows:
            print(json.dumps(row, ensure_ascii=False, default=repr))


if __name__ == "__main__":
    main()
