"""A whole graph as bytes and back, with what became of each edge, so that nothing is joined or named again.

It fits only a graph with the policy and the space it was made with; see `fingerprint`.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from identity.evidence import Command
from identity.policy import Policy
from identity.shortcuts import comes_last
from identity.state import ASIDE, FEW, LINK, STRONG, WEAK, Edge, Group, Node, Store

_FORMAT: Final = 1
_CHUNK: Final = 2_000
"""People in one piece: some hundred kilobytes."""

_PART: Final = 1
_HUB: Final = 2
_BITS: Final = 2


class _Member(msgspec.Struct, array_like=True, gc=False):
    """An identifier; `flags` holds the place of its kind above the bits for a part and a hub."""

    ident: str
    first_ms: int | None
    first_id: str
    flags: int


class _Inside(msgspec.Struct, array_like=True, gc=False):
    """An edge inside a group, its ends by number; `id` is None if its higher end was first seen with it."""

    lo: int
    hi: int
    ms: int
    id: str | None
    state: int


class _Across(msgspec.Struct, array_like=True, gc=False):
    """An edge between two groups."""

    lo: str
    hi: str
    ms: int
    id: str
    state: int


class _Group(msgspec.Struct, array_like=True, gc=False):
    """A group with the edges inside, in joining order; `oldest` is a member's number, -1: none was seen."""

    one_id: str | None
    oldest: int
    odd: bool
    members: list[_Member]
    edges: list[_Inside]


class _Order(msgspec.Struct, array_like=True, gc=False):
    """A steward's command; `state` is what became of a link."""

    lo: str
    hi: str
    kind: Literal["link", "unlink"]
    ms: int
    id: str
    state: int


class _Piece(msgspec.Struct, array_like=True):
    groups: list[_Group]
    across: list[_Across]
    orders: list[_Order]
    aliases: list[tuple[str, str]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Piece).decode


def fingerprint(policy: Policy, space: str) -> bytes:
    """Return what a snapshot depends on beside the evidence."""
    return _encode([_FORMAT, space, policy.kinds, policy.strong, policy.limit, policy.hub, policy.max_size])


def pieces(store: Store, names: dict[str, str]) -> Iterator[bytes]:
    """Yield a graph in pieces; all people come before what joins or names them."""
    nodes = store.nodes
    across: list[_Across] = []
    groups: list[_Group] = []
    for ident, node in nodes.items():
        if node.group.members[0] == ident:
            groups.append(_packed(store, node.group, across))
            if len(groups) == _CHUNK:
                yield _encode(_Piece(groups, [], [], []))
                groups = []
    yield _encode(_Piece(groups, [], [], []))
    orders = []
    for (lo, hi), (ms, event_id, kind) in store.commands.items():
        state = store.links[lo][hi].state if kind == "link" else 0
        orders.append(_Order(lo, hi, kind, ms, event_id, state))
    aliases = [(one_id, ident) for one_id, ident in names.items() if nodes[ident].group.one_id != one_id]
    yield from _chunks(across, lambda some: _Piece([], some, [], []))
    yield from _chunks(orders, lambda some: _Piece([], [], some, []))
    yield from _chunks(aliases, lambda some: _Piece([], [], [], some))


def restore(store: Store, names: dict[str, str], snapshot: Iterable[bytes]) -> None:
    """Make the records of an empty graph. Raises msgspec.MsgspecError or LookupError for what is no snapshot."""
    for data in snapshot:
        piece = _decode(data)
        for packed in piece.groups:
            _unpack(store, names, packed)
        for each in piece.across:
            edge = Edge(each.lo, each.hi, each.ms, each.id, _rank(store, each.lo, each.hi), each.state)
            store.put(edge)
            if edge.state != ASIDE:
                _stretch(store, edge)
        for order in piece.orders:
            _order(store, order)
        names.update(piece.aliases)


def _packed(store: Store, group: Group, across: list[_Across]) -> _Group:
    nodes = store.nodes
    number = {ident: place for place, ident in enumerate(group.members)}
    members = []
    edges = []
    for ident in group.members:
        node = nodes[ident]
        flags = node.place << _BITS | _PART * node.has_part | _HUB * node.hub
        members.append(_Member(ident, node.first_ms, node.first_id, flags))
        for edge in store.event_edges(ident):
            if edge.lo != ident:
                continue
            if edge.hi in number:
                edges.append(edge)
            else:
                across.append(_Across(edge.lo, edge.hi, edge.ms, edge.id, edge.state))
    if len(edges) > 1:
        edges.sort(key=store.place)
    inside = [
        _Inside(number[e.lo], number[e.hi], e.ms, None if e.id == nodes[e.hi].first_id else e.id, e.state)
        for e in edges
    ]
    oldest = -1 if group.oldest is None else number[group.oldest]
    return _Group(group.one_id, oldest, group.odd, members, inside)


def _unpack(store: Store, names: dict[str, str], packed: _Group) -> None:
    nodes, strong = store.nodes, store.policy.strong
    idents = [member.ident for member in packed.members]
    oldest = None if packed.oldest < 0 else idents[packed.oldest]
    group = Group(idents, packed.one_id, oldest, None, packed.odd, None)
    mine = []
    for member in packed.members:
        flags = member.flags
        node = Node(member.first_ms, member.first_id, (), group, flags >> _BITS, bool(flags & _PART), False)
        if flags & _HUB:
            node.hub = True
        nodes[member.ident] = node
        mine.append(node)
    if packed.one_id is not None and oldest is not None:
        names[packed.one_id] = oldest
    last = None
    for each in packed.edges:
        low, high = mine[each.lo], mine[each.hi]
        rank = STRONG if strong[low.place] and strong[high.place] else WEAK
        event_id = high.first_id if each.id is None else each.id
        edge = Edge(idents[each.lo], idents[each.hi], each.ms, event_id, rank, each.state)
        if edge.state != ASIDE:
            last = edge
        if type(low.edges) is tuple and type(high.edges) is tuple and len(low.edges) < FEW > len(high.edges):
            low.edges = (*low.edges, edge)
            if not high.hub:
                high.edges = (*high.edges, edge)
        else:
            store.put(edge)
    group.last = last


def _order(store: Store, order: _Order) -> None:
    lo, hi = order.lo, order.hi
    store.commands[lo, hi] = Command(order.ms, order.id, order.kind)
    if order.kind == "unlink":
        store.unlinked.setdefault(lo, {})[hi] = None
        store.unlinked.setdefault(hi, {})[lo] = None
        return
    edge = Edge(lo, hi, order.ms, order.id, LINK, order.state)
    store.links.setdefault(lo, {})[hi] = edge
    store.links.setdefault(hi, {})[lo] = edge
    _stretch(store, edge)


def _stretch(store: Store, edge: Edge) -> None:
    """Let the groups at an edge's ends know that it is no later than their last."""
    place = store.place(edge)
    for group in (store.nodes[edge.lo].group, store.nodes[edge.hi].group):
        if comes_last(store, group, place):
            group.last = edge


def _rank(store: Store, lo: str, hi: str) -> int:
    strong, nodes = store.policy.strong, store.nodes
    return STRONG if strong[nodes[lo].place] and strong[nodes[hi].place] else WEAK


def _chunks(rows: list[Any], piece: Any) -> Iterator[bytes]:
    for at in range(0, len(rows), _CHUNK):
        yield _encode(piece(rows[at : at + _CHUNK]))
