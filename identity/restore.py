"""A graph from evidence that was worked off before."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from identity.changes import Turn, settle
from identity.evidence import Command
from identity.joining import Joiner
from identity.state import Store
from schemas.errors import StateError


class Stored(NamedTuple):
    """Evidence with what else a graph must remember; see `Graph.restore`."""

    seen: Iterable[tuple[str, int, str, bool]]
    edges: Iterable[tuple[str, str, int, str]]
    commands: Iterable[tuple[str, str, Command]]
    aliases: Iterable[tuple[str, str]]


def restore(store: Store, joiner: Joiner, names: dict[str, str], name: Callable[[str], str], stored: Stored) -> None:
    """Add `stored` to a graph as one piece of evidence, so that only OneIDs that there were are remembered."""
    turn = Turn(0, "")
    kinds = store.policy.place
    for ident, ms, event_id, has_part in stored.seen:
        if ident.partition(":")[0] not in kinds:
            raise StateError(f"the graph has an identifier of a kind that the settings do not declare: {ident}")
        joiner.see(ident, ms, event_id, turn).has_part |= has_part
    for a, b, command in stored.commands:
        joiner.command(a, b, command, turn)
    nodes = store.nodes
    strong = store.policy.strong
    found = []
    for a, b, ms, event_id in stored.edges:
        if a not in nodes or b not in nodes or nodes[a].first_ms is None or nodes[b].first_ms is None:
            raise StateError(f"the graph has an edge between identifiers of which one was never seen: {a} {b}")
        weak = not (strong[nodes[a].place] and strong[nodes[b].place])
        found.append((weak, ms, event_id, nodes[a].place, a, nodes[b].place, b))
    found.sort()  # in the order of joining hardly anything is joined again
    for _, ms, event_id, _, a, _, b in found:
        joiner.edge(a, b, ms, event_id, turn)
    settle(store, turn, names, name)
    names.update(stored.aliases)
