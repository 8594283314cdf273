"""What a stretch of evidence changed in a graph, as the former values, and the way back.

People are a function of the evidence. So the way back is to take the evidence of the stretch away and to join again
whom it touched: nobody else's group has changed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from identity.changes import Turn, settle
from identity.evidence import Command, Key
from identity.joining import Joiner
from identity.state import Edge, Node, Store

Pair = tuple[str, str]


class Former(NamedTuple):
    """An identifier as it was: its OneID and first sighting (None: unseen), and whether it had a part."""

    one_id: str | None
    first_ms: int | None
    first_id: str
    has_part: bool


class Journal:
    """The former values of what changed, None for what there was not: `nodes`, `edges` and `commands`.

    `nodes` holds all whose person may have changed. `hubs` are new, with the lower ends of the edges that lead up from
    them; `given` are OneIDs that are new.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Former | None] = {}
        self.edges: dict[Pair, Key | None] = {}
        self.commands: dict[Pair, Command | None] = {}
        self.hubs: dict[str, list[str]] = {}
        self.given: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.nodes or self.edges or self.commands)

    def add_person(self, idents: Sequence[str], edges: Iterable[Edge], one_id: str) -> None:
        """Note a person all of whose identifiers and edges are new."""
        for ident in idents:
            self.nodes.setdefault(ident, None)
        for edge in edges:
            self.edges.setdefault((edge.lo, edge.hi), None)
        self.given.append(one_id)

    def add(self, turn: Turn, nodes: dict[str, Node], created: str | None) -> None:
        """Note what one event or command changed; `created` is the identifier whose part is new."""
        former = self.nodes
        for ident in turn.named:
            former.setdefault(ident, None)
        for ident, first_ms, first_id in turn.sighted:
            if ident not in former:
                node = nodes[ident]
                one_id = None if first_ms is None else turn.before.get(ident, node.group.one_id)
                former[ident] = Former(one_id, first_ms, first_id, node.has_part and ident != created)
        for ident, one_id in turn.before.items():
            if ident not in former:
                node = nodes[ident]
                if node.first_ms is None:
                    one_id = None
                former[ident] = Former(one_id, node.first_ms, node.first_id, node.has_part and ident != created)
        if created is not None and created not in former:
            node = nodes[created]
            former[created] = Former(node.group.one_id, node.first_ms, node.first_id, False)
        for edge, key in turn.shown:
            self.edges.setdefault((edge.lo, edge.hi), key)
        for pair, command in turn.ordered:
            self.commands.setdefault(pair, command)
        for ident, others in turn.bared:
            self.hubs.setdefault(ident, others)
        self.given += turn.given


class News(NamedTuple):
    """What differs from where a journal began.

    `nodes`: identifier, OneID, first sighting (epoch milliseconds, event id), whether it has a part. `edges`: lower and
    higher identifier, the earliest (time, event id). `commands`: the pair and the latest command. `aliases`: OneIDs
    that are no longer a person's, with the identifier they are made of.
    """

    nodes: list[tuple[str, str, int, str, bool]]
    edges: list[tuple[str, str, int, str]]
    commands: list[tuple[str, str, Command]]
    aliases: list[tuple[str, str]]


def news(journal: Journal, store: Store, names: dict[str, str]) -> News:
    """Return what differs in a graph from where `journal` began."""
    nodes = store.nodes
    found = News([], [], [], [])
    former_ids: dict[str, None] = dict.fromkeys(journal.given)
    for ident, former in journal.nodes.items():
        node = nodes[ident]
        if former is not None and former.one_id is not None:
            former_ids[former.one_id] = None
        one_id, first_ms = node.group.one_id, node.first_ms
        if first_ms is None or one_id is None:
            continue  # only a steward named it
        now = Former(one_id, first_ms, node.first_id, node.has_part)
        if now != former:
            found.nodes.append((ident, one_id, first_ms, node.first_id, node.has_part))
    for (lo, hi), key in journal.edges.items():
        edge = store.find(lo, hi)
        if edge is not None and (edge.ms, edge.id) != key:
            found.edges.append((lo, hi, edge.ms, edge.id))
    for pair, before in journal.commands.items():
        command = store.commands[pair]
        if command != before:
            found.commands.append((*pair, command))
    for one_id in former_ids:
        ident = names[one_id]
        if nodes[ident].group.one_id != one_id:
            found.aliases.append((one_id, ident))
    return found


def undo(journal: Journal, store: Store, joiner: Joiner, names: dict[str, str], name: Callable[[str], str]) -> None:
    """Take a graph back to where `journal` began, the latest stretch of its life."""
    nodes = store.nodes
    ends = (end for pair in (*journal.edges, *journal.commands) for end in pair)
    touched = {id(nodes[ident].group): nodes[ident].group for ident in (*journal.nodes, *ends)}
    for (lo, hi), key in journal.edges.items():
        edge = store.find(lo, hi)
        if edge is None:
            raise AssertionError(f"an edge of the journal is not in the graph: {lo} {hi}")
        if key is None:
            store.drop(edge)
        else:
            store.replace(edge, Edge(lo, hi, edge.low, edge.high, *key, edge.rank, edge.state))
    for pair, command in journal.commands.items():
        joiner.recall(pair, command)
    store.uncover(journal.hubs)
    for ident, former in journal.nodes.items():
        if former is None:
            del nodes[ident]
        else:
            node = nodes[ident]
            node.first_ms, node.first_id, node.has_part = former.first_ms, former.first_id, former.has_part
    for group in touched.values():
        group.members = [ident for ident in group.members if ident in nodes]
    turn = Turn(0, "")
    joiner.rejoin((ident for group in touched.values() for ident in group.members), turn)
    for one_id in journal.given:
        del names[one_id]
    settle(turn, names, name)
