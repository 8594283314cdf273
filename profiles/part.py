"""The part: everything that is kept of the events of one first identifier.

A part holds facts that merge and nothing else, so that a person is whatever parts belong to it just now: counts and
sums add, first and last times are a minimum and a maximum, a fact with one value goes to the latest by (time, id),
and what belongs to an order, cart, ticket or conversation stays under the object's own id, field by field, because
the other half of the object may lie in another part of the same person.

What is bounded, so that an unusual customer stays small:

- `recent` and `scores` by time: they are dropped when no event within the horizon can need them;
- `views` to the 500 newest quarter hours with a view, `viewed` to the 20 newest products, `checkins` to the 500 newest
  quarter hours, `talks` to the 100 conversations that were active last;
- the deltas of a cart line to 128, older ones being added up, lines to 2,000 a cart and carts to 1,000 a part, the
  ones changed longest ago being dropped. Below these caps carts are exact; above, a clearing in another part that
  lies between added-up deltas can not be told apart.

Not bounded, since exactness needs them: orders (a refund, cancellation or payment may come years later, in another
part, and repurchase times need the lines), tickets (a reopening may come at any time), traits, consent, surveys by
name, weights by category, types of events, and co-identifiers (first and last seen are reported for each).
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.mark import Mark

Key = tuple[int, str]
"""(time in ms, event id): the order of everything."""

Delta = tuple[int, str, int, int | None, str | None]
"""One change of a cart line: time, event id, quantity (removed is negative), unit price in minor units, category."""

Word = tuple[int, bool, str]
"""One word of consent: time, denied, event id. The greatest counts, so a denial wins at one instant."""

ScoreEntry = tuple[int, str, str, int | float, int | float, str]
"""A low score: time, event id, type, score, scale, id of the conversation or ticket or name of the survey."""


class Tally(msgspec.Struct, array_like=True, gc=False):
    """Count, last and first event of one type. `first_ms` is -1 while the first is also the last."""

    count: int
    last_ms: int
    last_id: str
    first_ms: int = -1
    first_id: str = ""


class Item(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A line of an order; `unit_price_minor` is in the order's currency."""

    sku: str
    quantity: int
    unit_price_minor: int | None = None
    category: str | None = None
    consumption_days: int | None = None
    name: str | None = None


class Body(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What one `order.placed` or `order.paid` said. A bare payment has no amount, currency or items."""

    amount_minor: int | None = None
    currency: str | None = None
    items: tuple[Item, ...] | None = None
    cart_id: str | None = None
    channel: str | None = None
    store: str | None = None
    coupon: str | None = None
    discount_minor: int | None = None
    shipping_minor: int | None = None


class OrderPart(msgspec.Struct, array_like=True, gc=False):
    """What this part knows of one order: the latest placing, the earliest payment, and what happened after.

    `paid` is the earliest payment, `bare_body` what it said beside the amount if it is bare. The amount, currency and
    items come from the earliest payment that carries them: `whole` is its key, None if that is `paid` itself, and
    `paid_body` what it said; `paid_as_placed` says that this is the same as `placed_body`, which is then not stored
    twice. `refunds` is by currency: sum in minor units, number.
    """

    placed: Key | None = None
    placed_body: Body | None = None
    paid: Key | None = None
    paid_body: Body | None = None
    paid_as_placed: bool = False
    cancelled_ms: int = -1
    delivered_ms: int = -1
    refunds: dict[str, tuple[int, int]] | None = None
    whole: Key | None = None
    bare_body: Body | None = None

    @property
    def whole_key(self) -> Key | None:
        """The earliest payment that carries the order, None if there is none."""
        if self.paid_body is None and not self.paid_as_placed:
            return None
        return self.paid if self.whole is None else self.whole

    @property
    def whole_body(self) -> Body | None:
        """What that payment said."""
        return self.placed_body if self.paid_as_placed else self.paid_body


class CartPart(msgspec.Struct, array_like=True, gc=False):
    """What this part knows of one cart: when it was last emptied here, and the deltas since, by SKU."""

    cleared: Key | None = None
    lines: dict[str, list[Delta]] = {}


class TicketPart(msgspec.Struct, array_like=True, gc=False):
    """What this part knows of one ticket: the latest of each kind of event, the first opening and the first reply.

    `resolved_beside` are the ids of further resolutions at the very instant of the latest.
    """

    opened: Key | None = None
    first_opened_ms: int = -1
    reopened: Key | None = None
    resolved: Key | None = None
    replied_ms: int = -1
    rating: tuple[int, str, int] | None = None
    subject: str | None = None
    category: str | None = None
    priority: str | None = None
    sku: str | None = None
    order_id: str | None = None
    resolved_beside: list[str] | None = None


class TalkPart(msgspec.Struct, array_like=True, gc=False):
    """What this part knows of a conversation: last activity, first message of the customer, of an agent, rating."""

    last_ms: int
    customer_ms: int = -1
    agent_ms: int = -1
    rating: tuple[int, str, int] | None = None


class Part(msgspec.Struct, array_like=True, gc=False):
    """All facts of the events whose first identifier is `key`. Times are epoch ms, -1 while there is no event.

    `recent` has of each event its time and 20 bits of its content, 0 if unknown: time << 20 | digest. Known only live:
    `steps` (see `profiles.arrival`), and `forgotten_ms`, the time before which ids have been dropped from `recent`.
    """

    key: str
    events: int = 0
    first_ms: int = -1
    last_ms: int = -1
    recent: dict[str, int] = {}
    tallies: dict[str, Tally] = {}
    sightings: dict[str, list[int]] = {}
    marks: dict[str, Mark] = {}
    traits: dict[str, tuple[int, str, Any]] | None = None
    orders: dict[str, OrderPart] | None = None
    order_event: Key | None = None
    carts: dict[str, CartPart] | None = None
    cleared: Key | None = None
    views: dict[int, Key] | None = None
    viewed: dict[str, Key] | None = None
    categories: dict[str, int] | None = None
    channels: dict[str, int] | None = None
    tickets: dict[str, TicketPart] | None = None
    talks: dict[str, TalkPart] | None = None
    consent: dict[str, dict[str, Word]] | None = None
    surveys: dict[str, tuple[int, str, int | float, int | float]] | None = None
    points: int = 0
    checkins: list[int] | None = None
    scores: list[ScoreEntry] | None = None
    steps: list[list[int]] | None = None
    forgotten_ms: int = -1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Part)


def new_part(key: str) -> Part:
    """Return the empty part of an identifier `kind:value`."""
    return Part(key)


def encode(part: Part) -> bytes:
    """Return the part as MessagePack; `decode` gives an equal part back."""
    return _encoder.encode(part)


def decode(data: bytes) -> Part:
    """Return the part that `encode` wrote. Raises msgspec.DecodeError or ValidationError for anything else."""
    return _decoder.decode(data)


def sightings(part: Part) -> Iterator[tuple[str, int, int, int]]:
    """Return (identifier, events, first ms, last ms) of each identifier that the part's events carried, the key first.

    An identifier may be sighted in several parts, also of several people: its own counts are the sums, its first and
    last times the extremes over all of them.
    """
    if part.events:
        yield part.key, part.events, part.first_ms, part.last_ms
    for ident, (events, first_ms, last_ms) in part.sightings.items():
        yield ident, events, first_ms, last_ms
