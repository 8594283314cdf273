"""What the triggers read of a person: the facts of the merged parts, as a protocol.

`triggers` and `profiles` do not import each other; the facts of the profiles fit this protocol by shape. A moment is
`(time_ms, event_id)`, an anchor `(time_ms, event_id, part_key)`; both compare as tuples.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from schemas.mark import Mark

Moment = tuple[int, str]
Anchor = tuple[int, str, str]


class PartLike(Protocol):
    """A part as far as triggers see it: its key i1, its newest event's time, and the marks, which triggers own."""

    @property
    def key(self) -> str:
        """The identifier `kind:value` whose events the part holds."""

    @property
    def last_ms(self) -> int:
        """The time of the newest event of the part; -1 for an empty part."""

    @property
    def marks(self) -> dict[str, Mark]:
        """What became of the instances anchored in this part, by mark key."""


class ItemLike(Protocol):
    """One line of an order."""

    @property
    def sku(self) -> str:
        """The SKU."""

    @property
    def quantity(self) -> int:
        """Units bought, at least 1."""


class OrderLike(Protocol):
    """A counted order: paid, and its amount known. Its time is when it was paid."""

    @property
    def order_id(self) -> str:
        """The order's own id."""

    @property
    def time_ms(self) -> int:
        """When it was paid."""

    @property
    def event_id(self) -> str:
        """The event that set its time."""

    @property
    def part(self) -> str:
        """The key of the part that event is in."""

    @property
    def amount_minor(self) -> int:
        """The amount in minor units of its currency."""

    @property
    def currency(self) -> str:
        """ISO 4217."""

    @property
    def items(self) -> Sequence[ItemLike]:
        """Its lines."""


class BookLike(Protocol):
    """The counted orders of a person."""

    @property
    def list(self) -> Sequence[OrderLike]:
        """All of them, by (time_ms, event_id)."""

    @property
    def newest_by_sku(self) -> Mapping[str, OrderLike]:
        """The newest order with the SKU."""

    def cycle_days(self, sku: str) -> int | None:
        """Return the latest `consumption_days` stated for the SKU by the person's paid orders."""


class LineLike(Protocol):
    """One line of a cart."""

    @property
    def quantity(self) -> int:
        """Units, at least 1."""

    @property
    def unit_price_minor(self) -> int | None:
        """The latest price stated, in minor units of the setting's currency."""


class CartLike(Protocol):
    """A cart that is not empty."""

    @property
    def lines(self) -> Mapping[str, LineLike]:
        """Its lines by SKU."""

    @property
    def changed(self) -> Anchor:
        """Its last change."""

    @property
    def value_minor(self) -> int:
        """Quantity times price over the lines, in minor units of the setting's currency."""


class TicketLike(Protocol):
    """A service ticket."""

    @property
    def resolutions(self) -> Sequence[Anchor]:
        """The latest `ticket.resolved`, and any others at the same instant, ascending."""

    @property
    def open(self) -> bool:
        """Whether the latest of opened, resolved and reopened is not resolved."""

    @property
    def subject(self) -> str | None:
        """What it is about."""

    @property
    def category(self) -> str | None:
        """Its category."""

    @property
    def priority(self) -> str | None:
        """Its priority."""

    @property
    def sku(self) -> str | None:
        """The SKU it is about."""

    @property
    def order_id(self) -> str | None:
        """The order it is about."""


class ScoreLike(Protocol):
    """A low score: at most 60 % of a survey's scale, at most 2 of a chat's or ticket's 5."""

    @property
    def time_ms(self) -> int:
        """When it was given."""

    @property
    def event_id(self) -> str:
        """The event that gave it."""

    @property
    def part(self) -> str:
        """The key of the part that event is in."""

    @property
    def type(self) -> str:
        """The event type."""

    @property
    def score(self) -> float:
        """The score given."""

    @property
    def scale(self) -> float:
        """The highest score there is."""

    @property
    def object_id(self) -> str | None:
        """The conversation, ticket or survey."""


class Facts(Protocol):
    """The facts of one person, as of the events folded so far."""

    @property
    def parts(self) -> Sequence[PartLike]:
        """The person's parts."""

    @property
    def timezone(self) -> str | None:
        """The trait `timezone` if it is a valid IANA name, else None."""

    def trait(self, name: str) -> tuple[Any, int, str, str] | None:
        """Return the latest statement of a trait as (value, time_ms, event_id, part_key)."""

    def first(self, event_type: str) -> Anchor | None:
        """Return the person's first event of a type."""

    def last(self, event_type: str) -> Anchor | None:
        """Return the person's last event of a type."""

    def last_order(self) -> Moment | None:
        """Return the newest event that is an order: `order.placed`, or an `order.paid` that carries the order."""

    def orders(self) -> BookLike:
        """Return the counted orders."""

    def carts(self) -> Mapping[str, CartLike]:
        """Return the carts that are not empty by cart id; '' is the cart without one."""

    def views(self) -> Sequence[Anchor]:
        """Return recent product views, ascending: enough to find the first of each local day in any time zone."""

    def tickets(self) -> Mapping[str, TicketLike]:
        """Return the tickets by id."""

    def scores(self) -> Sequence[ScoreLike]:
        """Return recent low scores."""

    def consent(self, purpose: str, channel: str | None) -> bool:
        """Return whether the purpose may be served over the channel; for None: over any."""

    def channels(self, purpose: str) -> list[str]:
        """Return the channels over which the purpose may be served."""

    def identifiers(self) -> list[str]:
        """Return the person's identifiers `kind:value`, sorted."""

    def lookup(self, name: str, now_ms: int | None = None) -> Any:
        """Return what a name of an expression stands for in the profile at an instant, None if unknown."""
