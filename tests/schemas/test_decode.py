import json
import time
from typing import Any

import pytest

from schemas.contract import DATA_MODELS
from schemas.decode import Decoder, data_struct
from schemas.errors import InvalidEvent
from tests.schemas.samples import FULL, ITEM, LINK, ORDER, REQUIRED, event

DECODER = Decoder("CNY")


def line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def refusal(raw: bytes, decoder: Decoder = DECODER) -> tuple[str, str]:
    with pytest.raises(InvalidEvent) as caught:
        decoder.decode(raw)
    return caught.value.reason, caught.value.detail


def test_the_types_are_those_of_the_table_with_their_required_fields() -> None:
    assert set(DATA_MODELS) == set(REQUIRED)
    for name, model in DATA_MODELS.items():
        required = {field for field, info in model.model_fields.items() if info.is_required()}
        assert required == set(REQUIRED[name]), name
        assert set(model.model_fields) == set(FULL[name]), name
        assert set(data_struct(name).__struct_fields__) == set(FULL[name]), name


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_required_fields_suffice_and_each_is_required(name: str) -> None:
    least = {field: FULL[name][field] for field in REQUIRED[name]}
    DECODER.decode(line(event(name, least)))
    DECODER.decode(line(event(name, {**dict.fromkeys(FULL[name]), **least})))  # null is absent
    for field in least:
        rest = {key: value for key, value in least.items() if key != field}
        assert refusal(line(event(name, rest))) == ("invalid", f"data.{field}: is missing")
        assert refusal(line(event(name, {**least, field: None})))[0] == "invalid"
    without = event(name)
    del without["data"]
    if least:
        assert refusal(line(without)) == ("invalid", "data: is missing")
    else:
        assert DECODER.decode(line(without)) == DECODER.decode(line({**without, "data": None}))


def test_an_order_comes_out_in_minor_units_of_its_own_currency() -> None:
    items = [{**ITEM, "unit_price": "1.250"}, {"sku": "B", "quantity": 1, "unit_price": 3}]
    data = DECODER.decode(line(event("order.paid", {**ORDER, "items": items, "currency": "KWD", "amount": 4.25}))).data
    assert (data.amount, data.currency, data.discount, data.shipping) == (4250, "KWD", 1000, 0)
    assert [item.unit_price for item in data.items] == [1250, 3000]
    assert (data.items[0].consumption_days, data.items[1].consumption_days) == (30, None)


def test_prices_of_carts_and_products_are_in_the_settings_currency() -> None:
    raw = line(event("cart.added", {"sku": "A", "quantity": 1, "unit_price": "7"}))
    assert DECODER.decode(raw).data.unit_price == 700
    assert Decoder("JPY").decode(raw).data.unit_price == 7
    assert refusal(line(event("product.viewed", {"sku": "A", "price": 7.5})), Decoder("JPY")) == (
        "invalid",
        "data.price: has too many decimals: JPY has no decimals",
    )


def test_a_number_is_read_as_written_not_as_the_nearest_float() -> None:
    raw = line(event("product.viewed", {"sku": "A", "price": 0})).replace(
        b'"price": 0', b'"price": 19.99%s' % (b"0" * 30)
    )
    assert DECODER.decode(raw).data.price == 1999
    assert refusal(raw.replace(b"0}", b"1}", 1))[1].startswith("data.price: has too many decimals")


def test_a_bare_payment_is_valid_and_a_half_carried_order_is_not() -> None:
    data = DECODER.decode(line(event("order.paid", {"order_id": "O1"}))).data
    assert (data.items, data.amount, data.currency) == (None, None, None)
    for name in ("items", "amount", "currency"):
        half = {key: value for key, value in ORDER.items() if key != name}
        assert refusal(line(event("order.paid", half)))[1].startswith(f"data.{name}: is missing")


