"""The gate, and bad input of every kind through the whole of reading: nothing is lost and nothing breaks."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.admit import Admission
from ingest.sources import read
from schemas.errors import InvalidEvent, Reason
from schemas.event import Link, Rejected
from schemas.settings import Settings

GATE = Admission(Settings())
GOOD: dict[str, Any] = {
    "id": "e1",
    "type": "order.placed",
    "time": "2026-01-02T03:04:05+08:00",
    "identifiers": {"email": "A@Example.com", "phone": ["138 0000 1234", "13800001234"], "member_id": 7},
    "data": {
        "order_id": "o1",
        "items": [{"sku": "s", "quantity": 1, "unit_price": "1.50"}],
        "amount": 1.5,
        "currency": "CNY",
    },
}


def line(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def data(**changes: Any) -> bytes:
    return line(data=GOOD["data"] | changes)


def link(**data: Any) -> bytes:
    ends = {"a": {"kind": "member_id", "value": "1x"}, "b": {"kind": "email", "value": "B@c.cn"}}
    return line(type="customer.linked", data=ends | data)


def test_an_event_is_decoded_and_its_identifiers_are_normalised_and_ordered() -> None:
    event = GATE.admit(line())
    assert (event.id, event.type, event.time_ms) == ("e1", "order.placed", 1767294245000)
    assert event.idents == ("member_id:7", "phone:+8613800001234", "email:a@example.com")
    assert event.data.amount == 150


def test_a_link_has_its_ends_and_no_identifiers() -> None:
    event = GATE.admit(link(reason="same person"))
    assert (event.idents, event.data) == ((), Link("member_id:1x", "email:b@c.cn", "same person"))


DEEP = b'{"id":"x","type":"custom.a","time":0,"identifiers":{"member_id":"m1"},"data":'
BAD: dict[str, tuple[bytes, str]] = {
    "not json": (b"hello", "not_json"),
    "half a line": (line()[:-5], "not_json"),
    "not utf-8": (line().replace(b"o1", b"\xff\xfe"), "not_json"),
    "utf-16": (line().decode().replace("\n", "").encode("utf-16-le"), "not_json"),
    "NaN": (line().replace(b"1.5,", b"NaN,"), "not_json"),
    "Infinity": (line().replace(b"1.5,", b"-Infinity,"), "not_json"),
    "NUL": (line().replace(b"o1", b"o\\u00001"), "not_json"),
    "NUL byte": (line().replace(b"o1", b"o\0"), "not_json"),
    "lone surrogate": (line().replace(b"o1", b"\\ud800"), "not_json"),
    "deep nesting": (DEEP + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
    "unclosed nesting": (DEEP + b"[" * 100_000, "not_json"),
    "no object": (b"[1,2]", "invalid"),
    "no id": (line(id=None), "invalid"),
    "an empty id": (line(id=""), "invalid"),
    "a long id": (line(id="x" * 201), "invalid"),
    "a number as id": (line(id=5), "invalid"),
    "an unknown type": (line(type="order.plcaed"), "unknown_type"),
    "custom without a name": (line(type="custom."), "unknown_type"),
    "no time": (line(time=None), "invalid"),
    "a time without an offset": (line(time="2026-01-02T03:04:05"), "invalid"),
    "13th month": (line(time="2026-13-02T03:04:05Z"), "invalid"),
    "before 1970": (line(time=-1), "invalid"),
    "after 2100": (line(time="2101-01-01T00:00:00Z"), "invalid"),
    "a gigantic time": (line(time=10**400), "invalid"),
    "no identifiers": (line(identifiers=None), "invalid"),
    "identifiers as a list": (line(identifiers=["x"]), "invalid"),
    "an identifier as an object": (line(identifiers={"email": {"x": 1}}), "invalid"),
    "a fraction as an identifier": (line(identifiers={"phone": 1.5}), "invalid"),
    "no valid identifier": (
        line(identifiers={"phone": "12", "email": "test@x.cn", "member_id": "null"}),
        "no_identifier",
    ),
    "nothing in the map": (line(identifiers={}), "no_identifier"),
    "an undeclared kind": (line(identifiers={"fax": "1"}), "no_identifier"),
    "no data": (line(data=None), "invalid"),
    "a negative amount": (data(amount=-1), "invalid"),
    "a gigantic amount": (data(amount=10**30), "invalid"),
    "a gigantic exponent": (data(amount="1e999999999"), "invalid"),
    "too many decimals": (data(amount="1.005"), "invalid"),
    "a boolean amount": (data(amount=True), "invalid"),
    "an unknown currency": (data(currency="XYZ"), "invalid"),
    "a fraction as quantity": (data(items=[{"sku": "s", "quantity": 1.5, "unit_price": 1}]), "invalid"),
    "items as text": (data(items="s"), "invalid"),
    "ten megabytes": (line(extra="x" * 10_000_000), "too_large"),
    "a link with itself": (link(b={"kind": "member_id", "value": " 1x "}), "invalid_link"),
    "a link of an unknown kind": (link(b={"kind": "fax", "value": "1"}), "invalid_link"),
    "a link to nobody": (link(b={"kind": "phone", "value": "12"}), "invalid_link"),
    "a link without an end": (link(b=None), "invalid"),
}


KNOWN = {*get_args(Reason), "accepted"}


def outcome(raw: bytes) -> str:
    try:
        GATE.admit(raw)
    except InvalidEvent as error:
        return error.reason if error.detail else "refused without a word"
    return "accepted"


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_its_reason(name: str) -> None:
    raw, reason = BAD[name]
    assert outcome(raw) == reason


def test_a_detail_names_the_field() -> None:
    for raw, field in [(data(amount=-1), "amount"), (line(time=-1), "time"), (line(id=5), "id"), (link(b=None), "b")]:
        with pytest.raises(InvalidEvent) as caught:
            GATE.admit(raw)
        assert field in caught.value.detail


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_of_all_of_it_is_read_to_its_end(tmp_path: Path, pack: Any) -> None:
    lines = [line(id="first"), *[raw for raw, _ in BAD.values()], line(id="last")]
    path = tmp_path / "events.jsonl"
    path.write_bytes(pack(b"\r\n".join(lines)))
    found = list(read(str(path)))
    assert [(one.number, one.raw) for one in found] == list(enumerate(lines, 1))
    reasons = Counter(outcome(one.event) for one in found if not isinstance(one.event, Rejected))
    assert reasons == Counter(reason for _, reason in BAD.values()) + Counter(accepted=2)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(line()) - 1), st.binary(max_size=4), st.integers(0, 6))
def test_a_damaged_line_is_accepted_or_refused_with_a_reason(place: int, patch: bytes, cut: int) -> None:
    raw = line()
    assert outcome(raw[:place] + patch + raw[place + cut :]) in KNOWN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "kind", "value"]), inner, max_size=2)
    ),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.sampled_from(["order.placed", "customer.linked", "custom.x"]), JSON)
def test_any_value_in_any_field_is_accepted_or_refused_with_a_reason(field: str, kind: str, value: Any) -> None:
    assert outcome(line(**({"type": kind} | {field: value}))) in KNOWN


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_lines(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "junk.jsonl"
    path.write_bytes(b"{}\n" + junk + b"\n{}")
    found = list(read(str(path)))
    assert found[0].raw == b"{}" == found[-1].raw
    assert all(outcome(one.raw) != "accepted" for one in found)
