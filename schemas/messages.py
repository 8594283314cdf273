"""The messages that Kith itself publishes, as models for the AsyncAPI document and for those who read them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import Reason
from schemas.types_customer import End

_ONE_ID = "The person's OneID."
_MS = "in epoch milliseconds"


class Message(BaseModel):
    """Base of the messages: readers ignore fields they do not know."""

    model_config = ConfigDict(strict=True, extra="allow")


class DeadLetter(Message):
    """A line or message that could not be accepted, with its bytes."""

    reason: Reason = Field(description="Which rule it broke.")
    detail: str = Field(description="In words, naming the field.")
    source: str = Field(description="The file or the topic (without prefix) it came from.")
    line: int | None = Field(default=None, ge=1, description="Its line in a file, blank lines counted.")
    partition: int | None = Field(default=None, ge=0, description="Its partition of the topic.")
    offset: int | None = Field(default=None, ge=0, description="Its offset in the partition.")
    raw: str = Field(description="The original bytes in base64.", json_schema_extra={"contentEncoding": "base64"})
    size: int | None = Field(
        default=None, ge=0, description="How many bytes there were, where `raw` holds only the beginning."
    )


_SOURCE = "Where it came from: topic, partition, offset, time of arrival in epoch milliseconds, digest of its content."


class IdentifiedEvent(Message):
    """An accepted event and the person it is addressed to."""

    message: Literal["event"] = Field(description="What this is.")
    one_id: str = Field(description=_ONE_ID)
    id: str = Field(description="The event's id.")
    type: str = Field(description="The event's type.")
    time_ms: int = Field(ge=0, description=f"When it happened, {_MS}.")
    idents: list[str] = Field(description="Its identifiers as `kind:value`; the first one names its part.")
    data: Any = Field(description="What it says, with amounts in integer minor units.")
    source: list[Any] | None = Field(description=_SOURCE)


class Move(Message):
    """A part goes to another person."""

    part: str = Field(description="The identifier whose part it is, as `kind:value`.")
    from_one_id: str | None = Field(description="Who had it; null: the part is new.")
    to_one_id: str = Field(description="Who has it now.")


class EventCommand(Message):
    """A change of who owns which part; it travels among the events so that their order is kept."""

    message: Literal["change"] = Field(description="What this is.")
    step: int = Field(ge=0, description="The resolver's step.")
    at_ms: int = Field(ge=0, description=f"Event time of the change, {_MS}.")
    moves: list[Move] = Field(description="The parts that change hands.")


class PartMoved(Message):
    """A part on its way to another person, as the change of the same step ordered."""

    message: Literal["part"] = Field(description="What this is.")
    step: int = Field(ge=0, description="The resolver's step.")
    one_id: str = Field(description="Who receives it.")
    state: str = Field(description="The part, msgpack.", json_schema_extra={"contentEncoding": "base64"})


class ClockMoved(Message):
    """Everybody's clock goes on; only where no wall clock runs."""

    message: Literal["clock"] = Field(description="What this is.")
    to_ms: int = Field(ge=0, description=f"To when, {_MS}.")


class IdentityRequest(Message):
    """An event with evidence that has not been seen before, for the resolver."""

    message: Literal["event"] = Field(description="What this is.")
    id: str = Field(description="The event's id.")
    type: str = Field(description="The event's type.")
    time_ms: int = Field(ge=0, description=f"When it happened, {_MS}.")
    idents: list[str] = Field(description="Its identifiers as `kind:value`; none for a steward's link.")
    data: Any = Field(description="What it says, with amounts in integer minor units.")
    source: list[Any] | None = Field(description=_SOURCE)


class GraphNode(Message):
    """An identifier of the graph; the key is the identifier, as `kind:value`."""

    one_id: str | None = Field(description="The OneID of its person.")
    first_ms: int | None = Field(description=f"When it was first seen, {_MS}; null if only a steward named it.")
    first_id: str | None = Field(description="The event that first showed it.")
    has_part: bool = Field(description="Whether it was the first identifier of an event.")


class GraphEdge(Message):
    """Evidence that two identifiers belong together; the key is the pair, in order, with a NUL between."""

    ms: int = Field(ge=0, description=f"When it was first shown, {_MS}.")
    id: str = Field(description="The event that first showed it.")


class GraphCommand(Message):
    """A steward's last word on two identifiers; the key is the pair with a NUL behind each, then `command`."""

    kind: str = Field(description="Whether it joins or parts them.")
    ms: int = Field(ge=0, description=f"Its time, {_MS}.")
    id: str = Field(description="Its event.")


class GraphAlias(Message):
    """A former OneID; the key is a NUL, `alias`, a NUL, the OneID."""

    ident: str = Field(description="The identifier that named it; whoever holds that now is who was meant.")


class GraphStep(Message):
    """How many decisions the resolver has made; the key is a NUL and `step`."""

    step: int = Field(ge=0, description="The number of the last one.")


class IdentityChange(Message):
    """Two people became one, one became two, evidence was refused, an identifier became a hub, a person was erased."""

    change: Literal["merged", "split", "refused", "hub", "erased"] = Field(description="What happened.")
    one_id: str = Field(description="The person that stays; of a hub, the one that holds it.")
    other_one_id: str | None = Field(default=None, description="The person merged into it, or split off from it.")
    reason: str | None = Field(default=None, description="Of a refusal: limit, unlinked or size; of a hub: which.")
    at_ms: int = Field(ge=0, description=f"The time of the evidence, {_MS}.")
    evidence_event_id: str = Field(description="The event that caused it.")


