"""How one new piece of evidence changes the groups: short ways where nothing else can change, else a recomputation.

An edge that does not join changes no group. One that joins can only change decisions at later places. Nothing changes
there if it comes last for both groups, or if one of them adds to each kind no more than a plain limit allows in all
(see `identity.shortcuts`). In every other case the groups are joined again from the edge's place on.
"""

from collections.abc import Iterable

from identity.changes import Turn
from identity.evidence import Command
from identity.recompute import Block, Rejoining, decide, standing
from identity.shortcuts import adds_little, comes_last, is_light_leaf
from identity.state import (
    ASIDE,
    FEW,
    INSIDE,
    JOINED,
    LIMIT,
    LINK,
    NEW,
    START,
    Edge,
    Group,
    Node,
    Place,
    Store,
)


class Joiner:
    """Adds evidence to a store, keeping its groups as the rules have them for all evidence so far.

    `recomputed` counts the edges that recomputations looked at, a measure of the work done.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.recomputed = 0

    def see(self, ident: str, ms: int, event_id: str, turn: Turn) -> Node:
        """Add a sighting of an identifier; return its node."""
        node = self.store.nodes.get(ident)
        if node is None:
            node = self._name(ident, turn)
        elif node.first_ms is not None and (node.first_ms, node.first_id) <= (ms, event_id):
            return node
        if node.first_ms is None:
            turn.fresh.add(ident)
        turn.sighted.append((ident, node.first_ms, node.first_id))
        node.first_ms, node.first_id = ms, event_id
        group = node.group
        group.oldest = ident if group.oldest is None else self._older(group.oldest, ident)
        turn.renamed.append(group)
        return node

    def edge(self, a: str, b: str, ms: int, event_id: str, turn: Turn) -> None:
        """Add an edge between two identifiers that are seen; nothing happens unless it is new or earlier."""
        store = self.store
        lo, hi = self._pair(a, b)
        known = store.find(lo, hi)
        if known is not None and (known.ms, known.id) <= (ms, event_id):
            return
        low, high = store.nodes[lo], store.nodes[hi]
        edge = store.edge(lo, hi, ms, event_id)
        turn.shown.append((edge, None if known is None else (known.ms, known.id)))
        if known is not None:
            self._earlier(known, edge, turn)
            return
        if not high.hub and low.place < high.place:
            borne = store.policy.hub[high.place]
            if borne is not None and store.above(hi, low.place) >= borne:
                self._make_hub(hi, high, turn)
        if low.hub or high.hub:
            edge.state = ASIDE
            store.put(edge)
            return
        self._place(edge, turn)

    def command(self, a: str, b: str, command: Command, turn: Turn) -> None:
        """Add a steward's command on a pair; nothing happens unless it is the latest for it."""
        store = self.store
        for ident in (a, b):
            if ident not in store.nodes:
                self._name(ident, turn)
        pair = self._pair(a, b)
        former = store.commands.get(pair)
        if former is not None and former >= command:
            return
        turn.ordered.append((pair, former))
        store.commands[pair] = command
        if former is not None and former.kind == command.kind == "unlink":
            return
        lo, hi = pair
        groups = self._groups(lo, hi)
        if former is None and command.kind == "link":
            self._place(store.edge(lo, hi, command.time_ms, command.event_id, link=True), turn)
            return
        if former is not None and former.kind == "link":
            edge = store.links[lo].pop(hi)
            del store.links[hi][lo]
            turn.note(edge, edge.state)
        if command.kind == "unlink":
            self._forbid(lo, hi)
            if len(groups) == 2 and former is None and not any(group.odd for group in groups):
                return  # they are apart already, and no refusal between them could have another reason now
        else:
            if former is not None and former.kind == "unlink":
                self._forget_unlinked(lo, hi)
            self._put(store.edge(lo, hi, command.time_ms, command.event_id, link=True))
        self._rejoin(groups, START, turn)

    def recall(self, pair: tuple[str, str], former: Command | None) -> None:
        """Put the former command on a pair back; its people are to be rejoined."""
        store = self.store
        lo, hi = pair
        if store.commands.pop(pair).kind == "link":
            del store.links[lo][hi]
            del store.links[hi][lo]
        else:
            self._forget_unlinked(lo, hi)
        if former is None:
            return
        store.commands[pair] = former
        if former.kind == "link":
            self._put(store.edge(lo, hi, former.time_ms, former.event_id, link=True))
        else:
            self._forbid(lo, hi)

    def rejoin(self, idents: Iterable[str], turn: Turn) -> None:
        """Join the people of some identifiers again from the start."""
        nodes = self.store.nodes
        groups = {id(nodes[ident].group): nodes[ident].group for ident in idents}
        if groups:
            self._rejoin(list(groups.values()), START, turn)

    def _place(self, edge: Edge, turn: Turn) -> None:
        """Decide a new edge and store it."""
        store = self.store
        one, other = store.nodes[edge.lo].group, store.nodes[edge.hi].group
        place = store.place(edge)
        if comes_last(store, one, place) and comes_last(store, other, place):
            state = INSIDE
            if one is not other:
                few, most = (one, other) if len(one.members) <= len(other.members) else (other, one)
                state = decide(
                    store,
                    edge.rank,
                    (few.members, store.tally(few)),
                    (most.members, store.tally(most)),
                    lambda foe: store.nodes[foe].group is most,
                )
        elif one is not other and adds_little(store, one, other, place):
            state = JOINED
        else:
            state = self._decide_at(edge, place)
            if state == JOINED:
                self._put(edge)
                self._rejoin(self._groups(edge.lo, edge.hi), place, turn)
                return
        self._note_refusal(edge, NEW, state, turn)
        edge.state = state
        self._put(edge)
        for group in (one, other):
            if comes_last(store, group, place):
                group.last = edge
            group.odd |= state > LIMIT
        if state == JOINED:
            self._absorb(one, other, turn)

    def _earlier(self, known: Edge, edge: Edge, turn: Turn) -> None:
        """Put an edge where earlier evidence moves it to."""
        store = self.store
        edge.state = known.state
        if known.state == ASIDE or (known.state == JOINED and is_light_leaf(store, known)):
            store.replace(known, edge)
            return
        place = store.place(edge)
        state = self._decide_at(edge, place)
        if state == JOINED or (known.state == JOINED and state != INSIDE):
            edge.state = NEW
            turn.note(edge, known.state)
            groups = self._groups(edge.lo, edge.hi)
            store.replace(known, edge)
            self._rejoin(groups, place, turn)
            return
        self._note_refusal(edge, known.state, state, turn)
        edge.state = state
        store.replace(known, edge)
        for group in self._groups(edge.lo, edge.hi):
            group.odd |= state > LIMIT

    def _decide_at(self, edge: Edge, place: Place) -> int:
        """Return what becomes of an edge at its place, by the groups as they stand there."""
        one = standing(self.store, edge.lo, place)
        if edge.hi in one[0]:
            return INSIDE
        other = standing(self.store, edge.hi, place)
        members = other[0]
        return decide(self.store, edge.rank, one, other, lambda foe: foe in members)

    def _make_hub(self, ident: str, node: Node, turn: Turn) -> None:
        """Set all event edges of an identifier aside."""
        store = self.store
        turn.hubs.append(ident)
        turn.bared.append((ident, [edge.lo for edge in store.event_edges(ident) if edge.hi == ident]))
        node.hub = True
        active = [edge for edge in store.event_edges(ident) if edge.state != ASIDE]
        joined = [store.place(edge) for edge in active if edge.state == JOINED]
        for edge in active:
            store.mark(edge, ASIDE)
        kept = [edge for edge in store.event_edges(ident) if edge.lo == ident]
        if len(kept) <= FEW:
            node.edges = tuple(kept)
        if joined:
            self._rejoin([node.group], min(joined), turn)

    def _rejoin(self, groups: list[Group], start: Place, turn: Turn) -> None:
        """Join groups again from a place on and take over the result."""
        store = self.store
        rejoining = Rejoining(store, groups, start)
        rejoining.run()
        self.recomputed += len(rejoining.states)
        for group in rejoining.groups:
            for ident in group.members:
                turn.before.setdefault(ident, group.one_id)
            group.members = []
        for edge, state in rejoining.states:
            self._note_refusal(edge, edge.state, state, turn)
            store.mark(edge, state)
        for block in rejoining.blocks():
            self._adopt(block, turn)
        for edge, state in rejoining.states:
            if state > LIMIT:
                for group in self._groups(edge.lo, edge.hi):
                    group.odd = True

    def _adopt(self, block: Block, turn: Turn) -> None:
        nodes = self.store.nodes
        seen = [ident for ident in block.members if nodes[ident].first_ms is not None]
        oldest = min(seen, key=self._age) if seen else None
        group = Group(block.members, None, oldest, None if block.top is None else block.top[1], block.odd, None)
        if len(block.members) > FEW:
            group.counts = block.counts
        for ident in block.members:
            nodes[ident].group = group
        turn.renamed.append(group)

    def _absorb(self, one: Group, other: Group, turn: Turn) -> None:
        store = self.store
        big, small = (one, other) if len(one.members) >= len(other.members) else (other, one)
        former = small.one_id
        if big.counts is not None:
            for place, count in store.tally(small).items():
                big.counts[place] = big.counts.get(place, 0) + count
        for ident in small.members:
            turn.before.setdefault(ident, former)
            store.nodes[ident].group = big
        big.members += small.members
        small.members = []
        if small.oldest is not None:
            big.oldest = small.oldest if big.oldest is None else self._older(big.oldest, small.oldest)
        if small.last is not None and comes_last(store, big, store.place(small.last)):
            big.last = small.last
        big.odd |= small.odd
        turn.renamed.append(big)

    def _note_refusal(self, edge: Edge, former: int, state: int, turn: Turn) -> None:
        if former >= LIMIT or state >= LIMIT:
            turn.note(edge, former)

    def _put(self, edge: Edge) -> None:
        if edge.rank != LINK:
            self.store.put(edge)
            return
        self.store.links.setdefault(edge.lo, {})[edge.hi] = edge
        self.store.links.setdefault(edge.hi, {})[edge.lo] = edge

    def _forbid(self, lo: str, hi: str) -> None:
        self.store.unlinked.setdefault(lo, {})[hi] = None
        self.store.unlinked.setdefault(hi, {})[lo] = None

    def _forget_unlinked(self, lo: str, hi: str) -> None:
        unlinked = self.store.unlinked
        for ident, other in ((lo, hi), (hi, lo)):
            del unlinked[ident][other]
            if not unlinked[ident]:
                del unlinked[ident]

    def _name(self, ident: str, turn: Turn) -> Node:
        place = self.store.policy.place[ident.partition(":")[0]]
        node = Node(None, "", (), Group([ident], None, None, None, False, None), place, False, False)
        self.store.nodes[ident] = node
        turn.named.append(ident)
        return node

    def _groups(self, a: str, b: str) -> list[Group]:
        one, other = self.store.nodes[a].group, self.store.nodes[b].group
        return [one] if one is other else [one, other]

    def _pair(self, a: str, b: str) -> tuple[str, str]:
        nodes = self.store.nodes
        return (a, b) if (nodes[a].place, a) <= (nodes[b].place, b) else (b, a)

    def _age(self, ident: str) -> tuple[int, str, int, str]:
        node = self.store.nodes[ident]
        return node.first_ms or 0, node.first_id, node.place, ident

    def _older(self, a: str, b: str) -> str:
        return a if self._age(a) <= self._age(b) else b
