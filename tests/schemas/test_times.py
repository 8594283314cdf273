from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import MAX_MS, format_ms, parse_duration, parse_rfc3339, zone

BASE = 1767323045000  # 2026-01-02T03:04:05Z


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-02T03:04:05Z", BASE),
        ("2026-01-02t03:04:05z", BASE),
        ("2026-01-02 03:04:05Z", BASE),
        ("2026-01-02T11:04:05+08:00", BASE),
        ("2026-01-01T21:34:05-05:30", BASE),
        ("2026-01-02T03:04:05-00:00", BASE),
        ("2026-01-02T03:04:05.6Z", BASE + 600),
        ("2026-01-02T03:04:05.6789Z", BASE + 678),
        ("2026-01-02T03:04:05.999999999999999999Z", BASE + 999),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("2100-12-31T23:59:59.999Z", MAX_MS - 1),
        ("2101-01-01T00:59:59+01:00", MAX_MS - 1000),
        ("2016-12-31T23:59:60Z", 1483228800000),
        ("2016-12-31T23:59:60.5Z", 1483228800000),
        ("2017-01-01T07:59:60+08:00", 1483228800000),
        ("1969-12-31T23:59:60Z", 0),
        ("2024-02-29T00:00:00Z", 1709164800000),
    ],
)
def test_times_are_read_to_the_millisecond(text: str, ms: int) -> None:
    assert parse_rfc3339(text) == ms
    assert parse_rfc3339(text) == ms  # from the cache


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04Z", "2026-01-02T03:04:05,6Z", "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05+0800", "2026-01-02T03:04:05+08", "2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05+08:60",
        "2026-01-02T24:00:00Z", "2026-01-02T03:60:00Z", "2026-01-02T03:04:60Z", "2026-01-02T03:04:61Z",
        "2026-01-02T23:59:60+08:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "0000-01-01T00:00:00Z", "2026-01-02  03:04:05Z", "2026-01-02_03:04:05Z", " 2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05Z ", "2026-01-02T03:04:05Z\n", "２026-01-02T03:04:05Z", "2026-01-02T0٣:04:05Z",
        "2026-01-02T03:04:05.６Z", "26-01-02T03:04:05Z", "+2026-01-02T03:04:05Z", "1969-12-31T23:59:59.999Z",
        "2101-01-01T00:00:00Z", "2100-12-31T23:59:60Z", "1970-01-01T00:00:00+00:01", "2026-01-02T03:04:05+-8:00",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=r"must|has no such"):
            parse_rfc3339(text)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 12, 30)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_any_time_in_any_offset_is_the_instant_that_datetime_says(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert parse_rfc3339(moment.isoformat()) == since // timedelta(milliseconds=1)


@given(st.integers(0, MAX_MS - 1))
def test_writing_and_reading_are_inverse(ms: int) -> None:
    assert parse_rfc3339(format_ms(ms)) == ms


def test_times_are_written_in_utc_with_milliseconds() -> None:
    assert format_ms(BASE + 7) == "2026-01-02T03:04:05.007Z"
    assert parse_rfc3339("2101-01-01T00:00:00+00:01") == MAX_MS - 60_000


def test_durations_have_one_unit() -> None:
    assert [parse_duration(text) for text in ("90s", "30m", "24h", "7d", "2w", "0s")] == [
        90_000, 1_800_000, 86_400_000, 604_800_000, 1_209_600_000, 0,
    ]  # fmt: skip
    for text in ("", "5", "h", "-1h", "1.5h", "1h30m", "1 h", "１h", "9" * 5000 + "d", "1h\n"):
        with pytest.raises(ValueError, match="duration"):
            parse_duration(text)


def test_zones_are_iana_names() -> None:
    assert zone("Asia/Shanghai") is zone("Asia/Shanghai")
    for name in ("", "Mars/Base", "../etc/passwd", "/etc/localtime", "Asia", "a\0b", "x" * 5000, "é"):
        with pytest.raises(ValueError, match="unknown time zone"):
            zone(name)