class PersonState(Message):
    """A person with all parts, fired marks and what is under way. Internal: msgpack, of no fixed shape for others."""

    state: str = Field(description="The person, msgpack.", json_schema_extra={"contentEncoding": "base64"})


class TriggerMessage(Message):
    """The moment to act has come for a person."""

    trigger_id: str = Field(description="The firing's id; the same in a replay and after a merge.")
    rule: str = Field(description="The rule's name.")
    rule_version: int = Field(description="Its version.")
    one_id: str = Field(description=_ONE_ID)
    identifiers: list[str] = Field(description="Identifiers that may be reached for the purpose, as `kind:value`.")
    instance: str | None = Field(description="The cart, day, SKU or ticket it is about, where the rule has several.")
    anchor_event_id: str = Field(description="The event that the time counts from.")
    anchor_ms: int = Field(ge=0, description=f"That event's time, {_MS}.")
    part: str = Field(description="The identifier whose part holds that event, as `kind:value`.")
    due_ms: int = Field(ge=0, description=f"When it was due, {_MS}.")
    decided_ms: int = Field(ge=0, description=f"When its outcome was decided, {_MS}.")
    fired_ms: int | None = Field(description=f"When it fired, {_MS}.")
    outcome: Literal["fired", "held_out", "suppressed", "expired"] = Field(description="What became of it.")
    reason: Literal["consent", "cap"] | None = Field(description="Why it was suppressed.")
    purpose: str = Field(description="The consent it needs.")
    channels: list[str] = Field(description="Channels it may go by.")
    payload: dict[str, Any] = Field(description="What the rule hands on: SKUs, values, names.")


class SegmentChange(Message):
    """A tag or a segment was entered or left."""

    one_id: str = Field(description=_ONE_ID)
    segment: str = Field(description="The tag or segment.")
    change: Literal["entered", "left"] = Field(description="Which way.")
    at_ms: int = Field(ge=0, description=f"When, {_MS}.")
    rule: str = Field(description="The rule that decided.")
    rule_version: int = Field(description="Its version.")
    evidence: list[str] = Field(description="The ids of the events behind it.")


class EraseCommand(Message):
    """Erase a person."""

    command: Literal["erase"] = Field(description="What to do.")
    command_id: str = Field(description="The same id again is the same command.")
    target: End = Field(description="An identifier of the person.")


class SplitCommand(Message):
    """Part two identifiers."""

    command: Literal["split"] = Field(description="What to do.")
    command_id: str = Field(description="The same id again is the same command.")
    a: End = Field(description="One identifier.")
    b: End = Field(description="The other one.")
    reason: str | None = Field(default=None, description="Why, in words.")


class RuleCommand(Message):
    """Put a rule in force, or take it out."""

    command: Literal["rule"] = Field(description="What to do.")
    command_id: str = Field(description="The same id again is the same command.")
    rule: str = Field(description="The rule's name.")
    definition: dict[str, Any] | None = Field(description="The rule; null takes it out of force.")


class ClockCommand(Message):
    """Move everybody's clock on, where no wall clock runs."""

    command: Literal["clock"] = Field(description="What to do.")
    command_id: str = Field(description="The same id again is the same command.")
    to_ms: int = Field(ge=0, description=f"To when, {_MS}.")


class QualityTicket(Message):
    """A customer opened a ticket about a product."""

    one_id: str = Field(description=_ONE_ID)
    ticket_id: str = Field(description="The ticket.")
    sku: str = Field(description="The product.")
    at_ms: int = Field(ge=0, description=f"When it was opened, {_MS}.")
    bought: bool = Field(description="Whether the customer has bought the product.")
    order_ids: list[str] = Field(description="The orders with it.")


class AlarmCustomer(Message):
    """A customer behind an alarm."""

    one_id: str = Field(description=_ONE_ID)
    ticket_id: str = Field(description="The customer's ticket.")
    at_ms: int = Field(ge=0, description=f"When it was opened, {_MS}.")
    bought: bool = Field(description="Whether the customer has bought the product.")
    order_ids: list[str] = Field(description="The orders with it.")


class QualityAlarm(Message):
    """Many customers opened tickets about one product within the window."""

    alarm_id: str = Field(description="The same burst has the same id.")
    sku: str = Field(description="The product.")
    from_ms: int = Field(ge=0, description=f"The first of the tickets, {_MS}.")
    to_ms: int = Field(ge=0, description=f"The last of the tickets, {_MS}.")
    customers: list[AlarmCustomer] = Field(description="Who opened them.")
    count: int = Field(ge=1, description="How many customers.")


class AlarmState(Message):
    """The tickets about one product within the window. Internal: the changelog of the alarms' table."""

    tickets: list[AlarmCustomer] = Field(description="By time.")
    raised: bool = Field(description="Whether an alarm was raised, and they have not become fewer since.")


class WebhookDeadLetter(Message):
    """A firing that could not be delivered to a webhook."""

    trigger_id: str = Field(description="The firing.")
    target: str = Field(description="The webhook's name.")
    attempts: int = Field(ge=1, description="How often it was tried.")
    status: int | None = Field(default=None, description="The last answer's HTTP status; null: there was none.")
    error: str = Field(description="What went wrong, in words.")
    at_ms: int = Field(ge=0, description=f"When it was given up, {_MS}.")
    trigger: dict[str, Any] = Field(description="The firing's message, as it was to be delivered.")
