"""Evidence: what was seen together, when it was first seen, and what a steward ordered. A set, in any order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from identity.policy import Policy
from schemas.errors import StateError
from schemas.event import Event, Link

LINKED = "customer.linked"
UNLINKED = "customer.unlinked"

Key = tuple[int, str]
"""Event time in epoch milliseconds and event id: what evidence is ordered by."""


class Row(NamedTuple):
    """One piece of evidence in plain form.

    `seen`: identifier `a` was first seen then, `b` is None. `edge`: an event joined `a` and `b`, the earliest.
    `link`, `unlink`: the steward's latest command on the pair. `a` is the lower identifier.
    """

    kind: Literal["seen", "edge", "link", "unlink"]
    a: str
    b: str | None
    time_ms: int
    event_id: str


class Command(NamedTuple):
    """What a steward ordered for a pair; the latest counts, and of two at one key the unlink."""

    time_ms: int
    event_id: str
    kind: Literal["link", "unlink"]


@dataclass
class Evidence:
    """The evidence of a set of events: `seen` by identifier, `edges` and `commands` by pair, the lower end first."""

    policy: Policy
    seen: dict[str, Key] = field(default_factory=dict)
    edges: dict[tuple[str, str], Key] = field(default_factory=dict)
    commands: dict[tuple[str, str], Command] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event], policy: Policy) -> "Evidence":
        """Return the evidence of `events`, which may come in any order and repeat."""
        evidence = cls(policy)
        for event in events:
            evidence.add(event)
        return evidence

    @classmethod
    def from_rows(cls, rows: Iterable[Row], policy: Policy) -> "Evidence":
        """Return the evidence that `rows` hold. An identifier without a `seen` row counts from its earliest edge."""
        evidence = cls(policy)
        for row in rows:
            key = (row.time_ms, row.event_id)
            if row.kind == "seen":
                evidence._see(row.a, key)
                continue
            if row.b is None:
                raise StateError(f"evidence of kind {row.kind} names one identifier only: {row.a}")
            if row.kind == "edge":
                evidence._see(row.a, key)
                evidence._see(row.b, key)
                evidence._join(row.a, row.b, key)
            else:
                evidence._order(row.a, row.b, Command(row.time_ms, row.event_id, row.kind))
        return evidence

    def add(self, event: Event) -> None:
        """Add what one event shows: an edge from i1 to each other identifier, or a steward's command on a pair."""
        key = (event.time_ms, event.id)
        if isinstance(event.data, Link) and event.type in (LINKED, UNLINKED):
            kind: Literal["link", "unlink"] = "link" if event.type == LINKED else "unlink"
            self._order(event.data.a, event.data.b, Command(*key, kind))
            return
        for ident in event.idents:
            self._see(ident, key)
        for ident in event.idents[1:]:
            self._join(event.idents[0], ident, key)

    def rows(self) -> Iterator[Row]:
        """Yield everything in plain form, in an order that depends on the evidence alone."""
        for ident in sorted(self.seen, key=self.policy.order_key):
            yield Row("seen", ident, None, *self.seen[ident])
        for a, b in sorted(self.edges, key=self._pair_key):
            yield Row("edge", a, b, *self.edges[a, b])
        for a, b in sorted(self.commands, key=self._pair_key):
            command = self.commands[a, b]
            yield Row(command.kind, a, b, command.time_ms, command.event_id)

    def named(self) -> set[str]:
        """Return every identifier that evidence names, also those that only commands do."""
        return set(self.seen).union(*self.commands)

    def _pair_key(self, pair: tuple[str, str]) -> tuple[tuple[int, str], tuple[int, str]]:
        return self.policy.order_key(pair[0]), self.policy.order_key(pair[1])

    def _see(self, ident: str, key: Key) -> None:
        self.seen[ident] = min(self.seen.get(ident, key), key)

    def _join(self, a: str, b: str, key: Key) -> None:
        pair = self.policy.ordered(a, b)
        self.edges[pair] = min(self.edges.get(pair, key), key)

    def _order(self, a: str, b: str, command: Command) -> None:
        pair = self.policy.ordered(a, b)
        self.commands[pair] = max(self.commands.get(pair, command), command)
