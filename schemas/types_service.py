"""What the chat and ticket events say."""

from typing import Literal

from pydantic import Field

from schemas.fields import Data, Name, Score, Text


class _Chat(Data):
    """About one conversation."""

    conversation_id: Name = Field(description="The conversation, the same in every event about it.")


class ChatStarted(_Chat):
    """A conversation began."""

    channel: Text | None = Field(default=None, description="Where: wechat, web, phone.")


class ChatMessage(_Chat):
    """Someone said something."""

    sender: Literal["customer", "agent", "bot"] = Field(description="Who said it.")
    text: Text | None = Field(default=None, description="What was said.")


class ChatEnded(_Chat):
    """A conversation ended."""


class ChatRated(_Chat):
    """The customer rated a conversation."""

    score: Score = Field(description="From 1, bad, to 5, good.")


class _Ticket(Data):
    """About one ticket."""

    ticket_id: Name = Field(description="The ticket, the same in every event about it.")


class TicketOpened(_Ticket):
    """A ticket was opened."""

    subject: Text | None = Field(default=None, description="What it is about, in words.")
    category: Text | None = Field(default=None, description="Its kind: delivery, quality, invoice.")
    priority: Text | None = Field(default=None, description="How urgent it is.")
    sku: Text | None = Field(default=None, description="The product it is about.")
    order_id: Text | None = Field(default=None, description="The order it is about.")


class TicketAssigned(_Ticket):
    """A ticket was given to an agent."""

    agent: Text = Field(description="Who works on it.")


class TicketReplied(_Ticket):
    """An agent answered."""


class TicketResolved(_Ticket):
    """A ticket was resolved."""


class TicketReopened(_Ticket):
    """A resolved ticket was opened again."""


class TicketRated(_Ticket):
    """The customer rated how a ticket was handled."""

    score: Score = Field(description="From 1, bad, to 5, good.")
