"""The messages that Kith itself publishes, as models for the AsyncAPI document and for those who read them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.types_customer import End

_ONE_ID = "The person's OneID."
_MS = "in epoch milliseconds"


class Message(BaseModel):
    """Base of the messages: readers ignore fields they do not know."""

    model_config = ConfigDict(strict=True, extra="allow")


class DeadLetter(Message):
    """A line or message that could not be accepted, with its bytes. Headers carry topic, partition and offset."""

    reason: Literal[
        "not_json", "invalid", "unknown_type", "no_identifier", "invalid_link", "id_conflict", "too_large", "too_late"
    ] = Field(description="Which rule it broke.")
    detail: str = Field(description="In words, naming the field.")
    source: str = Field(description="The file or the topic it came from.")
    line: int | None = Field(default=None, ge=1, description="Its line in a file, blank lines counted.")
    partition: int | None = Field(default=None, ge=0, description="Its partition of the topic.")
    offset: int | None = Field(default=None, ge=0, description="Its offset in the partition.")
    raw: str = Field(description="The original bytes in base64.", json_schema_extra={"contentEncoding": "base64"})


class IdentifiedEvent(Message):
    """An accepted event and the person it belongs to."""

    one_id: str = Field(description=_ONE_ID)
    id: str = Field(description="The event's id.")
    type: str = Field(description="The event's type.")
    time_ms: int = Field(ge=0, description=f"When it happened, {_MS}.")
    idents: list[str] = Field(description="Its identifiers as `kind:value`; the first one names its part.")
    data: Any = Field(description="What it says, with amounts in integer minor units.")


class Move(Message):
    """A part goes to another person."""

    part: str = Field(description="The identifier whose part it is, as `kind:value`.")
    from_one_id: str | None = Field(description="Who had it; null: the part is new.")
    to_one_id: str = Field(description="Who has it now.")


class EventCommand(Message):
    """A change of who owns which part; it travels among the events so that their order is kept."""

    step: int = Field(ge=0, description="The resolver's step.")
    at_ms: int = Field(ge=0, description=f"Event time of the change, {_MS}.")
    moves: list[Move] = Field(description="The parts that change hands.")


class IdentityRequest(Message):
    """An event with evidence that has not been seen before, for the resolver."""

    id: str = Field(description="The event's id.")
    type: str = Field(description="The event's type.")
    time_ms: int = Field(ge=0, description=f"When it happened, {_MS}.")
    idents: list[str] = Field(description="Its identifiers as `kind:value`; none for a steward's link.")
    data: Any = Field(description="What it says, with amounts in integer minor units.")


class Edge(Message):
    """Evidence that two identifiers belong together."""

    other: str = Field(description="The other identifier.")
    time_ms: int = Field(ge=0, description=f"When it was first shown, {_MS}.")
    event_id: str = Field(description="The event that first showed it.")


class GraphRow(Message):
    """One identifier of the graph."""

    identifier: str = Field(description="As `kind:value`.")
    one_id: str | None = Field(description="The OneID of its person.")
    first_seen_ms: int | None = Field(description=f"When it was first seen, {_MS}; null if only a steward named it.")
    has_part: bool = Field(description="Whether it was the first identifier of an event.")
    edges: list[Edge] = Field(description="Its evidence.")


class IdentityChange(Message):
    """Two people became one, one became two, evidence was refused, an identifier became a hub, a person was erased."""

    change: Literal["merged", "split", "refused", "hub", "erased"] = Field(description="What happened.")
    one_id: str = Field(description="The person that stays; of a hub, the one that holds it.")
    other_one_id: str | None = Field(default=None, description="The person merged into it, or split off from it.")
    reason: str | None = Field(default=None, description="Of a refusal: limit, unlinked or size; of a hub: which.")
    at_ms: int = Field(ge=0, description=f"The time of the evidence, {_MS}.")
    evidence_event_id: str = Field(description="The event that caused it.")


class PartState(Message):
    """The facts of one part and its fired marks. Internal: written as msgpack, and of no fixed shape for others."""

    one_id: str = Field(description=_ONE_ID)
    part: str = Field(description="The identifier whose part it is, as `kind:value`.")
    state: str = Field(description="The part, msgpack.", json_schema_extra={"contentEncoding": "base64"})


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
    due_ms: int = Field(ge=0, description=f"When it was due, {_MS}.")
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
