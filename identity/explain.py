"""Why someone is who they are: the evidence in joining order, in plain words or drawn.

Works on plain evidence rows of one neighbourhood and joins them with the same code as everyone else's, so what it says
is what happened. `gather` finds the rows; the words are in `identity.words`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from identity.cluster import REFUSED, Decision, Hub, People, cluster, find_hubs
from identity.evidence import Evidence, Row
from identity.policy import Policy
from identity.words import WORDS, Words

Lang = Literal["en", "zh"]


@dataclass(frozen=True)
class Explanation:
    """One person explained: `lines` to read, `dot` for Graphviz, and the `decisions` and `hubs` they tell of."""

    one_id: str | None
    members: tuple[str, ...]
    lines: tuple[str, ...]
    dot: str
    decisions: tuple[Decision, ...]
    hubs: dict[str, Hub]


class Neighbourhood(NamedTuple):
    """Rows around one person, and the identifiers whose evidence is whole in them."""

    rows: list[Row]
    whole: frozenset[str]


def gather(
    ident: str,
    rows_of: Callable[[list[str]], Iterable[Row]],
    members_of: Callable[[list[str]], Iterable[str]],
) -> Neighbourhood:
    """Return what `explain` needs: the rows of the person and of the people its evidence leads to.

    `rows_of` returns every row that names one of some identifiers, `members_of` all identifiers of the people that
    hold some of them. A link is followed to its end, as identifiers that only commands named are no one's.
    """
    rows: dict[Row, None] = {}
    asked: set[str] = set()
    for _ in ("the person", "whom its evidence leads to"):
        ends = {end for row in rows for end in (row.a, row.b) if end is not None} if rows else {ident}
        while ends - asked:
            fresh = sorted((ends | set(members_of(sorted(ends - asked)))) - asked)
            asked.update(fresh)
            found = dict.fromkeys(rows_of(fresh))
            rows.update(found)
            ends = {end for row in found if row.kind == "link" for end in (row.a, row.b) if end is not None}
    return Neighbourhood(list(rows), frozenset(asked))


def explain(
    rows: Iterable[Row],
    ident: str,
    policy: Policy,
    lang: Lang = "en",
    space: str = "default",
    whole: frozenset[str] | None = None,
) -> Explanation:
    """Explain the person who holds `ident` from evidence rows: all there are, or those of `gather` with its `whole`.

    An edge that leads to an identifier outside `whole` counts for hubs but joins nobody: it leads out of the people
    that were gathered. Times are shown in UTC.
    """
    words = WORDS[lang]
    evidence = Evidence.from_rows(rows, policy)
    hubs = find_hubs(evidence, policy)
    if whole is not None:
        evidence.seen = {end: key for end, key in evidence.seen.items() if end in whole}
        evidence.edges = {pair: key for pair, key in evidence.edges.items() if whole.issuperset(pair)}
    people = cluster(evidence, policy, space, hubs)
    one_id = people.owner.get(ident)
    members = people.groups[one_id] if one_id is not None else ()
    mine = _bound(people, {ident, *members})
    told = tuple(d for d in people.decisions if d.lo in mine or d.hi in mine)
    lines = [words.nobody.format(ident=ident)] if one_id is None else []
    if one_id is not None:
        oldest = min(members, key=lambda member: (evidence.seen[member], policy.order_key(member)))
        time_ms, event_id = evidence.seen[oldest]
        lines.append(words.person.format(one_id=one_id, count=len(members)))
        lines.append(words.named.format(ident=oldest, time=_time(time_ms), event=event_id))
    lines += [_line(decision, hubs, words) for decision in told]
    for pair, command in evidence.commands.items():
        if command.kind == "unlink" and (pair[0] in mine or pair[1] in mine):
            when = _time(command.time_ms)
            lines.append(words.unlink.format(lo=pair[0], hi=pair[1], time=when, event=command.event_id))
    shown = {hub: why for hub, why in hubs.items() if hub in mine or any(hub in (d.lo, d.hi) for d in told)}
    lines += [words.hub.format(ident=hub, kind=h.kind, values=h.values, borne=h.borne) for hub, h in shown.items()]
    if not told:
        lines.append(words.alone)
    return Explanation(one_id, members, tuple(lines), dot(told, people, mine, shown, words), told, shown)


def dot(
    decisions: Iterable[Decision], people: People, members: Iterable[str], hubs: Iterable[str], words: Words
) -> str:
    """Return a Graphviz picture: joined evidence solid, refused red and dashed, set aside grey and dotted."""
    decisions = list(decisions)
    mine, aside = set(members), set(hubs)
    ends = dict.fromkeys([*sorted(mine), *(end for d in decisions for end in (d.lo, d.hi))])
    lines = ["graph kith {", '  node [shape=box, style="rounded,filled", fillcolor=white];']
    for end in ends:
        fill = "lightgrey" if end in aside else "lightblue" if end in mine else "white"
        owner = people.owner.get(end)
        label = end if end in mine or owner is None else f"{end}\n{owner}"
        lines.append(f"  {_quoted(end)} [label={_quoted(label)}, fillcolor={fill}];")
    for d in decisions:
        look = 'color=black, style="{}"'.format("dashed" if d.strength == "weak" else "solid")
        if d.strength == "link":
            look = "color=darkgreen, penwidth=2"
        if d.outcome == "inside":
            look += ", fontcolor=grey40"
        if d.outcome in REFUSED:
            look = "color=red, style=dashed"
        if d.outcome == "hub":
            look = "color=grey, style=dotted"
        label = f"{words.strength[d.strength]} · {words.outcome[d.outcome]}\n{_time(d.time_ms)}\n{d.event_id}"
        lines.append(f"  {_quoted(d.lo)} -- {_quoted(d.hi)} [label={_quoted(label)}, {look}];")
    return "\n".join([*lines, "}"]) + "\n"


def _bound(people: People, members: Iterable[str]) -> set[str]:
    """Return the members and what evidence binds to them, also identifiers that only commands named."""
    beside: dict[str, list[str]] = {}
    for d in people.decisions:
        if d.outcome == "joined":
            beside.setdefault(d.lo, []).append(d.hi)
            beside.setdefault(d.hi, []).append(d.lo)
    bound = set(members)
    todo = list(bound)
    while todo:
        fresh = set(beside.get(todo.pop(), ())) - bound
        bound |= fresh
        todo += fresh
    return bound


def _line(d: Decision, hubs: dict[str, Hub], words: Words) -> str:
    head = words.evidence.format(
        time=_time(d.time_ms), strength=words.strength[d.strength], lo=d.lo, hi=d.hi, event=d.event_id
    )
    if d.outcome == "joined":
        return head + words.joined.format(one=d.sizes[0], other=d.sizes[1])
    if d.outcome == "inside":
        return head + words.inside
    if d.outcome == "hub":
        return head + words.aside.format(hub=" ".join(end for end in (d.lo, d.hi) if end in hubs))
    if d.refusal is None:
        raise AssertionError(f"a refusal without its reason: {d}")
    what, reached, allowed = d.refusal.what, d.refusal.reached, d.refusal.allowed
    if d.outcome == "limit":
        return head + words.limit.format(kind=what[0], reached=reached, allowed=allowed)
    if d.outcome == "unlinked":
        return head + words.unlinked.format(lo=what[0], hi=what[1])
    return head + words.size.format(reached=reached, allowed=allowed)


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
