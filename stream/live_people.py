"""The people of a partition, live: decoded ones in bounded memory, before a store that holds what is committed.

A change goes down in three steps: a person that was got is dirty; `collect` writes the dirty ones as records of the
changelog, which lie over the store until their transaction has been committed; `written` puts them into the store.
If the transaction is aborted, `forget` goes back to what the store has.
"""

from collections.abc import Iterable, Iterator

from schemas.errors import StateError
from stream.people import MAX_DECODED
from stream.person import ABSENT, Entry, Person, entry_of, freeze, thaw
from stream.store import META, Store

Records = dict[bytes, bytes | None]
"""Records of the changelog: key and value, None for gone."""

_MISSING = ABSENT
"""Told apart from None, which says that somebody is gone."""


class LivePeople:
    """A dictionary of people by OneID over a store; keeps about `max_decoded` of them decoded, at most twice as many.

    Whoever is got with `get` or `create` counts as changed; `peek` is for reading. A person got is to be worked on
    before many others are got: when too many are decoded, those not touched lately are encoded again.
    """

    def __init__(self, store: Store, max_decoded: int = MAX_DECODED) -> None:
        self._store = store
        self._max = max_decoded
        self._hot: dict[str, Person] = {}
        self._dirty: dict[str, Person | bytes | None] = {}
        """Changed since the last `collect`: decoded (then also hot), encoded again, or gone."""
        self._meta: Records = {}
        self._overlays: list[Records] = []

    # The people

    def get(self, one_id: str) -> Person | None:
        """Return the person, decoded, or None. The person counts as changed."""
        person = self._hot.get(one_id)
        if person is not None:
            person.touched = True
            self._dirty[one_id] = person
            return person
        person = self._load(one_id)
        if person is not None:
            self._keep(person)
        return person

    def peek(self, one_id: str) -> Person | None:
        """Return the person to be read only, without changing who is held decoded."""
        return self._hot.get(one_id) or self._load(one_id)

    def create(self, one_id: str) -> Person:
        """Return the person, made if unknown."""
        person = self.get(one_id)
        if person is None:
            person = Person(one_id)
            if one_id not in self._dirty and self._collected(one_id.encode()) is _MISSING:
                person.stored = ABSENT
            self._keep(person)
        return person

    def remove(self, one_id: str) -> None:
        """Forget the person."""
        self._hot.pop(one_id, None)
        self._dirty[one_id] = None

    def put(self, person: Person) -> None:
        """Store a person changed outside."""
        self._keep(person)

    def one_ids(self) -> list[str]:
        """Return the OneIDs of all people, sorted."""
        known = set(self._store.one_ids())
        for one_id, entry in self._changed().items():
            if entry is ABSENT:
                known.discard(one_id)
            else:
                known.add(one_id)
        return sorted(known)

    def each(self) -> Iterator[Person]:
        """Yield every person by OneID, without changing who is held decoded; changes to them must be `put` back."""
        for one_id in self.one_ids():
            person = self.peek(one_id)
            if person is not None:
                yield person

    def __len__(self) -> int:
        return len(self.one_ids()) if self._dirty or self._overlays else len(self._store)

    # What is to be done for whom

    def due(self, until_ms: int, limit: int) -> list[str]:
        """Return the OneIDs of at most `limit` people with something due by that instant, the earliest first.

        That is a trigger to be looked at or a profile that changes by itself. Who waits for parts is not among them.
        """
        changed = self._changed()
        found = [(entry[0], one_id) for one_id, entry in changed.items() if 0 <= entry[0] <= until_ms]
        stored = self._store.timers(until_ms, limit + len(changed))
        found.extend(timer for timer in stored if timer[1] not in changed)
        found.sort()
        return [one_id for _, one_id in found[:limit]]

    def unpublished(self, limit: int) -> list[str]:
        """Return the OneIDs of at most `limit` people whose profile is yet to be published, not those who wait."""
        changed = self._changed()
        found = [one_id for one_id, entry in changed.items() if entry[1]]
        stored = self._store.unpublished(limit + len(changed))
        found.extend(one_id for one_id in stored if one_id not in changed)
        return found[:limit]

    # Records of the stage itself

    def meta_get(self, name: str) -> bytes | None:
        """Return what `meta_put` stored under the name."""
        key = META + name.encode()
        if key in self._meta:
            return self._meta[key]
        for overlay in reversed(self._overlays):
            if key in overlay:
                return overlay[key]
        return self._store.get(key)

    def meta_put(self, name: str, value: bytes | None) -> None:
        """Store a record of the stage's own beside the people; None removes it."""
        self._meta[META + name.encode()] = value

    # Transactions

    @property
    def changed(self) -> bool:
        """Whether `collect` would return anything."""
        return bool(self._dirty or self._meta)

    def collect(self) -> Records:
        """Return what has changed since the last call, for the changelog; it stays in force here until `written`.

        Records of the stage's own come last, in the order in which they were put.
        """
        records: Records = {}
        for one_id, person in self._dirty.items():
            records[one_id.encode()] = freeze(person) if isinstance(person, Person) else person
        records |= self._meta
        self._meta = {}
        self._dirty = {}
        if records:
            self._overlays.append(records)
        return records

    def written(self, records: Records, offset: int | None = None) -> None:
        """Put the oldest collected records into the store, now that they are committed; see `Store.write`.

        Raises StateError if they are not the oldest ones or if the store fails; nothing of them is in it then.
        """
        if not records:
            return
        if not self._overlays or self._overlays[0] is not records:
            raise StateError("batches must be written in the order they were collected in: restart the worker")
        hot = self._hot
        before: dict[bytes, Entry] = {}
        here: list[tuple[bytes, Person]] = []
        for key in records:
            person = hot.get(key.decode())
            if person is not None:
                here.append((key, person))
                if person.stored is not None:
                    before[key] = person.stored
        self._store.write(records, offset, before)
        for key, person in here:
            value = records[key]
            person.stored = ABSENT if value is None else entry_of(value)
        del self._overlays[0]

    def forget(self) -> None:
        """Go back to what the store has: nothing that was not `written` remains."""
        self._hot.clear()
        self._dirty.clear()
        self._meta = {}
        self._overlays.clear()

    def restore(self, records: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        """Write records of the changelog, the oldest first, straight into the store, with the offset after them."""
        self.forget()
        self._store.restore(records, offset)

    @staticmethod
    def restore_into(store: Store, records: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        """Write records of the changelog into a store that has no people before it yet."""
        store.restore(records, offset)

    # Within

    def _collected(self, key: bytes) -> bytes | Entry | None:
        """Return what the newest collected batch with this key has, _MISSING if there is none."""
        for overlay in reversed(self._overlays):
            if key in overlay:
                return overlay[key]
        return _MISSING

    def _load(self, one_id: str) -> Person | None:
        """Return a person who is not hot, decoded from where the newest state is, or None."""
        newest = self._dirty.get(one_id, _MISSING)
        if newest is _MISSING:
            key = one_id.encode()
            newest = self._collected(key)
            if newest is _MISSING:
                stored = self._store.get(key)
                if stored is None:
                    return None
                person = thaw(one_id, stored)
                person.stored = entry_of(stored)
                return person
        return thaw(one_id, newest) if isinstance(newest, bytes) else None

    def _changed(self) -> dict[str, Entry]:
        """Return the entries of all whose newest state is not in the store, ABSENT for those gone."""
        changed: dict[str, Entry] = {}
        for overlay in self._overlays:
            for key, value in overlay.items():
                if key[:1] != META:
                    changed[key.decode()] = ABSENT if value is None else entry_of(value)
        for one_id, person in self._dirty.items():
            if isinstance(person, Person):
                changed[one_id] = person.entry
            else:
                changed[one_id] = ABSENT if person is None else entry_of(person)
        return changed

    def _keep(self, person: Person) -> None:
        self._dirty[person.one_id] = person
        hot = self._hot
        hot[person.one_id] = person
        if len(hot) > self._max:
            self._evict(person)

    def _evict(self, spare: Person) -> None:
        """Encode the people touched least lately: first in, first out with a second chance, while there is room."""
        hot = self._hot
        room = len(hot) <= 2 * self._max
        for one_id in list(hot)[: max(1, self._max // 8) * 2]:
            person = hot.pop(one_id)
            if person is spare or (person.touched and room):
                person.touched = person is spare
                hot[one_id] = person
            elif self._dirty.get(one_id) is person:
                self._dirty[one_id] = freeze(person)
