"""What became of one trigger instance: a row of the triggers table, and the message on `triggers.<rule>`."""

from typing import Any, Literal

import msgspec


class Firing(msgspec.Struct, frozen=True):
    """One decided instance of a rule. All times are epoch ms.

    `instance` is None for a rule that has only one per person. The anchor is the event the time counts from, `part`
    the identifier in whose part it is. `outcome` is fired, held_out, suppressed or expired, decided at `decided_ms`;
    `fired_ms` is None unless fired or held out; `reason` is `consent` or `cap` if suppressed, else None. `one_id` is
    the person as known at the decision. `channels` (those that may be used) and `identifiers` (those of the person)
    are empty unless fired.
    """

    trigger_id: str
    rule: str
    rule_version: int
    one_id: str
    instance: str | None
    anchor_event_id: str
    anchor_ms: int
    part: str
    due_ms: int
    decided_ms: int
    fired_ms: int | None
    outcome: str
    reason: Literal["consent", "cap"] | None
    purpose: str
    channels: tuple[str, ...]
    identifiers: tuple[str, ...]
    payload: dict[str, Any]
