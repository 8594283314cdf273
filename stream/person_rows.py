"""What a person has, a row each: orders and their lines, carts, tickets, tags, words of consent."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lake.tables import CARTS, CONSENTS, ORDER_ITEMS, ORDERS, TAGS, TICKETS
from lake.writer import TableWriter
from profiles import consent, service
from profiles.derived import Derived
from profiles.facts import Facts
from profiles.orders import Order
from profiles.service import Ticket
from profiles.tags import Reason

_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode


class PersonRows:
    """Writes the tables of `PEOPLE_TABLES` into a folder, person by person; with `scratch` as Arrow files."""

    def __init__(self, folder: Path, *, scratch: bool = False) -> None:
        tables = (ORDERS, ORDER_ITEMS, CARTS, TICKETS, TAGS, CONSENTS)
        ending = "arrow" if scratch else "parquet"
        self._writers = [TableWriter(folder / f"{table.name}.{ending}", table, scratch=scratch) for table in tables]
        self._order, self._item, self._cart, self._ticket, self._tag, self._word = (
            writer.add for writer in self._writers
        )

    def add(self, one_id: str, facts: Facts, derived: Derived, reasons: Sequence[Reason]) -> None:
        """Add what a person has; `derived` and `reasons` are what `derive` makes of the facts."""
        for order in facts.orders().list:
            self._order(_order_row(one_id, order))
            for line, item in enumerate(order.items, 1):
                self._item(
                    (
                        one_id,
                        order.order_id,
                        line,
                        item.sku,
                        item.name,
                        item.category,
                        item.quantity,
                        item.unit_price_minor,
                        item.consumption_days,
                        order.time_ms,
                    )
                )
        for cart in derived.carts:
            self._cart((one_id, cart["cart_id"], cart["items"], cart["value_minor"], cart["changed_at"], cart["lines"]))
        if facts.was_served:
            for ticket in facts.tickets().values():
                self._ticket(_ticket_row(one_id, ticket))
        for reason in reasons:
            behind = _json(reason.facts).decode()
            self._tag((one_id, reason.name, reason.rule, reason.version, reason.since_ms, behind))
        words = facts.words()
        for purpose in sorted(words):
            for channel in sorted(words[purpose]):
                word = consent.deciding(words, purpose, channel)
                if word is not None:
                    self._word((one_id, purpose, channel or None, not word[1], word[0], word[2]))

    def flush_if_full(self) -> None:
        """Write the rows gathered where there are enough."""
        for writer in self._writers:
            writer.flush_if_full()

    def close(self) -> None:
        """Write what is left."""
        for writer in self._writers:
            writer.close()


def _order_row(one_id: str, order: Order) -> tuple[Any, ...]:
    return (
        one_id,
        order.order_id,
        order.time_ms,
        order.placed_ms,
        order.delivered_ms,
        order.currency,
        order.amount_minor,
        order.refunded_minor,
        order.discount_minor,
        order.shipping_minor,
        order.cancelled,
        order.coupon,
        order.channel,
        order.store,
        order.cart_id,
        order.part,
        order.event_id,
    )


def _ticket_row(one_id: str, ticket: Ticket) -> tuple[Any, ...]:
    resolved = None if ticket.open or ticket.resolved is None else ticket.resolved[0]
    return (
        one_id,
        ticket.ticket_id,
        ticket.open,
        ticket.opened_ms,
        ticket.replied_ms,
        resolved,
        service.first_response_ms(ticket),
        service.resolution_ms(ticket),
        ticket.score,
        service.is_complaint(ticket),
        ticket.category,
        ticket.priority,
        ticket.subject,
        ticket.sku,
        ticket.order_id,
    )
