"""People as a function of the set of events: identity.md, evaluated from scratch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, uuid5

from tests.reference.identifiers import Identifier
from tests.reference.parse import Event
from tests.reference.settings import Settings

Pair = tuple[Identifier, Identifier]


@dataclass
class Sighting:
    first: tuple[int, str]
    last: int
    events: int


@dataclass
class People:
    groups: list[set[Identifier]] = field(default_factory=list)  # with those that only commands named
    seen: dict[Identifier, Sighting] = field(default_factory=dict)
    hubs: set[Identifier] = field(default_factory=set)
    refused: list[tuple[Pair, str]] = field(default_factory=list)


def cluster(events: list[Event], s: Settings) -> People:
    people = People()

    def rank(i: Identifier) -> tuple[int, str]:
        return s.place[i[0]], i[1]

    def pair(a: Identifier, b: Identifier) -> Pair:
        return (a, b) if rank(a) < rank(b) else (b, a)

    edges: dict[Pair, tuple[int, str]] = {}
    commands: dict[Pair, Event] = {}
    nodes: dict[Identifier, None] = {}
    for e in events:
        for i in e.ids:
            nodes[i] = None
        if e.command:
            p = pair(e.ids[0], e.ids[1])
            if p not in commands or commands[p].key < e.key:
                commands[p] = e
            continue
        for i in e.ids:
            seen = people.seen.setdefault(i, Sighting(e.key, e.time, 0))
            seen.first, seen.last, seen.events = min(seen.first, e.key), max(seen.last, e.time), seen.events + 1
        for i in e.ids[1:]:
            p = pair(e.ids[0], i)
            edges[p] = min(edges.get(p, e.key), e.key)
    linked = {p: e.key for p, e in commands.items() if e.type == "customer.linked"}
    unlinked = [p for p in commands if p not in linked]

    higher: dict[tuple[Identifier, str], set[str]] = {}
    for a, b in edges:
        if s.place[a[0]] < s.place[b[0]]:
            higher.setdefault((b, a[0]), set()).add(a[1])
    for (i, _), values in higher.items():
        limit = s.hub[i[0]]
        if limit is not None and len(values) > limit:
            people.hubs.add(i)

    queue = [(0, at, p) for p, at in linked.items()]
    for p, at in edges.items():
        if not people.hubs & set(p):
            queue.append((1 if s.strong[p[0][0]] and s.strong[p[1][0]] else 2, at, p))
    queue.sort(key=lambda q: (q[0], q[1], rank(q[2][0]), rank(q[2][1])))

    group: dict[Identifier, set[Identifier]] = {i: {i} for i in nodes}
    for order, _, p in queue:
        one, two = group[p[0]], group[p[1]]
        if one is two:
            continue
        joined = one | two
        why = None
        if order != 0 and over_limit(one, two, s):
            why = "limit"
        elif any(a in joined and b in joined for a, b in unlinked):
            why = "unlinked"
        elif len(joined) > s.max_size:
            why = "size"
        if why:
            people.refused.append((p, why))
            continue
        for i in joined:
            group[i] = joined
    people.groups = list({id(g): g for g in group.values()}.values())
    return people


def over_limit(one: set[Identifier], two: set[Identifier], s: Settings) -> bool:
    in_one, in_two = Counter(k for k, _ in one), Counter(k for k, _ in two)
    joined, first = in_one + in_two, s.kinds[0][0]  # groups share no identifier
    for kind, count in joined.items():
        allowed = s.limit[kind]
        if kind != first:
            allowed *= max(1, joined[first])
        if count > max(allowed, in_one[kind], in_two[kind]):
            return True
    return False


def one_id(group: set[Identifier], people: People, s: Settings) -> str | None:
    """None for a group that only commands named."""
    seen = [i for i in group if i in people.seen]
    if not seen:
        return None
    kind, value = min(seen, key=lambda i: (people.seen[i].first, s.place[i[0]], i[1]))
    return str(uuid5(uuid5(NAMESPACE_URL, f"kith:{s.space}"), f"{kind}:{value}"))
