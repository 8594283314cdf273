"""The records of the graph, small because there are millions, and how they are looked up and linked together.

Records name each other by identifier, never by reference, so there are no cycles and the garbage collector need not
look at them.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from identity.evidence import Command
from identity.policy import Policy

# What became of an edge. Those from LIMIT on are refused.
NEW: Final = 0
JOINED: Final = 1
INSIDE: Final = 2
ASIDE: Final = 3
LIMIT: Final = 4
UNLINKED: Final = 5
SIZE: Final = 6
REASON: Final = {LIMIT: "limit", UNLINKED: "unlinked", SIZE: "size"}

LINK: Final = 0
STRONG: Final = 1
WEAK: Final = 2

FEW: Final = 8  # up to here a scan is as fast as a dict and takes a quarter of the memory

Place = tuple[int, int, str, int, str, int, str]
"""An edge's place in the joining order: rank, time, event id, lower and higher identifier (kind's place, text)."""

START: Final[Place] = (-1, 0, "", 0, "", 0, "")


class Edge(msgspec.Struct, gc=False):
    """A pair with the earliest (time, event id) that showed it, and the places of their kinds.

    Only `state` ever changes.
    """

    lo: str
    hi: str
    low: int
    high: int
    ms: int
    id: str
    rank: int
    state: int


class Many(msgspec.Struct, gc=False):
    """The event edges of an identifier with many, by the other end; `up` counts by place those of higher priority."""

    joined: dict[str, Edge]
    rest: dict[str, Edge]
    aside: dict[str, Edge]
    up: dict[int, int]


class Group(msgspec.Struct, gc=False):
    """Identifiers that belong together.

    `one_id` is the OneID given out, None before there is one. `last` is no earlier in the joining order than any edge
    of its members that is not set aside. `odd` is true if any of these may be refused for another reason than a limit.
    `counts` are members by place of their kind, kept for large groups only. `filed`: how many of the members, from the
    first on, the archive has in this group (see `identity.archive`).
    """

    members: list[str]
    one_id: str | None
    oldest: str | None
    last: Edge | None
    odd: bool
    counts: dict[int, int] | None
    filed: int = 0


class Node(msgspec.Struct, gc=False):
    """An identifier. `first_ms` is None for one that only commands named."""

    first_ms: int | None
    first_id: str
    edges: tuple[Edge, ...] | Many
    group: Group
    place: int
    has_part: bool
    hub: bool


class Store:
    """All records, with the look-ups and updates that keep both ends of an edge in step.

    `nodes` may be a dictionary that brings in whoever is asked for. `marked`, if there is one, gets the ends of edges
    whose state changes.
    """

    def __init__(self, policy: Policy, nodes: dict[str, Node] | None = None) -> None:
        self.policy = policy
        self.nodes: dict[str, Node] = {} if nodes is None else nodes
        self.marked: set[str] | None = None
        self.commands: dict[tuple[str, str], Command] = {}
        self.links: dict[str, dict[str, Edge]] = {}
        self.unlinked: dict[str, dict[str, None]] = {}

    def resident(self, ident: str) -> Node | None:
        """Return the node of an identifier if it is in memory."""
        return dict.get(self.nodes, ident)

    @staticmethod
    def place(edge: Edge) -> Place:
        """Return the edge's place in the joining order."""
        return edge.rank, edge.ms, edge.id, edge.low, edge.lo, edge.high, edge.hi

    def edge(self, lo: str, hi: str, ms: int, event_id: str, *, link: bool = False) -> Edge:
        """Return an edge, or a steward's link, between two that have nodes; it is new and not stored."""
        low, high = self.nodes[lo].place, self.nodes[hi].place
        return Edge(lo, hi, low, high, ms, event_id, LINK if link else self.rank(low, high), NEW)

    def rank(self, low: int, high: int) -> int:
        """Return the rank of event edges between identifiers of the kinds at these places."""
        strong = self.policy.strong
        return STRONG if strong[low] and strong[high] else WEAK

    def find(self, lo: str, hi: str) -> Edge | None:
        """Return the event edge of a pair, the lower identifier first."""
        node = self.nodes.get(lo)
        return None if node is None else edge_with(node, hi)

    def active(self, ident: str) -> Iterator[Edge]:
        """Yield the links and the event edges of an identifier but for those set aside."""
        if self.links and ident in self.links:
            yield from self.links[ident].values()
        edges = self.nodes[ident].edges
        if isinstance(edges, tuple):
            for edge in edges:
                if edge.state != ASIDE:
                    yield edge
        else:
            yield from edges.joined.values()
            yield from edges.rest.values()

    def joined(self, ident: str) -> Iterator[Edge]:
        """Yield the links and event edges that joined an identifier to its group."""
        if self.links and ident in self.links:
            for edge in self.links[ident].values():
                if edge.state == JOINED:
                    yield edge
        edges = self.nodes[ident].edges
        for edge in edges if isinstance(edges, tuple) else edges.joined.values():
            if edge.state == JOINED:
                yield edge

    def refused(self, ident: str) -> Iterator[Edge]:
        """Yield the links and event edges of an identifier that are refused."""
        for edge in self.active(ident):
            if edge.state >= LIMIT:
                yield edge

    def put(self, edge: Edge) -> None:
        """Store an event edge: at its lower end, and at its higher one unless that is a hub (it is never asked)."""
        lo, hi = self.nodes[edge.lo], self.nodes[edge.hi]
        attach(lo, edge.lo, edge)
        if not hi.hub:
            attach(hi, edge.hi, edge)

    def replace(self, old: Edge, new: Edge) -> None:
        """Put `new` where `old` is, an edge of the same pair."""
        for ident, other in ((old.lo, old.hi), (old.hi, old.lo)):
            node = self.nodes[ident]
            edges = node.edges
            if isinstance(edges, tuple):
                node.edges = tuple(new if edge is old else edge for edge in edges)
            elif _shelf(edges, old.state).pop(other, None) is not None:
                _shelf(edges, new.state)[other] = new

    def drop(self, edge: Edge) -> None:
        """Remove an event edge."""
        for ident, other in ((edge.lo, edge.hi), (edge.hi, edge.lo)):
            node = self.nodes[ident]
            edges = node.edges
            if isinstance(edges, tuple):
                node.edges = tuple(each for each in edges if each is not edge)
            elif _shelf(edges, edge.state).pop(other, None) is None:
                continue
            elif edge.hi == ident and edge.low < edge.high:
                edges.up[edge.low] -= 1

    def uncover(self, hubs: dict[str, list[str]]) -> None:
        """Make hubs plain identifiers again, each given with the lower ends of the edges that lead up from it.

        Their edges become new: the people they lead to are to be rejoined.
        """
        nodes = self.nodes
        for ident in hubs:
            nodes[ident].hub = False
        for ident, others in hubs.items():
            node = nodes[ident]
            edges = [edge for edge in self.event_edges(ident) if edge.lo == ident]
            edges += [edge for other in others if (edge := self.find(other, ident)) is not None]
            node.edges = tuple(edges) if len(edges) <= FEW else _many(ident, edges)
            for edge in edges:
                if not (nodes[edge.lo].hub or nodes[edge.hi].hub):
                    self.mark(edge, NEW)

    def mark(self, edge: Edge, state: int) -> None:
        """Set what became of an edge."""
        before = edge.state
        edge.state = state
        if self.marked is not None and before != state:
            self.marked.update((edge.lo, edge.hi))
        if edge.rank == LINK:
            return
        for ident, other in ((edge.lo, edge.hi), (edge.hi, edge.lo)):
            edges = self.nodes[ident].edges
            if not isinstance(edges, tuple):
                source, target = _shelf(edges, before), _shelf(edges, state)
                if source is not target and source.pop(other, None) is not None:
                    target[other] = edge

    def above(self, ident: str, place: int) -> int:
        """Return how many identifiers of the kind at `place` event edges join to `ident`, a kind of higher priority."""
        edges = self.nodes[ident].edges
        if not isinstance(edges, tuple):
            return edges.up.get(place, 0)
        return sum(1 for edge in edges if edge.hi == ident and edge.low == place)

    def event_edges(self, ident: str) -> list[Edge]:
        """Return all event edges stored at an identifier."""
        return edges_of(self.nodes[ident])

    def tally(self, group: Group) -> dict[int, int]:
        """Return how many members a group has by the place of their kind."""
        if group.counts is not None:
            return group.counts
        counts: dict[int, int] = {}
        nodes = self.nodes
        for ident in group.members:
            place = nodes[ident].place
            counts[place] = counts.get(place, 0) + 1
        if len(group.members) > FEW:
            group.counts = counts
        return counts


