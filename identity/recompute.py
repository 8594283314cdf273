"""Joining done again, for as few groups as a change can reach.

Whether an edge joins depends only on the two groups at its ends as they stand at its place in the joining order. So
after a change at some place only the groups it touches are joined again, from that place on. Edges that lead out of
them were refused; each is asked again against the far group as that stood at the edge's place. If one would join now,
the far group is drawn in from there on, and only then: groups that are connected by refused edges stay apart.
"""

from collections.abc import Callable, Collection
from heapq import heapify, heappop, heappush

from identity.state import INSIDE, JOINED, LIMIT, LINK, SIZE, UNLINKED, Edge, Group, Place, Store


class Block:
    """A group as it stands at one place in the joining order."""

    __slots__ = ("counts", "members", "odd", "top")

    def __init__(self) -> None:
        self.members: list[str] = []
        self.counts: dict[int, int] = {}
        self.top: tuple[Place, Edge] | None = None
        self.odd = False


def decide(
    store: Store,
    rank: int,
    one: tuple[Collection[str], dict[int, int]],
    other: tuple[Collection[str], dict[int, int]],
    in_other: Callable[[str], bool],
) -> int:
    """Return what becomes of an edge of this rank between two groups: JOINED, LIMIT, UNLINKED or SIZE.

    A group is given by members and counts; `in_other` tells whether an identifier is in the second. As no kind is
    allowed less than what either group has, only kinds that both have can be too many.
    """
    policy = store.policy
    if rank != LINK:
        few, most = (one[1], other[1]) if len(one[1]) <= len(other[1]) else (other[1], one[1])
        times = max(1, few.get(0, 0) + most.get(0, 0))
        for place, count in few.items():
            had = most.get(place, 0)
            if had and had + count > policy.limit[place] * (times if place else 1):
                return LIMIT
    if store.unlinked:
        for ident in one[0]:
            for foe in store.unlinked.get(ident, ()):
                if in_other(foe):
                    return UNLINKED
    if len(one[0]) + len(other[0]) > policy.max_size:
        return SIZE
    return JOINED


def standing(store: Store, ident: str, place: Place) -> tuple[dict[str, None], dict[int, int]]:
    """Return the members and counts of an identifier's group as it stood just before `place`."""
    members = {ident: None}
    todo = [ident]
    counts: dict[int, int] = {}
    while todo:
        here = todo.pop()
        kind = store.nodes[here].place
        counts[kind] = counts.get(kind, 0) + 1
        for edge in store.joined(here):
            there = edge.hi if edge.lo == here else edge.lo
            if there not in members and store.place(edge) < place:
                members[there] = None
                todo.append(there)
    return members, counts


class Rejoining:
    """One recomputation: `run`, then read `blocks` and `states`; the store is only read."""

    def __init__(self, store: Store, groups: list[Group], start: Place) -> None:
        self.store = store
        self.groups: list[Group] = []
        self.block_of: dict[str, Block] = {}
        self.states: list[tuple[Edge, int]] = []
        self._agenda: list[tuple[Place, Edge]] = []
        self._known: set[Place] = set()
        for group in groups:
            self._agenda += self._draw_in(group, start)
        heapify(self._agenda)

    def run(self) -> None:
        """Take the edges in order."""
        while self._agenda:
            place, edge = heappop(self._agenda)
            self.states.append((edge, self._take(edge, place)))

    def blocks(self) -> list[Block]:
        """Return the groups as they are now."""
        return list({id(block): block for block in self.block_of.values()}.values())

    def _draw_in(self, group: Group, start: Place) -> list[tuple[Place, Edge]]:
        """Bring in a group as it stood at `start`; return its edges from there on that are not known yet."""
        store, block_of = self.store, self.block_of
        self.groups.append(group)
        later = []
        ties = []
        for ident in group.members:
            block = block_of[ident] = Block()
            block.members.append(ident)
            block.counts[store.nodes[ident].place] = 1
            for edge in store.active(ident):
                place = store.place(edge)
                if block.top is None or block.top[0] < place:
                    block.top = (place, edge)
                if place < start:
                    block.odd |= edge.state > LIMIT
                    if edge.state == JOINED and edge.lo == ident:
                        ties.append(edge)
                elif place not in self._known:
                    self._known.add(place)
                    later.append((place, edge))
        for edge in ties:
            self._unite(block_of[edge.lo], block_of[edge.hi])
        return later

    def _take(self, edge: Edge, place: Place) -> int:
        store = self.store
        block_of = self.block_of
        one = block_of.get(edge.lo)
        other = block_of.get(edge.hi)
        if one is not None and other is not None:
            if one is other:
                return INSIDE
            if len(one.members) > len(other.members):
                one, other = other, one
            state = decide(
                store,
                edge.rank,
                (one.members, one.counts),
                (other.members, other.counts),
                lambda foe: block_of.get(foe) is other,
            )
            if state == JOINED:
                self._unite(one, other)
            else:
                one.odd |= state > LIMIT
                other.odd |= state > LIMIT
            return state
        here, far = (one, edge.hi) if one is not None else (other, edge.lo)
        if here is None:
            raise AssertionError(f"an edge with no end in the recomputation: {edge.lo} {edge.hi}")
        members, counts = standing(store, far, place)
        state = decide(
            store, edge.rank, (members, counts), (here.members, here.counts), lambda foe: block_of.get(foe) is here
        )
        if state == JOINED:
            for item in self._draw_in(store.nodes[far].group, place):
                heappush(self._agenda, item)
            self._unite(here, block_of[far])
        else:
            here.odd |= state > LIMIT
        return state

    def _unite(self, one: Block, other: Block) -> None:
        if one is other:
            return
        big, small = (one, other) if len(one.members) >= len(other.members) else (other, one)
        big.members += small.members
        for ident in small.members:
            self.block_of[ident] = big
        for place, count in small.counts.items():
            big.counts[place] = big.counts.get(place, 0) + count
        big.odd |= small.odd
        if big.top is None or (small.top is not None and big.top[0] < small.top[0]):
            big.top = small.top
