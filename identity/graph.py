"""The identity graph: people kept up to date event by event, equal after each to `identity.cluster` of all so far."""

from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from identity.archive import Archive, Shelf, records_of
from identity.changes import Move, Resolution, Turn, changes, moves, settle
from identity.evidence import LINKED, UNLINKED, Command, Key, Row
from identity.joining import Joiner
from identity.journal import Journal, News, news, undo
from identity.oneid import namer
from identity.policy import Policy
from identity.restore import Builder, Stored, add
from identity.state import JOINED, REASON, STRONG, WEAK, Edge, Group, Node, Store
from schemas.errors import StateError
from schemas.event import Event, Link


class Refused(NamedTuple):
    """Evidence that joins nothing: a link or an edge `strong` or `weak`, its pair, and limit, unlinked or size."""

    strength: str
    lo: str
    hi: str
    time_ms: int
    event_id: str
    reason: str


class Graph:
    """Identifiers, the evidence that joins them, and who they are, in one identity space.

    With a `shelf`, about `most` identifiers are in memory and all others lie there; see `archive`. What is said of all
    people (`people`, `hubs`, `refused`, `evidence`, the length) then brings everybody into memory.
    """

    def __init__(self, policy: Policy, space: str = "default", shelf: Shelf | None = None, most: int = 0) -> None:
        self.policy = policy
        self.archive = None if shelf is None else Archive(policy, shelf, most)
        self._store = Store(policy) if self.archive is None else self.archive.store
        self._nodes = self._store.nodes
        self._joiner = Joiner(self._store)
        self._name = namer(space)
        self._names: dict[str, str] = {} if self.archive is None else self.archive.names
        self._journal: Journal | None = None

    def __len__(self) -> int:
        """Return how many identifiers evidence has named."""
        self._bring_all()
        return len(self._nodes)

    @property
    def recomputed(self) -> int:
        """How many edges recomputations have looked at so far."""
        return self._joiner.recomputed

    def lookup(self, event: Event) -> str | None:
        """Return the OneID of i1 if nothing in the event is news, None if `observe` must see it.

        Nothing is news if i1 has a part, every edge (i1, ik) is known, and the event is not earlier than any of these
        edges (so nor than the first sighting of their ends) nor, with one identifier, than its first sighting.
        """
        idents = event.idents
        if not idents:
            return None
        nodes = self._nodes
        first = idents[0]
        node = nodes.get(first)
        if node is None or not node.has_part:
            return None
        ms = event.time_ms
        if len(idents) == 1:
            seen = node.first_ms
            if seen is None or ms < seen or (ms == seen and event.id < node.first_id):
                return None
            return node.group.one_id
        edges = node.edges
        few = edges if isinstance(edges, tuple) else ()
        for other in idents[1:]:
            edge: Edge | None = None
            for candidate in few:
                if candidate.hi == other or candidate.lo == other:
                    edge = candidate
                    break
            if edge is None:
                edge = self._store.find(first, other) or self._store.find(other, first)
                if edge is None:
                    return None
            if ms < edge.ms or (ms == edge.ms and event.id < edge.id):
                return None
        return node.group.one_id

    def observe(self, event: Event) -> Resolution:
        """Add the evidence of an event, or a steward's command; return i1's OneID, the moved parts and the changes."""
        ms, event_id = event.time_ms, event.id
        data = event.data
        if isinstance(data, Link) and event.type in (LINKED, UNLINKED):
            turn = Turn(ms, event_id)
            command = Command(ms, event_id, "link" if event.type == LINKED else "unlink")
            self._joiner.command(data.a, data.b, command, turn)
            return self._finish(turn, None, None)
        idents = event.idents
        first = idents[0]
        if self._knows_none(idents) and self._is_plain(idents):
            return self._new_person(idents, ms, event_id)
        turn = Turn(ms, event_id)
        joiner = self._joiner
        try:
            for ident in idents:
                joiner.see(ident, ms, event_id, turn)
            for ident in idents[1:]:
                joiner.edge(first, ident, ms, event_id, turn)
        except BaseException:
            self._note(turn, None)  # what was added so far can be taken back
            raise
        node = self._nodes[first]
        created = None if node.has_part else first
        node.has_part = True
        return self._finish(turn, first, created)

    def keep(self, journal: Journal | None) -> None:
        """Note in `journal` from now on what evidence changes, or nowhere."""
        self._journal = journal

    def news(self, journal: Journal) -> News:
        """Return what differs from where `journal` began."""
        return news(journal, self._store, self._names)

    def undo(self, journal: Journal) -> None:
        """Go back to where `journal` began; nothing may have been added since that is not in it."""
        undo(journal, self._store, self._joiner, self._names, self._name)

    def restore(
        self,
        seen: Iterable[tuple[str, int, str, bool]],
        edges: Iterable[tuple[str, str, int, str]],
        commands: Iterable[tuple[str, str, Command]],
        aliases: Iterable[tuple[str, str]],
    ) -> None:
        """Take in evidence that was worked off elsewhere, in any order.

        `seen`: identifier, first sighting (epoch milliseconds, event id), whether it has a part. `edges`: two
        identifiers that are seen, the earliest (time, event id). `commands`: two identifiers, the latest command.
        `aliases`: former OneIDs with the identifier they are made of. Raises StateError for an identifier of an
        undeclared kind, or an edge with an end that is not seen.
        """
        stored = Stored(seen, edges, commands, aliases)
        empty = not self._nodes if self.archive is None else self.archive.empty
        if not empty:
            self._add(stored, self._names)
            return
        Builder(self._store, self._names, self._name).build(stored)
        if self.archive is not None:
            self.archive.note_all(self._nodes)

    def add(
        self,
        seen: Iterable[tuple[str, int, str, bool]],
        edges: Iterable[tuple[str, str, int, str]],
        commands: Iterable[tuple[str, str, Command]],
    ) -> dict[str, str | None]:
        """Take in a share of the evidence that `restore` would, without remembering the OneIDs that come of it.

        Return the former OneID of everybody whose group changed: to be confirmed once all shares are in.
        """
        return self._add(Stored(seen, edges, commands, ()), {})

    def confirm(self, ident: str, one_id: str) -> None:
        """Remember a OneID that an identifier's person is known to have. Raises StateError if it has another."""
        node = self._nodes.get(ident)
        group = None if node is None or node.first_ms is None else node.group
        if group is None or group.one_id != one_id or group.oldest is None:
            found = None if group is None else group.one_id
            raise StateError(
                f"the graph that was stored has {ident} as person {one_id}, the evidence gives {found}: "
                "set identity and space as they were when it was built, or start anew with another kafka.prefix"
            )
        self._names[one_id] = group.oldest

    def remember(self, one_id: str, ident: str) -> None:
        """Remember the identifier that a former OneID is made of."""
        self._names[one_id] = ident

    def records(
        self,
        seen: Iterable[tuple[str, int, str, bool]],
        edges: Iterable[tuple[str, str, int, str]],
        one_ids: Container[str],
    ) -> tuple[dict[bytes, bytes], dict[str, str | None]]:
        """Return what the shelf has of some people by the evidence within each of them, and whose each identifier is.

        Of the OneIDs that come of it only those in `one_ids` are remembered. These people do not become part of the
        graph. Arguments and errors are else those of `restore`.
        """
        store = Store(self.policy)
        names: dict[str, str] = {}
        Builder(store, names, self._name).build(Stored(seen, edges, (), ()))
        groups = [node.group for ident, node in store.nodes.items() if node.group.members[0] == ident]
        known = {one_id: ident for one_id, ident in names.items() if one_id in one_ids}
        return records_of(store, groups, known), {ident: node.group.one_id for ident, node in store.nodes.items()}

    def one_id(self, ident: str) -> str | None:
        """Return the OneID of an identifier's person, None if no event has shown it."""
        node = self._nodes.get(ident)
        return None if node is None or node.first_ms is None else node.group.one_id

    def members(self, one_id: str) -> list[str]:
        """Return a person's identifiers in order; none for a OneID that is not of a person now (see `follow`)."""
        oldest = self._names.get(one_id)
        if oldest is None:
            return []
        group = self._nodes[oldest].group
        return self._seen(group) if group.one_id == one_id else []

    def oldest(self, one_id: str) -> str:
        """Return the identifier a OneID is made of, the person's oldest. Raises KeyError if there never was one."""
        return self._names[one_id]

    def follow(self, one_id: str) -> str | None:
        """Return the OneID of the person a OneID, perhaps a former one, means now; None if there never was one."""
        oldest = self._names.get(one_id)
        return None if oldest is None else self._nodes[oldest].group.one_id

    def people(self) -> Iterator[tuple[str, list[str]]]:
        """Yield every person, (OneID, identifiers in order), by OneID."""
        self._bring_all()
        groups = {node.group.one_id: node.group for node in self._nodes.values()}
        for one_id in sorted(one_id for one_id in groups if one_id is not None):
            yield one_id, self._seen(groups[one_id])

    def first_seen(self, ident: str) -> Key | None:
        """Return the earliest (time in epoch milliseconds, event id) that showed an identifier."""
        node = self._nodes.get(ident)
        return None if node is None or node.first_ms is None else (node.first_ms, node.first_id)

    def has_part(self, ident: str) -> bool:
        """Return whether an identifier was i1 of an event."""
        node = self._nodes.get(ident)
        return node is not None and node.has_part

    def is_hub(self, ident: str) -> bool:
        """Return whether an identifier is a hub."""
        node = self._nodes.get(ident)
        return node is not None and node.hub

    def hubs(self) -> list[str]:
        """Return all hubs in order."""
        return [ident for ident in self._in_order() if self._nodes[ident].hub]

    def refused(self) -> Iterator[Refused]:
        """Yield the refused evidence with its reasons, by lower and higher identifier."""
        for ident in self._in_order():
            found = [edge for edge in self._store.refused(ident) if edge.lo == ident]
            for edge in sorted(found, key=self._store.place):
                strength = {STRONG: "strong", WEAK: "weak"}.get(edge.rank, "link")
                yield Refused(strength, edge.lo, edge.hi, edge.ms, edge.id, REASON[edge.state])

    def evidence(self) -> Iterator[Row]:
        """Yield all evidence in plain form, in an order that depends on the evidence alone.

        All first sightings and commands are among it, so `identity.cluster` of it gives the same people.
        """
        order = self._in_order()
        for ident in order:
            node = self._nodes[ident]
            if node.first_ms is not None:
                yield Row("seen", ident, None, node.first_ms, node.first_id)
        for ident in order:
            found = [edge for edge in self._store.event_edges(ident) if edge.lo == ident]
            found.sort(key=lambda edge: (self._nodes[edge.hi].place, edge.hi))
            for edge in found:
                yield Row("edge", edge.lo, edge.hi, edge.ms, edge.id)
        for pair in sorted(self._store.commands, key=lambda pair: (self._rank(pair[0]), self._rank(pair[1]))):
            command = self._store.commands[pair]
            yield Row(command.kind, *pair, command.time_ms, command.event_id)

    def _add(self, stored: Stored, names: dict[str, str]) -> dict[str, str | None]:
        touched, before = add(self._store, self._joiner, names, self._name, stored)
        if self.archive is not None:
            self.archive.note_all(touched)
        return before

    def _finish(self, turn: Turn, first: str | None, created: str | None) -> Resolution:
        store = self._store
        if turn.renamed:
            settle(turn, self._names, self._name)
        self._note(turn, created)
        one_id = None if first is None else self._nodes[first].group.one_id
        regrouped = any(turn.before.values())
        found = moves(store, turn, created) if regrouped or created is not None else []
        news = changes(store, turn, self._names) if regrouped or turn.edges or turn.hubs else []
        return Resolution(one_id, found, news)

    def _note(self, turn: Turn, created: str | None) -> None:
        if self._journal is not None:
            self._journal.add(turn, self._nodes, created)

    def _knows_none(self, idents: tuple[str, ...]) -> bool:
        if self.archive is not None:
            return self.archive.knows_none(idents)
        return not any(map(self._nodes.__contains__, idents))

    def _is_plain(self, idents: tuple[str, ...]) -> bool:
        """Return whether an event's identifiers, all new, join whatever the order: one of each kind, and not many."""
        kinds = {ident.partition(":")[0] for ident in idents}
        return len(kinds) == len(idents) <= min(self.policy.max_size, 8)

    def _new_person(self, idents: tuple[str, ...], ms: int, event_id: str) -> Resolution:
        """Make the person of an event that shows only new identifiers, at most one of each kind."""
        policy = self.policy
        first = idents[0]
        places = [policy.place[ident.partition(":")[0]] for ident in idents]
        one_id = self._name(first)
        self._names[one_id] = first
        group = Group(list(idents), one_id, first, None, False, None)
        edges = []
        strong = policy.strong
        for ident, place in zip(idents[1:], places[1:], strict=True):
            rank = STRONG if strong[places[0]] and strong[place] else WEAK
            edge = Edge(first, ident, places[0], place, ms, event_id, rank, JOINED)
            edges.append(edge)
            self._nodes[ident] = Node(ms, event_id, (edge,), group, place, False, False)
            if group.last is None or group.last.rank <= edge.rank:
                group.last = edge
        self._nodes[first] = Node(ms, event_id, tuple(edges), group, places[0], True, False)
        if self._journal is not None:
            self._journal.add_person(idents, edges, one_id)
        return Resolution(one_id, [Move(first, None, one_id)], [])

    def _bring_all(self) -> None:
        if self.archive is not None:
            self.archive.bring_all()

    def _in_order(self) -> list[str]:
        self._bring_all()
        by_place: list[list[str]] = [[] for _ in self.policy.kinds]
        for ident, node in self._nodes.items():
            by_place[node.place].append(ident)
        return [ident for idents in by_place for ident in sorted(idents)]

    def _rank(self, ident: str) -> tuple[int, str]:
        return self._nodes[ident].place, ident

    def _seen(self, group: Group) -> list[str]:
        found = [ident for ident in group.members if self._nodes[ident].first_ms is not None]
        return sorted(found, key=self._rank)
