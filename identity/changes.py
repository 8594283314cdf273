"""What one event changed: which parts move, and which people merged or were split, as a net effect."""

from collections.abc import Callable
from typing import Literal

import msgspec

from identity.evidence import Command, Key
from identity.state import LIMIT, LINK, REASON, Edge, Group, Store

ChangeKind = Literal["merged", "split", "refused", "hub"]
_ORDER: dict[ChangeKind, int] = {"hub": 0, "split": 1, "merged": 2, "refused": 3}


class Move(msgspec.Struct, frozen=True, gc=False):
    """A part that is created (`from_one_id` None) or whose owner's OneID changed."""

    part: str
    from_one_id: str | None
    to_one_id: str


class Change(msgspec.Struct, frozen=True, gc=False):
    """A change of people, with the evidence that caused it.

    `merged`: `one_id` survives and holds the identifier that named `other_one_id`, which is an alias from now on; also
    when older evidence renames a person. `split`: identifiers of `one_id` went to `other_one_id`. `refused`: an edge
    between the two (None: within one person) became refused, with the reason limit, unlinked or size. `hub`: `reason`
    is the identifier that became one.
    """

    kind: ChangeKind
    one_id: str
    other_one_id: str | None
    reason: str | None
    at_ms: int
    event_id: str


class Resolution(msgspec.Struct, frozen=True, gc=False):
    """What came of one event: the OneID of i1 (None for a command), moved parts by name, and changes in fixed order."""

    one_id: str | None
    moves: list[Move]
    changes: list[Change]


class Turn:
    """What is noted while one event's evidence is added.

    `before` holds the former OneID of identifiers whose group changed, `fresh` those seen for the first time, `edges`
    whether an edge was refused before, `hubs` the new ones, `renamed` groups that may have another oldest identifier.

    For who keeps a journal: `named` identifiers had no record, `sighted` had this first sighting, `shown` are edges as
    they are now and their former (time, event id), `ordered` pairs had this command, `bared` are new hubs with the
    lower ends of the edges that lead up from them, and `given` are OneIDs that there never were before.
    """

    __slots__ = (
        "at_ms",
        "bared",
        "before",
        "edges",
        "event_id",
        "fresh",
        "given",
        "hubs",
        "named",
        "ordered",
        "renamed",
        "shown",
        "sighted",
    )

    def __init__(self, at_ms: int, event_id: str) -> None:
        self.at_ms = at_ms
        self.event_id = event_id
        self.before: dict[str, str | None] = {}
        self.fresh: set[str] = set()
        self.edges: dict[tuple[int, str, str], bool] = {}
        self.hubs: list[str] = []
        self.renamed: list[Group] = []
        self.named: list[str] = []
        self.sighted: list[tuple[str, int | None, str]] = []
        self.shown: list[tuple[Edge, Key | None]] = []
        self.ordered: list[tuple[tuple[str, str], Command | None]] = []
        self.bared: list[tuple[str, list[str]]] = []
        self.given: list[str] = []

    def note(self, edge: Edge, former: int) -> None:
        """Remember whether the edge was refused when the event came."""
        self.edges.setdefault((edge.rank, edge.lo, edge.hi), former >= LIMIT)


def settle(turn: Turn, names: dict[str, str], name: Callable[[str], str]) -> None:
    """Give every group that changed the OneID of its oldest identifier; `names` keeps which one that is."""
    for group in turn.renamed:
        oldest = group.oldest
        former = group.one_id
        if not group.members or (former is not None and oldest is not None and name(oldest) == former):
            continue
        if former is not None:
            for ident in group.members:
                turn.before.setdefault(ident, former)
        if oldest is None:
            group.one_id = None
        else:
            one_id = group.one_id = name(oldest)
            if one_id not in names:
                names[one_id] = oldest
                turn.given.append(one_id)


def moves(store: Store, turn: Turn, created: str | None) -> list[Move]:
    """Return the parts whose owner changed, and the part that is created if there is one, by name."""
    found = []
    for ident, former in turn.before.items():
        node = store.nodes[ident]
        now = node.group.one_id
        if node.has_part and ident != created and now != former and now is not None:
            found.append(Move(ident, former, now))
    if created is not None:
        owner = store.nodes[created].group.one_id
        if owner is not None:
            found.append(Move(created, None, owner))
    found.sort(key=lambda move: move.part)
    return found


def changes(store: Store, turn: Turn, names: dict[str, str]) -> list[Change]:
    """Return what the event changed among people: hubs, then splits, merges and refusals."""
    nodes = store.nodes
    found: set[tuple[ChangeKind, str, str | None, str | None]] = set()
    for ident, former in turn.before.items():
        node = nodes[ident]
        now = node.group.one_id
        if former is None or now is None or now == former or ident in turn.fresh:
            continue
        heir = nodes[names[former]].group.one_id
        if heir is None:
            continue
        if heir != former:
            found.add(("merged", heir, former, None))
        if now != heir:
            found.add(("split", heir, now, None))
    for hub in turn.hubs:
        owner = nodes[hub].group.one_id
        if owner is not None:
            found.add(("hub", owner, None, hub))
    result = [Change(*row, turn.at_ms, turn.event_id) for row in sorted(found, key=_change_order)]
    return result + _refusals(store, turn)


def _refusals(store: Store, turn: Turn) -> list[Change]:
    found = []
    for (rank, lo, hi), was_refused in turn.edges.items():
        edge = store.links.get(lo, {}).get(hi) if rank == LINK else store.find(lo, hi)
        if was_refused or edge is None or edge.state < LIMIT:
            continue
        one, other = store.nodes[lo].group.one_id, store.nodes[hi].group.one_id
        if one is None:
            one, other = other, None
        if one is not None:
            found.append((store.place(edge), one, None if one == other else other, REASON[edge.state]))
    found.sort()
    return [Change("refused", one, other, reason, turn.at_ms, turn.event_id) for _, one, other, reason in found]


def _change_order(row: tuple[ChangeKind, str, str | None, str | None]) -> tuple[int, str, str, str]:
    return _ORDER[row[0]], row[1], row[2] or "", row[3] or ""
