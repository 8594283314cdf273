import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.content import canonical_number
from schemas.decode import content_key
from schemas.errors import InvalidEvent
from tests.schemas.samples import event


def line(**fields: Any) -> bytes:
    return json.dumps(event("custom.x", **fields)).encode()


def test_key_order_spelling_of_the_time_and_other_envelope_fields_do_not_matter() -> None:
    key = content_key(line(data={"a": 1, "b": [2, {"c": 3, "d": None}]}))
    turned = event(
        "custom.x", {"b": [2, {"d": None, "c": 3}], "a": 1}, time="2026-03-04 13:06:07.8919+08:00", source="z"
    )
    assert content_key(b"  " + json.dumps(dict(reversed(turned.items())), indent=1).encode() + b"\r") == key
    assert content_key(line(data={"a": 1, "b": [2, {"c": 3, "d": None}]}, time=1772600767891)) == key
    assert hash(key) == hash(bytes(key))


@pytest.mark.parametrize(
    "other",
    [
        {"data": {"a": 2}},
        {"data": {"a": True}},
        {"data": {"a": "1"}},
        {"data": {"a": [1]}},
        {"data": {"a": 1, "b": None}},
        {"data": {"a": 1}, "time": "2026-03-04T05:06:07.892Z"},
        {"data": {"a": 1}, "identifiers": {"phone": ["13912345678"]}},
        {"data": {"a": 1}, "type": "custom.y"},
    ],
)
def test_other_content_has_another_key(other: dict[str, Any]) -> None:
    assert content_key(line(data={"a": 1})) != content_key(line(**other))


def test_numbers_compare_by_exact_value() -> None:
    def key(number: str) -> bytes:
        return content_key(line(data={"a": "@"}).replace(b'"@"', number.encode()))

    same = ["1", "1.0", "1e0", "10e-1", "0.1E+1", "1." + "0" * 6000, "1" + "0" * 6000 + "e-6000"]
    assert len({key(number) for number in same}) == 1
    assert len({key(number) for number in ["0", "-0", "0.0", "0e99", "-0e-1"]}) == 1
    different = ["1", "-1", "1.0000000000000000000000001", "true", '"1"', "1e999999999", "1e" + "9" * 6000, "9" * 6000]
    assert len({key(number) for number in different}) == len(different)
    assert key("9007199254740993") != key("9007199254740992.0")
    assert key("1e" + "9" * 5000) == key("10e" + "9" * 4999 + "8")


@given(st.tuples(*[st.tuples(st.integers(-999, 999), st.integers(-3, 3), st.integers(-4, 4))] * 2))
def test_canonical_numbers_are_equal_iff_their_values_are(
    pair: tuple[tuple[int, int, int], tuple[int, int, int]],
) -> None:
    texts, values = [], []
    for whole, shift, power in pair:
        fraction = "." + "0" * (shift + 3) if shift < 0 else "." + "5" * shift if shift else ""
        text = f"{whole}{fraction if fraction != '.' else ''}e{power}"
        texts.append(canonical_number(text))
        values.append(Fraction(text))
    assert (texts[0] == texts[1]) == (values[0] == values[1])


def test_a_line_that_is_no_event_has_no_key() -> None:
    for bad in (b"", b"[]", b"{}", b'{"time":"x"}', b'{"time":NaN}'):
        with pytest.raises(InvalidEvent):
            content_key(bad)
