"""When new evidence changes no decision but its own, so that nothing need be joined again."""

from identity.state import FEW, Edge, Group, Place, Store


def comes_last(store: Store, group: Group, place: Place) -> bool:
    """Return whether a place comes after all active edges of a group."""
    return group.last is None or store.place(group.last) < place


def adds_little(store: Store, one: Group, other: Group, place: Place) -> bool:
    """Return whether joining the two at any place changes no other decision.

    So it is if one of them, the lighter, has no value of the first kind, and the two together have of each of its
    kinds no more than the plain limit: then these kinds refuse nothing inside, no other kind's count or allowance
    changes there, and what a limit refused to a group that leads out stays refused when that group grows. That
    last step needs the heavier to bring no value of the first kind to edges that lead out of the lighter.
    """
    if one.odd or other.odd or len(one.members) + len(other.members) > store.policy.max_size:
        return False
    heavy, light = one, other
    if 0 in store.tally(light) or (0 not in store.tally(heavy) and len(light.members) > len(heavy.members)):
        heavy, light = light, heavy
    counts, had = store.tally(light), store.tally(heavy)
    if 0 in counts:
        return False
    for kind, count in counts.items():
        if count + had.get(kind, 0) > store.policy.limit[kind]:
            return False
    if 0 in had and not comes_last(store, light, place) and _leads_out(store, light):
        return False
    if store.unlinked:
        for ident in light.members:
            for foe in store.unlinked.get(ident, ()):
                if store.nodes[foe].group is heavy:
                    return False
    return True


def _leads_out(store: Store, group: Group) -> bool:
    """Return whether refused edges may lead out of a group; too many to look at count as such."""
    if len(group.members) > FEW:
        return True
    nodes = store.nodes
    for ident in group.members:
        if type(nodes[ident].edges) is not tuple or any(True for _ in store.refused(ident)):
            return True
    return False


def is_light_leaf(store: Store, edge: Edge) -> bool:
    """Return whether an edge is all that holds one identifier, whose kind is far from its limit, to its group."""
    for ident in (edge.hi, edge.lo):
        node = store.nodes[ident]
        group = node.group
        if (
            node.place != 0
            and type(node.edges) is tuple
            and not group.odd
            and sum(1 for _ in store.active(ident)) == 1
            and store.tally(group)[node.place] <= store.policy.limit[node.place]
        ):
            return True
    return False
