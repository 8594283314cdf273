"""The people of a partition in bounded memory: those lately touched decoded, the rest as bytes at rest."""

from collections.abc import Iterator

from stream.person import Person, freeze, thaw

MAX_DECODED = 50_000
"""Decoded people cost a few kilobytes each, people at rest about one: this many keep the hot set below 300 MB."""


class People:
    """A dictionary of people by OneID that keeps at most about `max_decoded` of them decoded.

    The order of eviction is first in, first out with a second chance: touching a person costs no bookkeeping beyond
    a flag.
    """

    def __init__(self, max_decoded: int = MAX_DECODED) -> None:
        self._hot: dict[str, Person] = {}
        self._rest: dict[str, bytes] = {}
        self._max = max_decoded

    def get(self, one_id: str) -> Person | None:
        """Return the person, decoded, or None."""
        person = self._hot.get(one_id)
        if person is not None:
            person.touched = True
            return person
        stored = self._rest.pop(one_id, None)
        if stored is None:
            return None
        person = thaw(one_id, stored)
        self._keep(person)
        return person

    def peek(self, one_id: str) -> Person | None:
        """Return the person to be read only, without changing who is held decoded."""
        person = self._hot.get(one_id)
        if person is not None:
            return person
        stored = self._rest.get(one_id)
        return None if stored is None else thaw(one_id, stored)

    def create(self, one_id: str) -> Person:
        """Return the person, made if unknown."""
        person = self.get(one_id)
        if person is None:
            person = Person(one_id)
            self._keep(person)
        return person

    def remove(self, one_id: str) -> None:
        """Forget the person."""
        self._hot.pop(one_id, None)
        self._rest.pop(one_id, None)

    def one_ids(self) -> list[str]:
        """Return the OneIDs of all people, sorted."""
        return sorted([*self._hot, *self._rest])

    def each(self) -> Iterator[Person]:
        """Yield every person by OneID, without changing who is held decoded; changes to them must be `put` back."""
        for one_id in self.one_ids():
            person = self.peek(one_id)
            if person is not None:
                yield person

    def put(self, person: Person) -> None:
        """Store a person changed outside."""
        if person.one_id not in self._hot:
            self._rest[person.one_id] = freeze(person)

    def __len__(self) -> int:
        return len(self._hot) + len(self._rest)

    def _keep(self, person: Person) -> None:
        hot = self._hot
        hot[person.one_id] = person
        if len(hot) > self._max:
            self._evict(person)

    def _evict(self, spare: Person) -> None:
        hot = self._hot
        for one_id in list(hot)[: max(1, self._max // 8) * 2]:
            person = hot.pop(one_id)
            # A person under way is needed soon.
            if person is spare or not person.at_rest:
                hot[one_id] = person
            elif person.touched:
                person.touched = False
                hot[one_id] = person
            else:
                self._rest[one_id] = freeze(person)
