"""How chat and ticket events change a part."""

from typing import Any

from profiles.part import Key, Part, TalkPart, TicketPart
from profiles.weights import VISIT, weigh_channel

SUBJECT = 200  # characters of a ticket's subject that are kept: enough to show, whatever was pasted into it
TALKS = 100
LOW = 2
"""A rating of 1 to 5 is low from here down."""


def _ticket(part: Part, ticket_id: str) -> TicketPart:
    tickets = part.tickets
    if tickets is None:
        tickets = part.tickets = {}
    ticket = tickets.get(ticket_id)
    if ticket is None:
        ticket = tickets[ticket_id] = TicketPart()
    return ticket


def _later(known: Key | None, key: Key) -> Key:
    return key if known is None or key > known else known


def _earlier_ms(known: int, at: int) -> int:
    return at if known < 0 or at < known else known


def _opened(part: Part, at: int, event_id: str, data: Any) -> None:
    ticket = _ticket(part, data.ticket_id)
    key = (at, event_id)
    if ticket.opened is None or key > ticket.opened:
        ticket.opened = key
        ticket.subject = data.subject and data.subject[:SUBJECT]
        ticket.category = data.category
        ticket.priority = data.priority
        ticket.sku = data.sku
        ticket.order_id = data.order_id
    ticket.first_opened_ms = _earlier_ms(ticket.first_opened_ms, at)


def _replied(part: Part, at: int, event_id: str, data: Any) -> None:
    ticket = _ticket(part, data.ticket_id)
    ticket.replied_ms = _earlier_ms(ticket.replied_ms, at)


def _resolved(part: Part, at: int, event_id: str, data: Any) -> None:
    ticket = _ticket(part, data.ticket_id)
    known = ticket.resolved
    if known is not None and at == known[0]:
        ticket.resolved_beside = sorted([*(ticket.resolved_beside or ()), min(event_id, known[1])])
    elif known is None or at > known[0]:
        ticket.resolved_beside = None
    ticket.resolved = _later(known, (at, event_id))


def _reopened(part: Part, at: int, event_id: str, data: Any) -> None:
    ticket = _ticket(part, data.ticket_id)
    ticket.reopened = _later(ticket.reopened, (at, event_id))


def _ticket_rated(part: Part, at: int, event_id: str, data: Any) -> None:
    ticket = _ticket(part, data.ticket_id)
    if ticket.rating is None or (at, event_id) > ticket.rating[:2]:
        ticket.rating = (at, event_id, data.score)
    if data.score <= LOW:
        note_low(part, at, event_id, "ticket.rated", data.score, 5, data.ticket_id)


def note_low(part: Part, at: int, event_id: str, kind: str, score: float, scale: float, about: str) -> None:
    """Keep a low score for as long as a rule may look at it."""
    entry = (at, event_id, kind, score, scale, about)
    if part.scores is None:
        part.scores = [entry]
    else:
        part.scores.append(entry)


def _talk(part: Part, at: int, conversation_id: str) -> TalkPart:
    talks = part.talks
    if talks is None:
        talks = part.talks = {}
    talk = talks.get(conversation_id)
    if talk is None:
        talk = talks[conversation_id] = TalkPart(at)
        if len(talks) > TALKS:
            del talks[min(talks, key=lambda other: (talks[other].last_ms, other))]
    elif at > talk.last_ms:
        talk.last_ms = at
    return talk


def _started(part: Part, at: int, event_id: str, data: Any) -> None:
    _talk(part, at, data.conversation_id)
    if data.channel is not None:
        weigh_channel(part, data.channel, VISIT)


def _message(part: Part, at: int, event_id: str, data: Any) -> None:
    talk = _talk(part, at, data.conversation_id)
    if data.sender == "customer":
        talk.customer_ms = _earlier_ms(talk.customer_ms, at)
    elif data.sender == "agent":
        talk.agent_ms = _earlier_ms(talk.agent_ms, at)


def _ended(part: Part, at: int, event_id: str, data: Any) -> None:
    _talk(part, at, data.conversation_id)


def _rated(part: Part, at: int, event_id: str, data: Any) -> None:
    talk = _talk(part, at, data.conversation_id)
    if talk.rating is None or (at, event_id) > talk.rating[:2]:
        talk.rating = (at, event_id, data.score)
    if data.score <= LOW:
        note_low(part, at, event_id, "chat.rated", data.score, 5, data.conversation_id)


HANDLERS = {
    "chat.started": _started,
    "chat.message": _message,
    "chat.ended": _ended,
    "chat.rated": _rated,
    "ticket.opened": _opened,
    "ticket.replied": _replied,
    "ticket.resolved": _resolved,
    "ticket.reopened": _reopened,
    "ticket.rated": _ticket_rated,
}
