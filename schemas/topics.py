"""The one table of topics: name, key, model, partitions and cleanup. Everything else reads it."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from schemas import messages
from schemas.contract import CUSTOM_PREFIX, EVENT_MODELS, FAMILIES, CustomEvent
from schemas.profile import Profile


@dataclass(frozen=True)
class Topic:
    """One topic, or for a name with `{rule}` one topic per rule.

    `key` says what the message key is, `models` what a value can be, `partitions` how many there are unless the
    deployment says otherwise. Of an `internal` topic the shape may change with any release.
    """

    name: str
    key: str
    cleanup: Literal["delete", "compact"]
    partitions: int
    models: tuple[type[BaseModel], ...]
    holds: str
    internal: bool = False

    def named(self, rule: str) -> str:
        """Return the topic's name for a rule (other topics: the name)."""
        return self.name.replace("{rule}", rule)


PARTITIONS = 12
"""Partitions of a topic that many workers share: divides evenly among 2, 3, 4, 6 and 12 of them."""

MAX_MESSAGE_BYTES = 16 << 20
"""Of every topic, and asked of the brokers: an event of the largest size, with its address or in base64, still fits."""

_RAW_HOLDS = {
    "order": "Raw order events.",
    "browse": "Raw browse events.",
    "chat": "Raw chat events.",
    "ticket": "Raw ticket events.",
    "customer": "Raw customer events, surveys, points, messages, links, and custom.* events.",
}


def _raw_topic(family: str) -> Topic:
    models: tuple[type[BaseModel], ...] = tuple(EVENT_MODELS[name] for name in FAMILIES[family])
    if family == "customer":
        models += (CustomEvent,)
    return Topic(f"events.{family}", "publisher's choice", "delete", PARTITIONS, models, _RAW_HOLDS[family])


TOPICS: tuple[Topic, ...] = (
    *(_raw_topic(family) for family in FAMILIES),
    Topic(
        "events.deadletter",
        "original key",
        "delete",
        1,
        (messages.DeadLetter,),
        "Original bytes, reason, origin topic, partition and offset.",
    ),
    Topic(
        "identity.requests",
        "identity space",
        "delete",
        1,  # one active resolver per identity space, which needs their order
        (messages.IdentityRequest,),
        "Events with new evidence.",
        internal=True,
    ),
    Topic(
        "identity.graph",
        "identifier, pair or former OneID",
        "compact",
        PARTITIONS,
        (
            messages.GraphNode,
            messages.GraphEdge,
            messages.GraphCommand,
            messages.GraphAlias,
            messages.GraphStep,
        ),
        "Identifiers with their OneID, evidence, former OneIDs: one record per fact.",
    ),
    Topic(
        "identity.changes",
        "one_id",
        "delete",
        PARTITIONS,
        (messages.IdentityChange,),
        "Merged, split, erased: for downstream systems.",
    ),
    Topic(
        "events.identified",
        "one_id",
        "delete",
        PARTITIONS,
        (messages.IdentifiedEvent, messages.EventCommand, messages.PartMoved, messages.ClockMoved),
        "Events with their OneID, parts that move, and commands.",
    ),
    Topic(
        "profiles.state",
        "one_id",
        "compact",
        PARTITIONS,
        (messages.PersonState,),
        "One record per person: parts, fired marks, what is under way.",
        internal=True,
    ),
    Topic("profiles", "one_id", "compact", PARTITIONS, (Profile,), "The public profile."),
    Topic(
        "segments.changes",
        "one_id",
        "delete",
        PARTITIONS,
        (messages.SegmentChange,),
        "Tag or segment entered, left.",
    ),
    Topic(
        "triggers.{rule}",
        "one_id",
        "delete",
        PARTITIONS,
        (messages.TriggerMessage,),
        "What marketing tools consume.",
    ),
    Topic(
        "control.commands",
        "command_id",
        "delete",
        1,
        (messages.ClockCommand, messages.EraseCommand, messages.SplitCommand, messages.RuleCommand),
        "The clock of a backfill, erasure, split, rule updates.",
    ),
    Topic(
        "quality.tickets",
        "sku",
        "delete",
        1,
        (messages.QualityTicket,),
        "Tickets about a product, for the alarms.",
        internal=True,
    ),
    Topic(
        "alarms.quality",
        "sku",
        "delete",
        1,
        (messages.QualityAlarm,),
        "Many customers opened tickets about one product.",
    ),
    Topic(
        "alarms.state",
        "sku",
        "compact",
        1,
        (messages.AlarmState,),
        "The tickets within the window, by product.",
        internal=True,
    ),
    Topic(
        "webhooks.deadletter",
        "trigger_id",
        "delete",
        1,
        (messages.WebhookDeadLetter,),
        "Firings that could not be delivered.",
    ),
)

_BY_NAME = {topic.name: topic for topic in TOPICS}
_FAMILY_OF = {name: family for family, types in FAMILIES.items() for name in types}


def topic(name: str) -> Topic:
    """Return the topic of a name as the table spells it. Raises KeyError."""
    return _BY_NAME[name]


def raw_topic(event_type: str) -> Topic | None:
    """Return where events of a type are published, None for an unknown type."""
    if event_type.startswith(CUSTOM_PREFIX):
        return _BY_NAME["events.customer"]
    family = _FAMILY_OF.get(event_type)
    return None if family is None else _BY_NAME[f"events.{family}"]
