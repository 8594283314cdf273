"""The tickets, conversations and scores of a person, each joined from what its parts know."""

from collections.abc import Sequence

import msgspec

from profiles.part import Key, Part, TicketPart

COMPLAINTS = frozenset({"complaint", "complaints", "投诉"})
"""Categories of a ticket that make it a complaint, in lower case."""


class Ticket(msgspec.Struct, gc=False):
    """A ticket. Times are epoch ms.

    `resolutions` are (time, event id, part key) of the latest resolution and of any others at the same instant,
    ascending.
    """

    ticket_id: str
    open: bool
    opened_ms: int | None
    replied_ms: int | None
    resolutions: tuple[tuple[int, str, str], ...]
    subject: str | None
    category: str | None
    priority: str | None
    sku: str | None
    order_id: str | None
    score: int | None

    @property
    def resolved(self) -> tuple[int, str, str] | None:
        """The latest resolution, None if there is none."""
        return self.resolutions[-1] if self.resolutions else None


class Score(msgspec.Struct, gc=False, frozen=True):
    """A low score: its event, the part it is in, and the conversation, ticket or survey it is about."""

    time_ms: int
    event_id: str
    part: str
    type: str
    score: float
    scale: float
    object_id: str


class Service(msgspec.Struct, gc=False):
    """How a person was served. Times are means in ms, the satisfaction the mean of ratings 1 to 5; None if unknown."""

    open_tickets: tuple[str, ...]
    tickets: int
    complaints: int
    first_response_ms: int | None
    resolution_ms: int | None
    chat_response_ms: int | None
    satisfaction: float | None


def join_tickets(parts: Sequence[Part]) -> dict[str, Ticket]:
    """Return the tickets by id in alphabetical order."""
    held: dict[str, list[tuple[str, TicketPart]]] = {}
    for part in parts:
        if part.tickets is not None:
            for ticket_id, ticket in part.tickets.items():
                held.setdefault(ticket_id, []).append((part.key, ticket))
    return {ticket_id: _join(ticket_id, held[ticket_id]) for ticket_id in sorted(held)}


def _join(ticket_id: str, held: list[tuple[str, TicketPart]]) -> Ticket:
    opened: Key | None = None
    about = held[0][1]
    going: Key | None = None
    resolutions: list[tuple[int, str, str]] = []
    rating: tuple[int, str, int] | None = None
    first_opened = replied = -1
    for part_key, ticket in held:
        if ticket.opened is not None and (opened is None or ticket.opened > opened):
            opened = ticket.opened
            about = ticket
        for key in (ticket.opened, ticket.reopened):
            if key is not None and (going is None or key > going):
                going = key
        if ticket.resolved is not None and (not resolutions or ticket.resolved[0] >= resolutions[0][0]):
            at, event_id = ticket.resolved
            if resolutions and at > resolutions[0][0]:
                resolutions.clear()
            resolutions += [(at, each, part_key) for each in (event_id, *(ticket.resolved_beside or ()))]
        if ticket.rating is not None and (rating is None or ticket.rating[:2] > rating[:2]):
            rating = ticket.rating
        if ticket.first_opened_ms >= 0 and (first_opened < 0 or ticket.first_opened_ms < first_opened):
            first_opened = ticket.first_opened_ms
        if ticket.replied_ms >= 0 and (replied < 0 or ticket.replied_ms < replied):
            replied = ticket.replied_ms
    resolutions.sort()
    return Ticket(
        ticket_id,
        going is not None and (not resolutions or going > resolutions[-1][:2]),
        None if first_opened < 0 else first_opened,
        None if replied < 0 else replied,
        tuple(resolutions),
        about.subject,
        about.category,
        about.priority,
        about.sku,
        about.order_id,
        None if rating is None else rating[2],
    )


def join_scores(parts: Sequence[Part], cut_ms: int) -> list[Score]:
    """Return the low scores from a time on, by (time, id)."""
    scores = [
        Score(at, event_id, part.key, kind, score, scale, about)
        for part in parts
        for at, event_id, kind, score, scale, about in part.scores or ()
        if at >= cut_ms
    ]
    scores.sort(key=lambda score: (score.time_ms, score.event_id))
    return scores


def _mean(values: list[int]) -> int | None:
    """Return the mean, rounded half to even."""
    return rounded_ratio(sum(values), len(values)) if values else None


def rounded_ratio(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half to even, exactly; the denominator is positive."""
    whole, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1):
        return whole + 1
    return whole


def is_complaint(ticket: Ticket) -> bool:
    """Say whether the category of a ticket makes it a complaint."""
    return ticket.category is not None and ticket.category.lower() in COMPLAINTS


def first_response_ms(ticket: Ticket) -> int | None:
    """Return the time from the first opening of a ticket to its first reply, None if there is none after it."""
    if ticket.opened_ms is None or ticket.replied_ms is None or ticket.replied_ms < ticket.opened_ms:
        return None
    return ticket.replied_ms - ticket.opened_ms


def resolution_ms(ticket: Ticket) -> int | None:
    """Return the time from the first opening of a ticket to its latest resolution, None while it is open."""
    resolved = ticket.resolved
    if ticket.opened_ms is None or resolved is None or ticket.open or resolved[0] < ticket.opened_ms:
        return None
    return resolved[0] - ticket.opened_ms


def serve(parts: Sequence[Part], tickets: dict[str, Ticket]) -> Service:
    """Measure the service of a person.

    The first response of a ticket is its first reply after its first opening; its resolution is the latest one after
    its first opening, while it is not open; the response of a chat is the first message of an agent after the
    customer's first. Satisfaction is the mean of the latest rating of each ticket and conversation, to 2 places.
    """
    responses = []
    resolutions = []
    ratings = []
    complaints = 0
    open_tickets = []
    for ticket in tickets.values():
        if ticket.open:
            open_tickets.append(ticket.ticket_id)
        complaints += is_complaint(ticket)
        if ticket.score is not None:
            ratings.append(ticket.score)
        response, resolution = first_response_ms(ticket), resolution_ms(ticket)
        if response is not None:
            responses.append(response)
        if resolution is not None:
            resolutions.append(resolution)
    talks = _join_talks(parts)
    chats = []
    for customer_ms, agent_ms, rating in talks.values():
        if 0 <= customer_ms <= agent_ms:
            chats.append(agent_ms - customer_ms)
        if rating is not None:
            ratings.append(rating[2])
    return Service(
        tuple(open_tickets),
        len(tickets),
        complaints,
        _mean(responses),
        _mean(resolutions),
        _mean(chats),
        rounded_ratio(100 * sum(ratings), len(ratings)) / 100 if ratings else None,
    )


Talk = tuple[int, int, tuple[int, str, int] | None]


def _join_talks(parts: Sequence[Part]) -> dict[str, Talk]:
    """Return the conversations by id: first message of the customer, of an agent (ms or -1), latest rating."""
    talks: dict[str, Talk] = {}
    for part in parts:
        for talk_id, talk in (part.talks or {}).items():
            customer, agent, rating = talks.get(talk_id, (-1, -1, None))
            if talk.customer_ms >= 0 and (customer < 0 or talk.customer_ms < customer):
                customer = talk.customer_ms
            if talk.agent_ms >= 0 and (agent < 0 or talk.agent_ms < agent):
                agent = talk.agent_ms
            if talk.rating is not None and (rating is None or talk.rating[:2] > rating[:2]):
                rating = talk.rating
            talks[talk_id] = (customer, agent, rating)
    return talks
