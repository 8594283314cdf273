"""The audit's SQL against the fold: whatever events there are, both make the same profiles."""

from types import SimpleNamespace
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.audit import expected, profiles
from lake.audit.found import Found
from lake.profile_table import PROFILES
from profiles.derive import derive_row
from profiles.facts import Facts
from schemas.event import Event
from schemas.settings import Settings
from tests.profiles.support import DAY, SETTINGS, T0, event_lists, fold_all

NOWS = st.sampled_from([T0, T0 + 6 * DAY, T0 + 70 * DAY, T0 + 200 * DAY, T0 + 364 * DAY, T0 + 800 * DAY])
COLUMNS = "one_id VARCHAR, part VARCHAR, event_id VARCHAR, type VARCHAR, ms BIGINT, idents VARCHAR[], data JSON"


def said(value: Any) -> Any:
    """Data as it stands in messages: absent fields are left out."""
    if isinstance(value, SimpleNamespace):
        return {name: said(inner) for name, inner in vars(value).items() if inner is not None}
    return [said(inner) for inner in value] if isinstance(value, list) else value


def person_of(part: str) -> str:
    """Two people: the parts with an even number at the end, and the others."""
    return "even" if part[-1] in "02468" else "odd"


def audited(events: list[Event], now: int, given_settings: Settings = SETTINGS) -> Found:
    """Compare the fold's profiles of the events with those of the SQL."""
    connection = duckdb.connect(config={"threads": 1})
    expected.prepare(connection, given_settings, now)
    connection.execute(f"CREATE TEMP TABLE ev ({COLUMNS})")
    rows = [
        (
            person_of(e.idents[0]),
            e.idents[0],
            e.id,
            e.type,
            e.time_ms,
            list(e.idents),
            msgspec.json.encode(said(e.data)).decode(),
        )
        for e in events
    ]
    if rows:
        connection.executemany("INSERT INTO ev VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    expected.fill(connection)
    parts = fold_all(events, given_settings)
    live = []
    for one_id in ("even", "odd"):
        facts = Facts([part for part in parts if person_of(part.key) == one_id], given_settings)
        if facts.parts:
            live.append((one_id, *derive_row(facts, now, given_settings, None)))
    arrays = [
        pa.array(list(column), field.type)
        for column, field in zip(
            zip(*live, strict=True) if live else [()] * len(PROFILES.schema), PROFILES.schema, strict=True
        )
    ]
    connection.register("live", pa.Table.from_arrays(arrays, schema=PROFILES.schema))
    connection.execute("CREATE TEMP TABLE unbounded (one_id VARCHAR, what VARCHAR)")
    found = Found()
    profiles.compare(connection, found)
    connection.close()
    return found


@settings(max_examples=40, deadline=None)
@given(event_lists(keys=4), NOWS)
def test_any_events_give_the_same_profiles_by_sql_and_by_the_fold(events: list[Event], now: int) -> None:
    assert [each.text for each in audited(events, now).kept] == []


@settings(max_examples=15, deadline=None)
@given(event_lists(days=400, keys=2), NOWS)
def test_over_a_year_too(events: list[Event], now: int) -> None:
    assert [each.text for each in audited(events, now).kept] == []
