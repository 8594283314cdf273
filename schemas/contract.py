"""The one contract for events: the envelope, every event type, and the table that names them.

Everything else is made from these models by code: the fast decoder, the JSON Schemas, the AsyncAPI document.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from schemas import types_browse as browse
from schemas import types_customer as customer
from schemas import types_order as order
from schemas import types_service as service
from schemas.fields import Data, Identifiers, Instant, Model, Text, Version

CUSTOM_PREFIX = "custom."
LINK_TYPES = frozenset({"customer.linked", "customer.unlinked"})

EventId = Annotated[str, Field(min_length=1, max_length=200)]

FAMILIES: dict[str, dict[str, type[Data]]] = {
    "order": {
        "order.placed": order.OrderPlaced,
        "order.paid": order.OrderPaid,
        "order.cancelled": order.OrderCancelled,
        "order.refunded": order.OrderRefunded,
        "order.delivered": order.OrderDelivered,
    },
    "browse": {
        "page.viewed": browse.PageViewed,
        "product.viewed": browse.ProductViewed,
        "category.viewed": browse.CategoryViewed,
        "search.performed": browse.SearchPerformed,
        "cart.added": browse.CartAdded,
        "cart.removed": browse.CartRemoved,
        "cart.cleared": browse.CartCleared,
        "checkout.started": browse.CheckoutStarted,
        "app.opened": browse.AppOpened,
    },
    "chat": {
        "chat.started": service.ChatStarted,
        "chat.message": service.ChatMessage,
        "chat.ended": service.ChatEnded,
        "chat.rated": service.ChatRated,
    },
    "ticket": {
        "ticket.opened": service.TicketOpened,
        "ticket.assigned": service.TicketAssigned,
        "ticket.replied": service.TicketReplied,
        "ticket.resolved": service.TicketResolved,
        "ticket.reopened": service.TicketReopened,
        "ticket.rated": service.TicketRated,
    },
    "customer": {
        "customer.identified": customer.CustomerIdentified,
        "customer.consented": customer.CustomerConsented,
        "survey.answered": customer.SurveyAnswered,
        "points.changed": customer.PointsChanged,
        "customer.checked_in": customer.CustomerCheckedIn,
        "message.sent": customer.MessageSent,
        "message.opened": customer.MessageOpened,
        "message.clicked": customer.MessageClicked,
        "customer.linked": customer.CustomerLinked,
        "customer.unlinked": customer.CustomerUnlinked,
    },
}
"""The event types by family, with what each one says."""

DATA_MODELS: dict[str, type[Data]] = {name: model for types in FAMILIES.values() for name, model in types.items()}


class Head(Model):
    """What must be right before anything else of an event is looked at."""

    id: EventId = Field(description="The idempotency key, unique over all sources.")
    type: Text = Field(description="The event's type.")


class Envelope(Head):
    """What every event has."""

    time: Instant = Field(
        description="When it happened: RFC 3339 with an offset, or epoch milliseconds; from 1970 up to 2101."
    )
    identifiers: Identifiers = Field(description="Who it is about: a map of kind to a string or a list of strings.")
    source: Text | None = Field(default=None, description="Which system says so; `unknown` when left out.")
    schema_version: Version | None = Field(default=None, description="Version of the data's shape; 1 when left out.")
    specversion: Any = Field(default=None, description="CloudEvents' version of its envelope; accepted, not used.")
    data: Any = Field(default=None, description="What the type says.")


class CustomEvent(Envelope):
    """An event of a type of your own, with free data."""

    type: Annotated[str, Field(pattern=r"^custom\.[\s\S]+$")] = Field(description="`custom.` and a name.")


def _event_model(name: str, data: type[Data]) -> type[Envelope]:
    fields: dict[str, Any] = {"type": (Literal[name], Field(description="The event's type."))}
    description = "What the type says."
    if needs_data(data):
        fields["data"] = (data, Field(description=description))
    else:
        fields["data"] = (data | None, Field(default=None, description=description))
    if name in LINK_TYPES:
        fields["identifiers"] = (Identifiers | None, Field(default=None, description="Not looked at: see `data`."))
    return create_model(f"{data.__name__}Event", __base__=Envelope, __doc__=data.__doc__, __module__=__name__, **fields)


def needs_data(data: type[Data]) -> bool:
    """Return whether something in the data is required, so that it cannot be absent."""
    return any(field.is_required() for field in data.model_fields.values())


EVENT_MODELS: dict[str, type[Envelope]] = {name: _event_model(name, data) for name, data in DATA_MODELS.items()}
"""The whole event of each type, envelope and data."""


def event_model(name: str) -> type[Envelope] | None:
    """Return the model of an event type, `custom.<name>` included, or None for a type that is unknown."""
    if name.startswith(CUSTOM_PREFIX) and len(name) > len(CUSTOM_PREFIX):
        return CustomEvent
    return EVENT_MODELS.get(name)
