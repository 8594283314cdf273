"""What the stages say to each other.

An address is never a truth: a `Routed` event may reach a person who no longer holds its part, and then bounces back
to the resolver. Only the resolver creates, moves or drops a part, and it does so by a `PartChange`.
"""

import msgspec

from identity.changes import Move
from profiles.part import Part
from schemas.event import Event


class Routed(msgspec.Struct, gc=False):
    """An event on its way to the person whom its sender believes to own its part."""

    one_id: str
    event: Event


class Request(msgspec.Struct, gc=False):
    """An event whose evidence may be news, or that bounced: the resolver decides."""

    event: Event


class PartChange(msgspec.Struct):
    """One decision of the resolver: the parts it creates or moves, and the time of the evidence for it.

    `step` counts decisions; every partition that holds a `from` or a `to` reads the same message.
    """

    step: int
    at_ms: int
    moves: list[Move]


class PartTransfer(msgspec.Struct):
    """A part with its marks, on its way to the person that `PartChange` number `step` gave it to."""

    step: int
    one_id: str
    part: Part


class Advance(msgspec.Struct):
    """Move everybody's clock on; only where no wall clock runs (`kith worker --clock events`)."""

    to_ms: int
