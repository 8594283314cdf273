"""Local time against zoneinfo, and quiet hours against a look at every minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import MAX_MS
from tests.triggers.fakes import MINUTE, at
from triggers.clock import DAY_MS, Zone, day_number, day_of, is_quiet, iso_day, quiet_end, year_of, zone

NAMES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]
NAMES += ["Asia/Kathmandu", "Africa/Casablanca", "America/St_Johns"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
instants = st.integers(0, MAX_MS - 1) | st.integers(1_700_000_000_000, 1_900_000_000_000)


@given(st.sampled_from(NAMES), instants)
def test_offset_and_day_are_those_of_zoneinfo(name: str, time_ms: int):
    local = (EPOCH + timedelta(milliseconds=time_ms)).astimezone(ZoneInfo(name))
    assert zone(name).offset(time_ms) == local.utcoffset() / timedelta(milliseconds=1)  # type: ignore[operator]
    assert iso_day(zone(name).day(time_ms)) == local.date().isoformat()


@given(st.sampled_from(NAMES), st.integers(1, 47_000), st.integers(0, 1439))
def test_a_time_of_day_is_the_instant_zoneinfo_gives_with_the_first_of_two(name: str, day: int, minutes: int):
    local = datetime(1970, 1, 1) + timedelta(days=day, minutes=minutes)
    assert zone(name).at(day, minutes) == (local.replace(tzinfo=ZoneInfo(name)) - EPOCH) / timedelta(milliseconds=1)


def test_every_hour_of_days_on_which_clocks_change():
    for name in NAMES:
        fresh = Zone(name)
        for hour in range(366 * 24):
            time_ms = at("2026-01-01 00:00") + hour * 3_600_000
            offset = (EPOCH + timedelta(milliseconds=time_ms)).astimezone(ZoneInfo(name)).utcoffset()
            assert timedelta(milliseconds=fresh.offset(time_ms)) == offset


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.sampled_from(["2026-03-28", "2026-03-08", "2026-10-24", "2026-10-31", "2026-10-03", "2026-06-10", "2026-02-15"]),
    st.integers(0, 2 * 1440),
    st.integers(0, 1439),
    st.integers(1, 1439),
)
def test_quiet_hours_end_at_the_first_minute_that_is_not_quiet(
    name: str, day: str, offset: int, start: int, length: int
):
    where, end = zone(name), (start + length) % 1440
    now = at(f"{day} 00:00", name) + offset * MINUTE + 1
    if not is_quiet(where, start, end, now):
        return
    found = quiet_end(where, start, end, now)
    minute = now - 1
    while is_quiet(where, start, end, minute):
        minute += MINUTE
    assert found == minute > now
    assert is_quiet(where, start, end, found - 1)


@pytest.mark.parametrize("text", ["1970-01-01", "2026-02-28", "2100-12-31"])
def test_days_are_counted_from_1970(text: str):
    assert iso_day(day_number(text)) == text
    assert year_of(day_number(text)) == int(text[:4])
    assert day_of(1970, 1, 2) * DAY_MS == DAY_MS


def test_an_unknown_zone_is_an_error():
    with pytest.raises(ValueError, match="Nowhere"):
        zone("Nowhere/At_All")
