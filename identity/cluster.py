"""People as a function of the whole set of evidence, read straight off the rules.

1. An identifier that event edges join to more than `hub` values of one kind of higher priority is a hub; its event
   edges are set aside.
2. The pairs a steward linked, then strong edges, then weak ones, each by (time, event id, lower, higher identifier),
   join the groups of their ends unless the limit of a kind, an unlinked pair or the size speaks against it.
3. A group is a person, named after its oldest identifier; identifiers that only commands named are left out.

`identity.graph` keeps the same result up to date event by event; this is what it is measured against.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

from identity.evidence import Evidence, Key
from identity.oneid import namer
from identity.policy import Policy, kind_of

Strength = Literal["link", "strong", "weak"]
Outcome = Literal["joined", "inside", "limit", "unlinked", "size", "hub"]
REFUSED: tuple[Outcome, ...] = ("limit", "unlinked", "size")

_RANK: dict[Strength, int] = {"link": 0, "strong": 1, "weak": 2}


class Hub(NamedTuple):
    """Why an identifier is a hub: the distinct values of one kind of higher priority, and how many are borne."""

    kind: str
    values: int
    borne: int


class Refusal(NamedTuple):
    """Why two groups stay apart.

    For `limit` `what` is the kind, for `unlinked` the pair; `reached` would be had of `allowed` (both 0 for a pair).
    """

    outcome: Literal["limit", "unlinked", "size"]
    what: tuple[str, ...]
    reached: int
    allowed: int


class Decision(NamedTuple):
    """What became of one piece of evidence, with the sizes of the two groups it would join."""

    strength: Strength
    lo: str
    hi: str
    time_ms: int
    event_id: str
    outcome: Outcome
    refusal: Refusal | None
    sizes: tuple[int, int]


@dataclass(frozen=True)
class People:
    """The people: `groups` from OneID to its identifiers in order, `owner` the reverse, and how it came about.

    `decisions` are in joining order, those of edges set aside for a hub last.
    """

    groups: dict[str, tuple[str, ...]]
    owner: dict[str, str]
    hubs: dict[str, Hub]
    decisions: tuple[Decision, ...]

    def refused(self) -> dict[tuple[Strength, str, str], Outcome]:
        """Return the refused evidence with its reasons."""
        return {(d.strength, d.lo, d.hi): d.outcome for d in self.decisions if d.outcome in REFUSED}


def cluster(evidence: Evidence, policy: Policy, space: str = "default", hubs: dict[str, Hub] | None = None) -> People:
    """Return the people of the whole set of `evidence`; `hubs` are found in it unless they are given."""
    hubs = find_hubs(evidence, policy) if hubs is None else hubs
    group_of = {ident: frozenset([ident]) for ident in evidence.named()}
    unlinked = [pair for pair, command in evidence.commands.items() if command.kind == "unlink"]
    unlinked.sort(key=lambda pair: (policy.order_key(pair[0]), policy.order_key(pair[1])))
    decisions = []
    aside = []
    for strength, lo, hi, (time_ms, event_id) in joining_order(evidence, policy):
        if strength != "link" and (lo in hubs or hi in hubs):
            aside.append(Decision(strength, lo, hi, time_ms, event_id, "hub", None, (0, 0)))
            continue
        one, other = group_of[lo], group_of[hi]
        sizes = (len(one), len(other))
        if one is other:
            decisions.append(Decision(strength, lo, hi, time_ms, event_id, "inside", None, sizes))
            continue
        refusal = why_refused(one, other, strength, unlinked, policy)
        if refusal is not None:
            decisions.append(Decision(strength, lo, hi, time_ms, event_id, refusal.outcome, refusal, sizes))
            continue
        decisions.append(Decision(strength, lo, hi, time_ms, event_id, "joined", None, sizes))
        joined = one | other
        for ident in joined:
            group_of[ident] = joined
    return _people(evidence, policy, space, group_of, hubs, (*decisions, *aside))


def find_hubs(evidence: Evidence, policy: Policy) -> dict[str, Hub]:
    """Return the hubs. Every event edge counts, whatever became of it."""
    above: dict[str, Counter[str]] = {}
    for lo, hi in evidence.edges:
        if policy.place[kind_of(lo)] < policy.place[kind_of(hi)]:
            above.setdefault(hi, Counter())[kind_of(lo)] += 1
    hubs = {}
    for ident in sorted(above, key=policy.order_key):
        borne = policy.hub[policy.place[kind_of(ident)]]
        over = [kind for kind in policy.kinds if borne is not None and above[ident][kind] > borne]
        if over and borne is not None:
            hubs[ident] = Hub(over[0], above[ident][over[0]], borne)
    return hubs


def joining_order(evidence: Evidence, policy: Policy) -> list[tuple[Strength, str, str, Key]]:
    """Return links, strong edges and weak edges in the order in which they are taken."""
    found: list[tuple[Strength, str, str, Key]] = [
        ("link", lo, hi, (command.time_ms, command.event_id))
        for (lo, hi), command in evidence.commands.items()
        if command.kind == "link"
    ]
    found += [
        ("strong" if policy.is_strong(lo, hi) else "weak", lo, hi, key) for (lo, hi), key in evidence.edges.items()
    ]
    found.sort(key=lambda e: (_RANK[e[0]], e[3], policy.order_key(e[1]), policy.order_key(e[2])))
    return found


def why_refused(
    one: frozenset[str],
    other: frozenset[str],
    strength: Strength,
    unlinked: list[tuple[str, str]],
    policy: Policy,
) -> Refusal | None:
    """Return what speaks against joining two groups: limit, unlinked or size, asked in this order; None if nothing."""
    joined = one | other
    if strength != "link":
        counts, ones, others = (Counter(map(kind_of, group)) for group in (joined, one, other))
        for place, kind in enumerate(policy.kinds):
            times = 1 if place == 0 else max(1, counts[policy.kinds[0]])
            allowed = max(policy.limit[place] * times, ones[kind], others[kind])
            if counts[kind] > allowed:
                return Refusal("limit", (kind,), counts[kind], allowed)
    for a, b in unlinked:
        if a in joined and b in joined:
            return Refusal("unlinked", (a, b), 0, 0)
    if len(joined) > policy.max_size:
        return Refusal("size", (), len(joined), policy.max_size)
    return None


def _people(
    evidence: Evidence,
    policy: Policy,
    space: str,
    group_of: dict[str, frozenset[str]],
    hubs: dict[str, Hub],
    decisions: tuple[Decision, ...],
) -> People:
    name = namer(space)
    groups = {}
    owner = {}
    for ident in sorted(evidence.seen, key=policy.order_key):
        if ident in owner:
            continue
        members = [member for member in group_of[ident] if member in evidence.seen]
        oldest = min(members, key=lambda member: (evidence.seen[member], policy.order_key(member)))
        one_id = name(oldest)
        groups[one_id] = tuple(sorted(members, key=policy.order_key))
        owner.update(dict.fromkeys(members, one_id))
    return People(groups, owner, hubs, decisions)
