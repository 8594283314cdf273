"""A graph from evidence that was worked off before."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from identity.changes import Turn, settle
from identity.evidence import Command
from identity.joining import Joiner
from identity.recompute import decide
from identity.state import (
    ASIDE,
    FEW,
    INSIDE,
    JOINED,
    LIMIT,
    STRONG,
    WEAK,
    Edge,
    Group,
    Node,
    Store,
    attach,
)
from schemas.errors import StateError


class Stored(NamedTuple):
    """Evidence with what else a graph must remember; see `Graph.restore`."""

    seen: Iterable[tuple[str, int, str, bool]]
    edges: Iterable[tuple[str, str, int, str]]
    commands: Iterable[tuple[str, str, Command]]
    aliases: Iterable[tuple[str, str]]


class Builder:
    """Makes the records of a graph that is empty, all evidence at once, in joining order: nothing is joined twice."""

    def __init__(self, store: Store, names: dict[str, str], name: Callable[[str], str]) -> None:
        self._store = store
        self._names = names
        self._name = name
        self._own: dict[str, str] = {}  # one text for each identifier, however often it is named

    def build(self, stored: Stored) -> None:
        """Make everything."""
        self._name_all(stored)
        self._join_links(stored.commands)
        edges = self._in_order(stored.edges)
        self._find_hubs(edges)
        self._join_edges(edges)
        edges.clear()
        self._finish()
        for one_id, ident in stored.aliases:
            self._names[one_id] = ident

    def _name_all(self, stored: Stored) -> None:
        nodes, own = self._store.nodes, self._own
        for ident, ms, event_id, has_part in stored.seen:
            own[ident] = ident
            group = Group([ident], None, ident, None, False, None)
            nodes[ident] = Node(ms, event_id, (), group, _place(self._store, ident), has_part, False)

    def _join_links(self, commands: Iterable[tuple[str, str, Command]]) -> None:
        store = self._store
        links = []
        for a, b, command in commands:
            for ident in (a, b):
                if ident not in store.nodes:
                    self._own[ident] = ident
                    group = Group([ident], None, None, None, False, None)
                    store.nodes[ident] = Node(None, "", (), group, _place(store, ident), False, False)
            a, b = self._own[a], self._own[b]
            low, high = store.nodes[a].place, store.nodes[b].place
            lo, hi = (a, b) if (low, a) <= (high, b) else (b, a)
            store.commands[lo, hi] = command
            if command.kind == "link":
                links.append(store.edge(lo, hi, command.time_ms, command.event_id, link=True))
            else:
                store.unlinked.setdefault(lo, {})[hi] = None
                store.unlinked.setdefault(hi, {})[lo] = None
        links.sort(key=store.place)
        for edge in links:
            edge.state = self._decided(edge)
            store.links.setdefault(edge.lo, {})[edge.hi] = edge
            store.links.setdefault(edge.hi, {})[edge.lo] = edge

    def _in_order(self, edges: Iterable[tuple[str, str, int, str]]) -> list[tuple[int, int, str, int, str, int, str]]:
        nodes, own, strong = self._store.nodes, self._own, self._store.policy.strong
        found = []
        for a, b, ms, event_id in edges:
            low, high = nodes.get(a), nodes.get(b)
            if low is None or high is None or low.first_ms is None or high.first_ms is None:
                raise StateError(f"the graph has an edge between identifiers of which one was never seen: {a} {b}")
            a, b = own[a], own[b]
            if event_id == high.first_id:
                event_id = high.first_id
            elif event_id == low.first_id:
                event_id = low.first_id
            rank = STRONG if strong[low.place] and strong[high.place] else WEAK
            if (low.place, a) <= (high.place, b):
                found.append((rank, ms, event_id, low.place, a, high.place, b))
            else:
                found.append((rank, ms, event_id, high.place, b, low.place, a))
        found.sort()
        return found

    def _find_hubs(self, edges: list[tuple[int, int, str, int, str, int, str]]) -> None:
        store = self._store
        borne = store.policy.hub
        above: dict[str, dict[int, int]] = {}
        for _, _, _, low, _, high, hi in edges:
            if low < high and borne[high] is not None:
                counts = above.get(hi)
                if counts is None:
                    counts = above[hi] = {}
                counts[low] = counts.get(low, 0) + 1
        for ident, counts in above.items():
            node = store.nodes[ident]
            most = borne[node.place]
            node.hub = most is not None and max(counts.values()) > most

    def _join_edges(self, edges: list[tuple[int, int, str, int, str, int, str]]) -> None:
        store = self._store
        nodes = store.nodes
        for rank, ms, event_id, low_place, lo, high_place, hi in edges:
            low, high = nodes[lo], nodes[hi]
            edge = Edge(lo, hi, low_place, high_place, ms, event_id, rank, ASIDE)
            if not (low.hub or high.hub):
                edge.state = self._decided(edge)
            attach(low, lo, edge)
            if not high.hub:
                attach(high, hi, edge)

    def _decided(self, edge: Edge) -> int:
        """Return what becomes of an edge that comes last, and let its ends be one group if it joins them."""
        store = self._store
        nodes = store.nodes
        one, other = nodes[edge.lo].group, nodes[edge.hi].group
        one.last = other.last = edge
        if one is other:
            return INSIDE
        big, small = (one, other) if len(one.members) >= len(other.members) else (other, one)
        state = JOINED
        if not self._is_new_kind(small, big):
            state = decide(
                store,
                edge.rank,
                (small.members, store.tally(small)),
                (big.members, store.tally(big)),
                lambda foe: nodes[foe].group is big,
            )
        if state != JOINED:
            if state > LIMIT:
                one.odd = other.odd = True
            return state
        if big.counts is not None:
            for place, count in store.tally(small).items():
                big.counts[place] = big.counts.get(place, 0) + count
        for ident in small.members:
            nodes[ident].group = big
        big.members += small.members
        big.odd |= small.odd
        small.members = []
        return state

    def _is_new_kind(self, small: Group, big: Group) -> bool:
        """Return whether one identifier joins few of other kinds, which nothing can speak against."""
        store = self._store
        if len(small.members) != 1 or not 0 < len(big.members) < min(FEW, store.policy.max_size) or store.unlinked:
            return False
        nodes = store.nodes
        place = nodes[small.members[0]].place
        for ident in big.members:  # noqa: SIM110  three times as fast as a generator
            if nodes[ident].place == place:
                return False
        return True

    def _finish(self) -> None:
        """Find who is the oldest of each group, and name it."""
        nodes = self._store.nodes
        for ident, node in nodes.items():
            group = node.group
            if group.members[0] != ident:
                continue
            seen = [(each.first_ms, each.first_id, each.place, member)
                    for member in group.members if (each := nodes[member]).first_ms is not None]  # fmt: skip
            if not seen:
                group.oldest = None
                continue
            group.oldest = oldest = min(seen)[3]
            group.one_id = one_id = self._name(oldest)
            self._names[one_id] = oldest


def add(
    store: Store, joiner: Joiner, names: dict[str, str], name: Callable[[str], str], stored: Stored
) -> tuple[set[str], dict[str, str | None]]:
    """Add `stored` to a graph as one piece of evidence, so that only OneIDs that there were are remembered.

    Return the identifiers whose records changed, with perhaps some more, and those whose group did, with their former
    OneIDs.
    """
    turn = Turn(0, "")
    touched: set[str] = set()
    for ident, ms, event_id, has_part in stored.seen:
        _place(store, ident)
        joiner.see(ident, ms, event_id, turn).has_part |= has_part
        touched.add(ident)
    for a, b, command in stored.commands:
        joiner.command(a, b, command, turn)
        touched.update((a, b))
    nodes = store.nodes
    strong = store.policy.strong
    found = []
    for a, b, ms, event_id in stored.edges:
        if a not in nodes or b not in nodes or nodes[a].first_ms is None or nodes[b].first_ms is None:
            raise StateError(f"the graph has an edge between identifiers of which one was never seen: {a} {b}")
        weak = not (strong[nodes[a].place] and strong[nodes[b].place])
        found.append((weak, ms, event_id, nodes[a].place, a, nodes[b].place, b))
        touched.update((a, b))
    found.sort()  # in the order of joining hardly anything is joined again
    for _, ms, event_id, _, a, _, b in found:
        joiner.edge(a, b, ms, event_id, turn)
    settle(turn, names, name)
    for one_id, ident in stored.aliases:
        names[one_id] = ident  # noqa: PERF403  `update` would pass by who counts what is new
    touched.update(turn.before, turn.hubs)
    return touched, turn.before


def _place(store: Store, ident: str) -> int:
    place = store.policy.place.get(ident.partition(":")[0])
    if place is None:
        raise StateError(f"the graph has an identifier of a kind that the settings do not declare: {ident}")
    return place
