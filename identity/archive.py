"""Which people of a graph are in memory: those lately looked at. All others lie on a shelf, packed.

A person comes whole or not at all. Whoever asks for an identifier that is not in memory gets its person brought in,
without noticing; so what the rules do is the same as if everybody were there. What changed is filed as one batch, so
that the shelf always shows one moment of the graph; only then may people leave memory again.

| key on the shelf | value |
|---|---|
| an identifier, the first of its group | the packed group (`identity.packing`) |
| another identifier of the group | NUL and the first one |
| NUL and a OneID that ever was | the identifier it is made of |
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

import msgspec

from identity.journal import Journal
from identity.packing import pack, unpack
from identity.policy import Policy
from identity.state import Group, Node, Store
from schemas.errors import StateError

_MARK: Final = b"\0"
_SHARE: Final = 16
"""When there are too many, so many more than needed leave: one in this many."""


class Shelf(Protocol):
    """Where the records lie."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys, None for those there are none of."""

    def condemn(self, why: str) -> Exception:
        """See to it that what contradicts itself is not used again; return the error to be raised."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield all keys but those that are not the archive's."""


class _Nodes(dict[str, Node]):
    """The nodes in memory, which brings in whoever is asked for; what plain `dict` methods say is of memory alone."""

    def __init__(self, bring: Callable[[str], Node | None]) -> None:
        super().__init__()
        self._bring = bring

    def __missing__(self, ident: str) -> Node:
        node = self._bring(ident)
        if node is None:
            raise KeyError(ident)
        return node

    def get(self, ident: str, default: Node | None = None) -> Node | None:  # type: ignore[override]
        return dict.get(self, ident) or self._bring(ident) or default

    def __contains__(self, ident: object) -> bool:
        return dict.__contains__(self, ident) or self._bring(str(ident)) is not None


class _Names(dict[str, str]):
    """OneIDs with the identifiers they are made of, in the same manner; `fresh` are those not filed yet."""

    def __init__(self, find: Callable[[str], str | None]) -> None:
        super().__init__()
        self._find = find
        self.fresh: dict[str, str] = {}

    def __missing__(self, one_id: str) -> str:
        ident = self._find(one_id)
        if ident is None:
            raise KeyError(one_id)
        dict.__setitem__(self, one_id, ident)
        return ident

    def get(self, one_id: str, default: str | None = None) -> str | None:  # type: ignore[override]
        try:
            return self[one_id]
        except KeyError:
            return default

    def __contains__(self, one_id: object) -> bool:
        return self.get(str(one_id)) is not None

    def __setitem__(self, one_id: str, ident: str) -> None:
        dict.__setitem__(self, one_id, ident)
        self.fresh[one_id] = ident

    def __delitem__(self, one_id: str) -> None:
        dict.__delitem__(self, one_id)
        self.fresh.pop(one_id, None)


