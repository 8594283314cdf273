"""What an audit finds: differences by kind, and what was compared."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

KINDS = {
    "profile": "a column of a person is other than the events say",
    "person": "a person who should be there is not, or is though nobody should",
    "part": "the facts of an identifier are with another person, or missing",
    "sighting": "how often or when an identifier was seen is other than the events say",
    "identity": "an identifier belongs to another person than the evidence says, or is missing",
    "evidence": "evidence is missing from the graph, or stands there without an event",
    "identity_change": "a change of people was not announced, announced twice or without ground",
    "trigger_twice": "a trigger was decided twice",
    "trigger_missing": "a trigger was not decided though it was due",
    "trigger_groundless": "a trigger was decided though nothing gave it",
    "trigger_outcome": "a trigger came to another outcome, or is of another person, time or payload",
    "mark": "the state and the published decisions of triggers disagree",
    "published": "the published profile is not the one of the state: stale, wrong, missing or one too many",
    "tag": "the tags entered and left do not give the tags of the published profile",
}
"""Kinds of differences: what each means. They are the labels of the metric `kith_audit_differences`."""


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as the events say: whose, which field, what the live pipeline and what the audit has.

    `events` are ids of events behind it, the newest first, at most 20.
    """

    kind: str
    one_id: str | None
    field: str
    live: str | None
    expected: str | None
    events: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return it in one line."""
        behind = f"  events: {', '.join(self.events)}" if self.events else ""
        return f"{self.kind}  {self.one_id or '-'}  {self.field}: live {self.live}, expected {self.expected}{behind}"


class Found:
    """Gathers differences: all are counted, at most `most` are kept (None: all)."""

    def __init__(self, most: int | None = None) -> None:
        self.kept: list[Difference] = []
        self.counts: Counter[str] = Counter()
        self.compared: Counter[str] = Counter()
        self.explained: Counter[str] = Counter()
        """Differences that are none, by the reason that explains them; and what could not be judged."""
        self._most = most

    @property
    def keeps(self) -> bool:
        """Whether the next difference is kept, so that it is worth to look for the events behind it."""
        return self._most is None or len(self.kept) < self._most

    def add(
        self, kind: str, one_id: str | None, field: str, live: Any, expected: Any, events: Iterable[str] = ()
    ) -> None:
        """Take in a difference."""
        self.counts[kind] += 1
        if self.keeps:
            self.kept.append(Difference(kind, one_id, field, _text(live), _text(expected), tuple(events)[:20]))

    @property
    def total(self) -> int:
        """How many differences there are."""
        return self.counts.total()


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
