"""A person as bytes and back: a group with all its evidence, and what became of each edge, so that nothing is joined
or named again.

An edge between two groups is packed with both. It is one record in memory as soon as both are there.
"""

from typing import Final

import msgspec

from identity.evidence import Command
from identity.policy import Policy
from identity.shortcuts import comes_last
from identity.state import ASIDE, LINK, Edge, Group, Node, Store, attach, edge_with, edges_of

_FORMAT: Final = 2

_PART: Final = 1
_HUB: Final = 2
_BITS: Final = 2

_UNLINK: Final = -1


class _Member(msgspec.Struct, array_like=True, gc=False):
    """An identifier; `flags` holds the place of its kind above the bits for a part and a hub."""

    ident: str
    first_ms: int | None
    first_id: str
    flags: int


class _Inside(msgspec.Struct, array_like=True, gc=False):
    """An event edge inside a group, its ends by number; `id` is None if its higher end was first seen with it."""

    lo: int
    hi: int
    ms: int
    id: str | None
    state: int


class _Across(msgspec.Struct, array_like=True, gc=False):
    """An event edge of a member, by number, with an identifier of another group."""

    mine: int
    other: str
    ms: int
    id: str
    state: int


class _Order(msgspec.Struct, array_like=True, gc=False):
    """A steward's command on a member, by number, and another identifier; `state`: of a link, or -1 for an unlink."""

    mine: int
    other: str
    ms: int
    id: str
    state: int


class _Group(msgspec.Struct, array_like=True, gc=False):
    """A group; `oldest` is a member's number, -1: none was seen."""

    one_id: str | None
    oldest: int
    odd: bool
    members: list[_Member]
    inside: list[_Inside]
    across: list[_Across]
    orders: list[_Order]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Group).decode


def fingerprint(policy: Policy, space: str) -> bytes:
    """Return what packed people depend on beside the evidence."""
    return _encode([_FORMAT, space, policy.kinds, policy.strong, policy.limit, policy.hub, policy.max_size])


def pack(store: Store, group: Group) -> bytes:
    """Return a group as bytes. Nobody else is looked at."""
    nodes = store.nodes
    members = group.members
    number = {ident: place for place, ident in enumerate(members)}
    packed = _Group(group.one_id, -1 if group.oldest is None else number[group.oldest], group.odd, [], [], [], [])
    for mine, ident in enumerate(members):
        node = nodes[ident]
        flags = node.place << _BITS | _PART * node.has_part | _HUB * node.hub
        packed.members.append(_Member(ident, node.first_ms, node.first_id, flags))
        for edge in node.edges if type(node.edges) is tuple else edges_of(node):
            if edge.lo != ident:
                if edge.lo not in number:
                    packed.across.append(_Across(mine, edge.lo, edge.ms, edge.id, edge.state))
            elif edge.hi in number:
                event_id = None if edge.id == nodes[edge.hi].first_id else edge.id
                packed.inside.append(_Inside(mine, number[edge.hi], edge.ms, event_id, edge.state))
            else:
                packed.across.append(_Across(mine, edge.hi, edge.ms, edge.id, edge.state))
    if store.links or store.unlinked:
        _pack_orders(store, number, packed.orders)
    return _encode(packed)


def unpack(store: Store, data: bytes) -> Group:
    """Make the records of a packed group, none of whose identifiers has any, and return it.

    Raises msgspec.MsgspecError or LookupError for what is no packed group.
    """
    packed = _decode(data)
    nodes = store.nodes
    idents = [member.ident for member in packed.members]
    oldest = None if packed.oldest < 0 else idents[packed.oldest]
    group = Group(idents, packed.one_id, oldest, None, packed.odd, None, len(idents))
    mine = []
    for member in packed.members:
        flags = member.flags
        node = Node(
            member.first_ms, member.first_id, (), group, flags >> _BITS, bool(flags & _PART), bool(flags & _HUB)
        )
        nodes[member.ident] = node
        mine.append(node)
    for each in packed.inside:
        lo, hi = idents[each.lo], idents[each.hi]
        low, high = mine[each.lo], mine[each.hi]
        event_id = high.first_id if each.id is None else each.id
        rank = store.rank(low.place, high.place)
        edge = Edge(lo, hi, low.place, high.place, each.ms, event_id, rank, each.state)
        attach(low, lo, edge)
        if not high.hub:
            attach(high, hi, edge)
        _reach(store, group, edge)
    for there in packed.across:
        ident, node = idents[there.mine], mine[there.mine]
        far = store.resident(there.other)
        edge = (far and edge_with(far, ident)) or _across(store, ident, node.place, there)
        attach(node, ident, edge)
        _reach(store, group, edge)
    for order in packed.orders:
        _obey(store, group, idents[order.mine], order)
    return group


def _pack_orders(store: Store, number: dict[str, int], orders: list[_Order]) -> None:
    for ident, mine in number.items():
        for other, edge in store.links.get(ident, {}).items():
            if other not in number or edge.lo == ident:
                orders.append(_Order(mine, other, edge.ms, edge.id, edge.state))
        for other in store.unlinked.get(ident, ()):
            pair = store.policy.ordered(ident, other)
            if other not in number or pair[0] == ident:
                command = store.commands[pair]
                orders.append(_Order(mine, other, command.time_ms, command.event_id, _UNLINK))


def _across(store: Store, ident: str, place: int, row: _Across | _Order, *, link: bool = False) -> Edge:
    """Return a new record of an edge between a member and an identifier that has none of it."""
    there = store.policy.place[row.other.partition(":")[0]]
    rank = LINK if link else store.rank(place, there)
    if (place, ident) <= (there, row.other):
        return Edge(ident, row.other, place, there, row.ms, row.id, rank, row.state)
    return Edge(row.other, ident, there, place, row.ms, row.id, rank, row.state)


def _obey(store: Store, group: Group, ident: str, order: _Order) -> None:
    """Make the records of a command."""
    other = order.other
    node, there = store.nodes[ident], store.resident(other)
    inside = there is not None and there.group is group
    pair = store.policy.ordered(ident, other)
    if order.state == _UNLINK:
        store.commands[pair] = Command(order.ms, order.id, "unlink")
        store.unlinked.setdefault(ident, {})[other] = None
        if inside:
            store.unlinked.setdefault(other, {})[ident] = None
        return
    store.commands[pair] = Command(order.ms, order.id, "link")
    edge = store.links.get(other, {}).get(ident)
    if edge is None:
        edge = _across(store, ident, node.place, order, link=True)
    store.links.setdefault(ident, {})[other] = edge
    if inside:
        store.links.setdefault(other, {})[ident] = edge
    _reach(store, group, edge)


def _reach(store: Store, group: Group, edge: Edge) -> None:
    """Let a group know that an edge of its own is no later than its last."""
    if edge.state != ASIDE and comes_last(store, group, store.place(edge)):
        group.last = edge