@pytest.mark.parametrize(
    ("name", "change", "detail"),
    [
        ("order.paid", {"items": [{**ITEM, "quantity": 0}]},
         "data.items[0].quantity: must be an integer from 1 to 1,000,000"),
        ("order.paid", {"items": [ITEM, 5]}, "data.items[1]: must be an object"),
        ("order.paid", {"amount": "-1"}, "data.amount: must not be negative"),
        ("order.paid", {"amount": "1e999999999"}, "data.amount: is too large: at most 10^15 minor units"),
        ("order.paid", {"amount": "1.5", "currency": "JPY", "items": [{**ITEM, "unit_price": 1}]},
         "data.amount: has too many decimals: JPY has no decimals"),
        ("order.paid", {"items": [{**ITEM, "unit_price": "1.999"}]},
         "data.items[0].unit_price: has too many decimals: CNY has at most 2 decimals"),
        ("order.paid", {"currency": "cny"},
         "data.currency: must be an ISO 4217 currency code in upper case, such as CNY"),
        ("order.paid", {"order_id": 5}, "data.order_id: must be a string that is not empty"),
        ("order.paid", {"store": 5}, "data.store: must be a string"),
        ("chat.message", {"sender": "me"}, "data.sender: must be customer or agent or bot"),
        ("chat.rated", {"score": 6}, "data.score: must be an integer from 1 to 5"),
        ("page.viewed", {"dwell_ms": -1}, "data.dwell_ms: must be an integer of at least 0"),
        ("customer.consented", {"granted": 1}, "data.granted: must be true or false"),
        ("customer.identified", {"traits": []}, "data.traits: must be an object"),
        ("survey.answered", {"score": 11}, "data.score: must be a number from 0 to 10"),
        ("survey.answered", {"score": "9"}, "data.score: must be a number of at least 0"),
        ("survey.answered", {"scale": 0}, "data.scale: must be a number above 0"),
        ("points.changed", {"delta": 10**15 + 1},
         "data.delta: must be an integer from -1,000,000,000,000,000 to 1,000,000,000,000,000"),
        ("customer.linked", {"a": "phone"}, "data.a: must be an object"),
        ("customer.linked", {"b": {"kind": "phone"}}, "data.b.value: is missing"),
        ("customer.linked", {"b": {"kind": "phone", "value": 1.0}}, "data.b.value: must be a string or an integer"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_and_what_it_must_be(name: str, change: dict[str, Any], detail: str) -> None:
    assert refusal(line(event(name, {**FULL[name], **change}))) == ("invalid", detail)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": ""}, ("invalid", "id: must be a string of 1 to 200 characters")),
        ({"id": "x" * 201}, ("invalid", "id: must be a string of 1 to 200 characters")),
        ({"id": 5, "type": "no.such"}, ("invalid", "id: must be a string of 1 to 200 characters")),
        ({"type": None}, ("invalid", "type: must be a string")),
        ({"type": "no.such", "time": "x"}, ("unknown_type", "type: 'no.such' is not known")),
        ({"type": "custom."}, ("unknown_type", "type: 'custom.' is not known")),
        ({"time": "x", "data": 5},
         ("invalid", "time: must be an RFC 3339 time with an offset, such as 2026-01-02T03:04:05Z")),
        ({"time": 1.5},
         ("invalid", "time: must be an RFC 3339 time with an offset or an integer of epoch milliseconds")),
        ({"time": -1}, ("invalid", "time: must be from 1970-01-01 up to, not including, 2101-01-01")),
        ({"identifiers": None}, ("invalid", "identifiers: must be an object of identifier kinds and values")),
        ({"source": 5}, ("invalid", "source: must be a string")),
        ({"schema_version": "1"}, ("invalid", "schema_version: must be an integer of at least 1")),
        ({"data": []}, ("invalid", "data: must be an object")),
    ],
)  # fmt: skip
def test_the_envelope_is_judged_before_the_data(change: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refusal(line({**event("order.paid"), **change})) == expected


def test_the_envelopes_optional_fields_have_defaults_and_unknown_ones_do_no_harm() -> None:
    plain = DECODER.decode(line(event("order.paid")))
    assert plain.source == "unknown"
    assert plain == DECODER.decode(line(event("order.paid", specversion="1.0", session={"a": [None]}, source=None)))
    assert DECODER.decode(line(event("order.paid", source="shop"))).source == "shop"
    assert DECODER.decode(line(event("order.paid", identifiers={}))).identifiers == {}


def test_links_need_no_identifiers_and_keep_the_ends_as_sent() -> None:
    raw = event("customer.linked")
    del raw["identifiers"]
    link = DECODER.decode(line(raw))
    assert link.identifiers is None
    assert (link.data.a.kind, link.data.a.value, link.data.b.value, link.data.reason) == (
        "phone",
        "13900000001",
        7,
        "asked",
    )
    assert refusal(line({**raw, "identifiers": "x", "data": LINK}))[0] == "invalid"


def test_custom_events_carry_any_json() -> None:
    for data in (None, 1, "x", [1, {"a": None}], {"a": 1.5}, True):
        assert DECODER.decode(line({**event("custom.x"), "data": data})).data == data
    far = DECODER.decode(line(event("custom.x", {"a": 0})).replace(b'"a": 0', b'"a": 1e400'))
    assert f"{far.data['a']:E}" == "1E+400"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"nope", b"{} {}", b'{"a":NaN}', b'{"a":[-Infinity]}', b'{"a":"\\ud800"}', b'{"a":"\\udc00\\ud800"}',
        b'{"\\u0000":1}', b'{"a":"\\u0000","a":"x"}', b'{"a":"\\ud800","a":"x"}', b'{"a":"\x00"}', b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}', b"\xef\xbb\xbf{}", b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", b"[" * 1000000,
        b'{"a":"' + b'\\"' * 300000,
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused_before_anything_else_and_quickly(raw: bytes) -> None:
    start = time.process_time()
    assert refusal(raw)[0] == "not_json"
    assert time.process_time() - start < 2


def test_what_is_json_but_no_object_is_invalid() -> None:
    for raw in (b"[]", b"1", b'"x"', b"null", b"1" * 5000):
        assert refusal(raw) == ("invalid", "the line must be a JSON object")


def test_500_levels_are_allowed_and_brackets_in_strings_are_no_levels() -> None:
    whole = line(event("custom.x", {"a": "@"}))
    deep = whole.replace(b'"@"', b"[" * 498 + b"]" * 498)
    assert isinstance(DECODER.decode(deep).data, dict)
    assert refusal(whole.replace(b'"@"', b"[" * 499 + b"]" * 499)) == ("not_json", "nested deeper than 500")
    for text in (b'"' + b"[{" * 600 + b'"', b'"\\"' + b"[" * 600 + b'"', b"[" + b"[]," * 600 + b"{}]"):
        DECODER.decode(whole.replace(b'"@"', text))


def test_an_escaped_backslash_before_u0000_is_no_nul_character() -> None:
    raw = line(event("custom.x", {"a": "@"})).replace(b"@", b"\\\\u0000")
    assert DECODER.decode(raw).data == {"a": "\\u0000"}


def test_of_a_repeated_key_the_last_counts() -> None:
    raw = line(event("chat.rated", {"conversation_id": "C", "score": 1}))
    assert DECODER.decode(raw.replace(b'"score": 1', b'"score": "x", "score": 2')).data.score == 2
    assert refusal(raw.replace(b'"score": 1', b'"score": 2, "score": "x"'))[0] == "invalid"


def test_a_line_above_the_limit_is_too_large() -> None:
    raw = line(event("order.paid"))
    assert refusal(raw, Decoder("CNY", len(raw) - 1))[0] == "too_large"
    assert Decoder("CNY", len(raw)).decode(raw).id == "e1"
    assert refusal(b"x" * (10 << 20))[0] == "too_large"
