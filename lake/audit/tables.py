"""Tables between the audit's halves: what is read of the live state, and what the batch engine decides. Scratch."""

import pyarrow as pa

from lake.profile_table import PROFILES
from lake.tables import Column, Table

_TEXT, _MS, _COUNT, _TEXTS = pa.string(), pa.int64(), pa.int64(), pa.list_(pa.string())


def _table(name: str, meaning: str, **columns: pa.DataType) -> Table:
    return Table(name, meaning, meaning, tuple(Column(column, type_, "", "") for column, type_ in columns.items()))


PUBLISHABLE = tuple(column.name for column in PROFILES.columns[1:] if column.name != "tag_reasons")
"""Columns of a published profile that are compared with the state."""

LIVE = Table("live", "Profiles by the state at the audit's instant", "", PROFILES.columns)
LIVE_THEN = Table(
    "live_then",
    "Profiles by the state at the instant that the published profile is as of",
    "",
    (*PROFILES.columns, Column("identifiers", _TEXTS, "", "")),
)
LIVE_PARTS = _table(
    "live_parts", "Parts", part=_TEXT, one_id=_TEXT, events=_COUNT, first_ms=_MS, last_ms=_MS, recent=_TEXTS
)
LIVE_SIGHTINGS = _table(
    "live_sightings", "Other identifiers of parts", part=_TEXT, ident=_TEXT, events=_COUNT, first_ms=_MS, last_ms=_MS
)
LIVE_MARKS = _table(
    "live_marks", "Decided triggers", one_id=_TEXT, part=_TEXT, trigger_id=_TEXT, key=_TEXT, outcome=_TEXT, at_ms=_MS
)
LIVE_PEOPLE = _table(
    "live_people",
    "How people stand",
    one_id=_TEXT,
    at_rest=pa.bool_(),
    unpublished=pa.bool_(),
    published_ms=_MS,
    has_parts=pa.bool_(),
    written_ms=_MS,
)
LIVE_TABLES = (LIVE, LIVE_THEN, LIVE_PARTS, LIVE_SIGHTINGS, LIVE_MARKS, LIVE_PEOPLE)

BATCH_TRIGGERS = _table(
    "batch_triggers",
    "What the batch engine decides",
    trigger_id=_TEXT,
    rule=_TEXT,
    rule_version=pa.int64(),
    one_id=_TEXT,
    part=_TEXT,
    instance=_TEXT,
    anchor_event_id=_TEXT,
    anchor_ms=_MS,
    due_ms=_MS,
    decided_ms=_MS,
    fired_ms=_MS,
    outcome=_TEXT,
    reason=_TEXT,
    payload=_TEXT,
)
BATCH_CHANGES = _table(
    "batch_changes",
    "Changes of people that the batch engine announces",
    at_ms=_MS,
    change=_TEXT,
    one_id=_TEXT,
    other_one_id=_TEXT,
    reason=_TEXT,
    event_id=_TEXT,
)