class Archive:
    """The records of a graph, of which about `most` identifiers are in memory once it was filed, seldom more.

    What is looked at between two filings stays in memory. `file` it when `changed` says that it is worth it.
    """

    def __init__(self, policy: Policy, shelf: Shelf, most: int) -> None:
        self._shelf = shelf
        self._most = max(1, most)
        self._changed: set[str] = set()
        self.nodes = _Nodes(self._bring)
        self.names = _Names(self._find)
        self.store = Store(policy, self.nodes)
        self._marked: set[str] = set()
        self.store.marked = self._marked

    @property
    def changed(self) -> int:
        """About how many identifiers have changed since the last filing."""
        return len(self._changed)

    @property
    def resident(self) -> int:
        """How many identifiers are in memory."""
        return len(self.nodes)

    @property
    def crowded(self) -> bool:
        """Whether more are in memory than should be; who did not change leaves with the next filing."""
        return len(self.nodes) > self._most

    @property
    def empty(self) -> bool:
        """Whether there is nobody, neither in memory nor on the shelf."""
        return not self.nodes and next(iter(self._shelf), None) is None

    def knows_none(self, idents: Sequence[str]) -> bool:
        """Return whether there is none of these identifiers; nobody is brought in."""
        nodes = self.nodes
        for ident in idents:
            if dict.__contains__(nodes, ident):
                return False
        return not any(self._shelf.get_many([ident.encode() for ident in idents]))

    def note(self, journal: Journal) -> None:
        """Take over from a journal what changed."""
        changed = self._changed
        changed.update(journal.nodes)
        for pair in journal.edges:
            changed.update(pair)
        for pair in journal.commands:
            changed.update(pair)
        self._note_marked()

    def note_all(self, idents: Iterable[str]) -> None:
        """Hear that these identifiers may have changed."""
        self._changed.update(idents)
        self._note_marked()

    def pack(self) -> dict[bytes, bytes]:
        """Return the records of what changed since the last filing; to be put on the shelf as one, then `filed`."""
        return records_of(self.store, self._groups(), self.names.fresh)

    def filed(self) -> None:
        """Hear that what `pack` returned is on the shelf, and let people go if too many are in memory."""
        for group in self._groups():
            group.filed = len(group.members)
        self._changed.clear()
        self.names.fresh.clear()
        self._leave(self._most)

    def clear(self) -> None:
        """Let everybody go; all that changed must have been filed."""
        if self._changed or self.names.fresh:
            raise StateError("people were to leave memory before what changed about them was kept: start again")
        self._leave(0)

    def bring_all(self) -> None:
        """Bring everybody in, however many there are."""
        for key in self._shelf:
            if key[:1] != _MARK:
                self.nodes.get(key.decode())

    def _note_marked(self) -> None:
        self._changed |= self._marked
        self._marked.clear()

    def _groups(self) -> list[Group]:
        """Return the groups of all who changed; some of these may have been taken back."""
        found = {}
        for ident in self._changed:
            node = self.store.resident(ident)
            if node is not None:
                found[id(node.group)] = node.group
        return list(found.values())

    def _bring(self, ident: str) -> Node | None:
        """Bring the person of an identifier into memory; return its node, None if there is none."""
        key = ident.encode()
        data = self._shelf.get(key)
        if data is None:
            return None
        if data[:1] == _MARK:
            data = self._shelf.get(data[1:])
        try:
            if data is None:
                raise LookupError("its person is missing")
            unpack(self.store, data)
            return dict.__getitem__(self.nodes, ident)
        except (msgspec.MsgspecError, LookupError, UnicodeDecodeError) as error:
            raise self._shelf.condemn(f"it contradicts itself about {ident}: {error}") from error

    def _find(self, one_id: str) -> str | None:
        data = self._shelf.get(_MARK + one_id.encode())
        return None if data is None else data.decode()

    def _leave(self, most: int) -> None:
        """Let those go who came first, till no more than `most` identifiers are in memory."""
        nodes = self.nodes
        over = len(nodes) - most
        if over > 0:
            for ident in list(islice(nodes, over + most // _SHARE)):
                node = self.store.resident(ident)
                if node is not None:
                    self._drop(node.group)
        names = self.names
        over = len(names) - most
        if over > 0:
            for one_id in list(islice(names, over + most // _SHARE)):
                dict.__delitem__(names, one_id)

    def _drop(self, group: Group) -> None:
        store, nodes = self.store, self.nodes
        for ident in group.members:
            dict.__delitem__(nodes, ident)
            if store.commands:
                for others in (store.links.pop(ident, ()), store.unlinked.pop(ident, ())):
                    for other in others:
                        if store.resident(other) is None:
                            store.commands.pop(store.policy.ordered(ident, other), None)


def records_of(store: Store, groups: Iterable[Group], names: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return what a shelf has of these groups, but for what was filed of them before, and of these names."""
    records: dict[bytes, bytes] = {}
    for group in groups:
        members = group.members
        first = members[0].encode()
        records[first] = pack(store, group)
        pointer = _MARK + first
        for ident in members[max(1, group.filed) :]:
            records[ident.encode()] = pointer
    for one_id, ident in names.items():
        records[_MARK + one_id.encode()] = ident.encode()
    return records
