"""The accepted event: what every later stage reads."""

from typing import Any

import msgspec


class Source(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a live event came from: its place in Kafka, when it was published, and a digest of its content.

    `arrived_ms` is the message's timestamp, set by the publisher; `digest` has 20 bits and is never 0.
    """

    topic: str
    partition: int
    offset: int
    arrived_ms: int
    digest: int


class Event(msgspec.Struct, gc=False):
    """One accepted, normalised event.

    `id` is the idempotency key. `time_ms` counts milliseconds since 1970-01-01T00:00:00Z. `idents` are the
    normalised identifiers as `kind:value`, ordered by the kind's place in the policy and then as listed, without
    repeats; `idents[0]` is i1, whose part the event belongs to; empty for `customer.linked` and `.unlinked`.
    `data` is the type's struct of `schemas.decode` (money already in integer minor units, absent fields None), for
    `custom.*` the JSON value, for links a `Link` whose ends are normalised identifiers. `source` is known live only.
    """

    id: str
    type: str
    time_ms: int
    idents: tuple[str, ...]
    data: Any
    source: Source | None = None


class Link(msgspec.Struct, frozen=True):
    """The pair of a steward's command, as normalised identifiers `kind:value`, and why it was given."""

    a: str
    b: str
    reason: str | None = None


class Rejected(msgspec.Struct, frozen=True):
    """Why a line is a dead letter: the reason's name and a detail that names the field."""

    reason: str
    detail: str
