"""Alarms about products: many customers opened tickets about one SKU within a window of event time.

One agent reads `quality.tickets`, and a Faust table, whose changelog is `alarms.state`, holds the tickets of each SKU
within the window. When so many different customers are in it that an alarm is due, it is published before the table
knows of it, so it may be published twice but never not at all; both have the same `alarm_id`. The next alarm about a
SKU comes only after a ticket found fewer customers in the window. A ticket counts once, for the person it belonged to
when it was opened; one that comes later than the window is long changes nothing.
"""

import logging
from hashlib import sha256
from typing import Any

import faust
import msgspec

from schemas.settings import Settings
from stream.connection import Connection, milliseconds
from stream.faust_app import done, publish
from stream.metrics import Metrics

log = logging.getLogger(__name__)

TICKETS = "quality.tickets"
ALARMS = "alarms.quality"
STATE = "alarms.state"

DAY_MS = 86_400_000


class Ticket(msgspec.Struct):
    """A ticket about a product, as it stands in an alarm."""

    one_id: str
    ticket_id: str
    at_ms: int
    bought: bool
    order_ids: list[str]


class Message(Ticket):
    """What `quality.tickets` holds."""

    sku: str


class Alarm(msgspec.Struct):
    """What `alarms.quality` holds."""

    alarm_id: str
    sku: str
    from_ms: int
    to_ms: int
    customers: list[Ticket]
    count: int


class Tickets(msgspec.Struct):
    """The tickets about one SKU within the window, by time, and whether an alarm was raised about them."""

    tickets: list[Ticket] = []
    raised: bool = False

    def add(self, sku: str, ticket: Ticket, within_ms: int, customers: int) -> Alarm | None:
        """Add a ticket; return the alarm that it raises.

        The window is (newest - within, newest]. The same ticket again changes nothing.
        """
        if any(known.ticket_id == ticket.ticket_id for known in self.tickets):
            return None
        found = sorted([*self.tickets, ticket], key=lambda each: (each.at_ms, each.ticket_id))
        newest = found[-1].at_ms
        self.tickets = [each for each in found if each.at_ms > newest - within_ms]
        first = {each.one_id: each for each in reversed(self.tickets)}
        if len(first) < customers:
            self.raised = False
            return None
        if self.raised:
            return None
        self.raised = True
        named = sorted(first.values(), key=lambda each: (each.at_ms, each.ticket_id))
        return Alarm(alarm_id(sku, self.tickets[0].ticket_id), sku, self.tickets[0].at_ms, newest, named, len(named))


def alarm_id(sku: str, ticket_id: str) -> str:
    """Return the id of an alarm about a SKU, from the first ticket of its window."""
    return sha256(f"{sku}\0{ticket_id}".encode()).hexdigest()[:32]


_message = msgspec.json.Decoder(Message).decode
_state = msgspec.json.Decoder(Tickets).decode
_encode = msgspec.json.Encoder().encode


def register(app: faust.App, settings: Settings, connection: Connection, metrics: Metrics) -> None:
    """Add the table and the agent that raises alarms."""
    within_ms, customers = milliseconds(settings.quality_alarm.within), settings.quality_alarm.customers
    # As Faust makes one for a table, but with the table of topics' name: committed to by nobody, read at the start.
    changelog = app.topic(
        connection.topic(STATE),
        key_type=bytes,
        value_type=bytes,
        partitions=1,
        compacting=True,
        acks=False,
        internal=True,
        allow_empty=True,
        maxsize=1 << 17,
    )
    table: Any = app.Table("alarms", key_type=bytes, value_type=bytes, partitions=1, changelog_topic=changelog)
    swept_day = 0

    def sweep(now_ms: int) -> None:
        """Once a day of event time, drop what is older than any ticket that can still matter."""
        nonlocal swept_day
        if now_ms // DAY_MS <= swept_day:
            return
        swept_day = now_ms // DAY_MS
        for key in [key for key, value in table.items() if _state(value).tickets[-1].at_ms < now_ms - 2 * within_ms]:
            del table[key]

    async def agent(stream: Any) -> None:
        async for event in stream.events():
            try:
                message = _message(event.value or b"")
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                log.error("a message on %s is no ticket, and is passed over: %s", TICKETS, error)
                done(event)
                continue
            sku, key = message.sku, message.sku.encode()
            before = table.get(key)
            state = Tickets() if before is None else _state(before)
            ticket = Ticket(message.one_id, message.ticket_id, message.at_ms, message.bought, message.order_ids)
            alarm = state.add(sku, ticket, within_ms, customers)
            if alarm is not None:
                await publish(app, connection.topic(ALARMS), key, _encode(alarm))
                metrics.alarm()
                log.warning("alarm: %d customers have opened tickets about %s", alarm.count, sku)
            after = _encode(state)
            if after != before:
                table[key] = after
            sweep(message.at_ms)
            done(event)

    app.agent(app.topic(connection.topic(TICKETS)), name=f"{app.conf.id}-alarms")(agent)
