"""Single lines on which the text allows several readings, with what the reference makes of them.

`python -m tests.reference.corners` prints the list; a comparison runs CORNERS through the other implementation.
"""

from __future__ import annotations

import json
from typing import Any

GOOD: dict[str, Any] = {"id": "c", "type": "app.opened", "time": 1_704_067_200_000, "identifiers": {"member_id": "m0"}}
ITEM = {"sku": "S1", "quantity": 1, "unit_price": "1"}
ORDER: dict[str, Any] = {"order_id": "x", "items": [ITEM], "amount": "1", "currency": "CNY"}


def but(**change: Any) -> bytes:
    return json.dumps({k: v for k, v in (GOOD | change).items() if v is not ...}).encode()


def placed(kind: str = "order.placed", **change: Any) -> bytes:
    return but(type=kind, data={k: v for k, v in (ORDER | change).items() if v is not ...})


def survey(**data: Any) -> bytes:
    return but(type="survey.answered", data={"survey": "nps", **data})


A = {"kind": "member_id", "value": "a"}
CORNERS: list[tuple[str, bytes]] = [
    ("only blanks", b"  \t"),
    ("NaN", but()[:-1] + b',"n":NaN}'),
    ("lone surrogate", but(note="\ud800")),
    ("escaped NUL", but(note="a\0b")),
    ("raw NUL", but(note="a?b").replace(b"?", b"\0")),
    ("number out of float range, unknown field", but()[:-1] + b',"n":1e999}'),
    ("integer of 5000 digits, unknown field", but()[:-1] + b',"n":' + b"7" * 5000 + b"}"),
    ("nesting 900 deep", but()[:-1] + b',"n":' + b"[" * 900 + b"]" * 900 + b"}"),
    ("nesting 200000 deep", but()[:-1] + b',"n":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    ("not an object", b"[1]"),
    ("two values on a line", but() + but()),
    ("unknown type and no id", but(type="order.eaten", id=...)),
    ("custom. without a name", but(type="custom.")),
    ("type missing", but(type=...)),
    ("blank id", but(id=" ")),
    ("space between date and time", but(time="2024-01-01 00:00:00Z")),
    ("lower-case t and z", but(time="2024-01-01t00:00:00z")),
    ("leap second", but(time="2016-12-31T23:59:60Z")),
    ("no seconds", but(time="2024-01-01T00:00Z")),
    ("offset without colon", but(time="2024-01-01T00:00:00+0800")),
    ("offset of 24 hours", but(time="2024-01-01T00:00:00+24:00")),
    ("comma before the fraction", but(time="2024-01-01T00:00:00,5Z")),
    ("time as digits in a string", but(time="1704067200000")),
    ("time as a whole float", but()[:-1] + b',"time":1704067200000.0}'),
    ("identifiers missing", but(identifiers=...)),
    ("identifiers null", but(identifiers=None)),
    ("identifiers empty", but(identifiers={})),
    ("undeclared kind with an object", but(identifiers={"member_id": "m0", "fax": {"a": 1}})),
    ("nested list of values", but(identifiers={"member_id": [["m0"]]})),
    ("null in a list of values", but(identifiers={"member_id": ["m0", None]})),
    ("data null", but(data=None)),
    ("source null", but(source=None)),
    ("schema_version as text", but(schema_version="1")),
    ("optional text null", but(data={"channel": None})),
    ("optional text a number", but(data={"channel": 5})),
    ("order_id empty", placed(order_id="")),
    ("order_id an integer", placed(order_id=5)),
    ("no items", placed(items=[])),
    ("quantity 2.0", placed(items=[ITEM | {"quantity": 2.0}])),
    ("quantity as text", placed(items=[ITEM | {"quantity": "2"}])),
    ("consumption_days 0", placed(items=[ITEM | {"consumption_days": 0}])),
    ("consumption_days 30.5", placed(items=[ITEM | {"consumption_days": 30.5}])),
    ("currency in lower case", placed(currency="cny")),
    ("currency XXX", placed(currency="XXX")),
    ("amount ' 1'", placed(amount=" 1")),
    ("amount +1", placed(amount="+1")),
    ("amount .5", placed(amount=".5")),
    ("amount 01", placed(amount="01")),
    ("amount -0", placed(amount="-0")),
    ("amount in full-width digits", placed(amount="１")),
    ("amount true", placed(amount=True)),
    ("discount of a third of a cent", placed(discount="0.003")),
    ("negative discount", placed(discount="-1")),
    ("paid, all three null", placed("order.paid", items=None, amount=None, currency=None)),
    ("paid, bare with a discount", but(type="order.paid", data={"order_id": "x", "discount": "1.5"})),
    ("refund with items that only name the sku", placed("order.refunded", items=[{"sku": "S1"}])),
    ("chat score 3.0", but(type="chat.rated", data={"conversation_id": "k", "score": 3.0})),
    ("survey score 6.5", survey(score=6.5)),
    ("survey score above its scale", survey(score=11)),
    ("survey score below 0", survey(score=-1)),
    ("scale 0", survey(score=0, scale=0)),
    ("points delta 1.5", but(type="points.changed", data={"delta": 1.5})),
    ("dwell below 0", but(type="page.viewed", data={"url": "/", "dwell_ms": -1})),
    ("link, b missing", but(type="customer.linked", data={"a": A})),
    ("link, value null", but(type="customer.linked", data={"a": A, "b": {"kind": "phone", "value": None}})),
    ("link, undeclared kind", but(type="customer.linked", data={"a": A, "b": {"kind": "fax", "value": "1"}})),
    ("link with bad identifiers", but(type="customer.linked", identifiers="x", data={"a": A, "b": A | {"value": "b"}})),
    ("phone with an extension", but(identifiers={"phone": "13900001000#12"})),
]


def main() -> None:
    from tests.reference.run import reference

    for name, line in CORNERS:
        got = reference([("f", 2, line)])
        dead = got["deadletters"]
        print(f"{name:45} {dead[0]['reason'] if dead else 'accepted' if got['events'] else 'skipped'}")


if __name__ == "__main__":
    main()