def edge_with(node: Node, other: str) -> Edge | None:
    """Return the event edge stored at a node that joins it and another identifier."""
    edges = node.edges
    if isinstance(edges, tuple):
        for edge in edges:
            if edge.hi == other or edge.lo == other:
                return edge
        return None
    return edges.joined.get(other) or edges.rest.get(other) or edges.aside.get(other)


def edges_of(node: Node) -> list[Edge]:
    """Return all event edges stored at a node."""
    edges = node.edges
    if isinstance(edges, tuple):
        return list(edges)
    return [*edges.joined.values(), *edges.rest.values(), *edges.aside.values()]


def attach(node: Node, ident: str, edge: Edge) -> None:
    """Store an event edge at the node of one of its ends."""
    edges = node.edges
    if isinstance(edges, tuple):
        edges = (*edges, edge)
        node.edges = edges if len(edges) <= FEW else _many(ident, edges)
    else:
        _add(edges, ident, edge)


def _many(ident: str, edges: Iterable[Edge]) -> Many:
    many = Many({}, {}, {}, {})
    for edge in edges:
        _add(many, ident, edge)
    return many


def _add(many: Many, ident: str, edge: Edge) -> None:
    other = edge.lo if edge.hi == ident else edge.hi
    _shelf(many, edge.state)[other] = edge
    if edge.hi == ident and edge.low < edge.high:
        many.up[edge.low] = many.up.get(edge.low, 0) + 1


def _shelf(many: Many, state: int) -> dict[str, Edge]:
    if state == JOINED:
        return many.joined
    return many.aside if state == ASIDE else many.rest
