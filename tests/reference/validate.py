"""The fields of the events: the tables of events.md, one small checker per kind of field."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

Data = dict[str, Any]


class BadLine(Exception):  # noqa: N818
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Huge:
    """A number no Decimal holds; equal to nothing but its own spelling."""

    def __init__(self, text: str) -> None:
        self.text = text


ZERO_CODES = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
ZERO = set(ZERO_CODES.split())
THREE = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
FOUR = {"CLF", "UYW"}
TWO_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
    "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
    "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR "
    "ZMW ZWG"
)
TWO = set(TWO_CODES.split())
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)
FIRST, LAST = 0, 4_133_980_800_000  # 1970-01-01, 2101-01-01


def decimals(currency: str) -> int:
    return 0 if currency in ZERO else 3 if currency in THREE else 4 if currency in FOUR else 2


def is_int(v: Any) -> bool:
    return isinstance(v, int) and not isinstance(v, bool)


def is_number(v: Any) -> bool:
    return is_int(v) or isinstance(v, Decimal)


def minor(value: Any, currency: str) -> int:
    """The exact integer of minor units, or ValueError."""
    if isinstance(value, str):
        if not NUMBER.fullmatch(value):
            raise ValueError("not a decimal number")
        try:
            value = Decimal(value)
        except InvalidOperation as e:
            raise ValueError("out of range") from e
    if not is_number(value):
        raise ValueError("not a number")
    number = Decimal(value)
    if number < 0 or number.adjusted() > 20:
        raise ValueError("out of range")
    if number == 0:
        return 0
    if number.adjusted() < -10:
        raise ValueError("too many decimals")
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    whole, power = int("".join(map(str, digits))), exponent + decimals(currency)
    if power >= 0:
        whole *= int(10**power)
    else:
        whole, rest = divmod(whole, 10**-power)
        if rest:
            raise ValueError("too many decimals")
    if whole > 10**15:
        raise ValueError("out of range")
    return whole


def text(v: Any, _: str) -> bool:
    return isinstance(v, str)


def quantity(v: Any, _: str) -> bool:
    return is_int(v) and 1 <= v <= 1_000_000


def money(v: Any, currency: str) -> bool:
    try:
        minor(v, currency)
    except ValueError:
        return False
    return True


def code(v: Any, _: str) -> bool:
    return isinstance(v, str) and v in ZERO | THREE | FOUR | TWO


def star(v: Any, _: str) -> bool:
    return is_int(v) and 1 <= v <= 5


def plain(v: Any, _: str) -> bool:
    return is_number(v) and v >= 0


def whole_number(v: Any, _: str) -> bool:
    return is_int(v)


def natural(v: Any, _: str) -> bool:
    return is_int(v) and v >= 0


def positive(v: Any, _: str) -> bool:
    return is_int(v) and v >= 1


def flag(v: Any, _: str) -> bool:
    return isinstance(v, bool)


def mapping(v: Any, _: str) -> bool:
    return isinstance(v, dict)


def sender(v: Any, _: str) -> bool:
    return v in ("customer", "agent", "bot")


Check = Callable[[Any, str], bool]
Spec = tuple[dict[str, Check], dict[str, Check]]  # required, optional


def obj(spec: Spec, v: Any, currency: str, where: str) -> None:
    if not isinstance(v, dict):
        raise BadLine("invalid", f"{where}: not an object")
    required, optional = spec
    for name, check in required.items():
        if v.get(name) is None or not check(v[name], currency):
            raise BadLine("invalid", f"{where}.{name}")
    for name, check in optional.items():
        if v.get(name) is not None and not check(v[name], currency):
            raise BadLine("invalid", f"{where}.{name}")


ITEM: Spec = (
    {"sku": text, "quantity": quantity, "unit_price": money},
    {"name": text, "category": text, "brand": text, "consumption_days": positive},
)


def items(v: Any, currency: str) -> bool:
    if not isinstance(v, list):
        return False
    for item in v:
        obj(ITEM, item, currency, "data.items")
    return True


def end(v: Any, _: str) -> bool:
    return (
        isinstance(v, dict)
        and isinstance(v.get("kind"), str)
        and (isinstance(v.get("value"), str) or is_int(v.get("value")))
    )


def texts(*names: str) -> dict[str, Check]:
    return dict.fromkeys(names, text)


ORDER: dict[str, Check] = {"items": items, "amount": money, "currency": code}
EXTRA = texts("cart_id", "channel", "store", "coupon") | {"discount": money, "shipping": money}
CART: Spec = (texts("sku") | {"quantity": quantity}, texts("cart_id", "category") | {"unit_price": money})
MESSAGE: Spec = ({}, texts("channel", "trigger_id"))
LINK: Spec = ({"a": end, "b": end}, texts("reason"))
TICKET: Spec = (texts("ticket_id"), {})
TYPES: dict[str, Spec] = {
    "order.placed": (texts("order_id") | ORDER, EXTRA),
    "order.paid": (texts("order_id"), ORDER | EXTRA),
    "order.cancelled": (texts("order_id"), texts("reason")),
    "order.refunded": (texts("order_id") | {"amount": money, "currency": code}, {"items": items}),
    "order.delivered": (texts("order_id"), {}),
    "page.viewed": (texts("url"), texts("title") | {"dwell_ms": natural}),
    "product.viewed": (texts("sku"), texts("category") | {"price": money}),
    "category.viewed": (texts("category"), {}),
    "search.performed": (texts("query"), {}),
    "cart.added": CART,
    "cart.removed": CART,
    "cart.cleared": ({}, texts("cart_id")),
    "checkout.started": ({}, texts("cart_id")),
    "app.opened": ({}, texts("channel")),
    "chat.started": (texts("conversation_id"), texts("channel")),
    "chat.message": (texts("conversation_id") | {"sender": sender}, texts("text")),
    "chat.ended": (texts("conversation_id"), {}),
    "chat.rated": (texts("conversation_id") | {"score": star}, {}),
    "ticket.opened": (texts("ticket_id"), texts("subject", "category", "priority", "sku", "order_id")),
    "ticket.assigned": (texts("ticket_id", "agent"), {}),
    "ticket.replied": TICKET,
    "ticket.resolved": TICKET,
    "ticket.reopened": TICKET,
    "ticket.rated": (texts("ticket_id") | {"score": star}, {}),
    "customer.identified": ({}, {"traits": mapping}),
    "customer.consented": (texts("purpose") | {"granted": flag}, texts("channel", "notice_version")),
    "survey.answered": (texts("survey") | {"score": plain}, texts("text") | {"scale": plain}),
    "points.changed": ({"delta": whole_number}, texts("reason")),
    "customer.checked_in": ({}, {}),
    "message.sent": MESSAGE,
    "message.opened": MESSAGE,
    "message.clicked": MESSAGE,
    "customer.linked": LINK,
    "customer.unlinked": LINK,
}


def check_data(kind: str, data: Data, setting_currency: str) -> None:
    if kind.startswith("custom."):
        return
    currency = data.get("currency")
    if kind.startswith("order.") and currency is not None and not code(currency, ""):
        raise BadLine("invalid", "data.currency")
    obj(TYPES[kind], data, currency if kind.startswith("order.") and currency else setting_currency, "data")
    if kind == "order.paid" and len({data.get(name) is None for name in ORDER}) == 2:
        raise BadLine("invalid", "data: items, amount and currency all or none")
    if kind == "survey.answered":
        scale = 10 if data.get("scale") is None else data["scale"]
        if not (scale > 0 and data["score"] <= scale):
            raise BadLine("invalid", "data.score")


def instant(v: Any) -> int:
    if is_int(v):
        ms = int(v)
    elif isinstance(v, str) and (m := RFC3339.fullmatch(v)):
        year, month, day, hour, minute, second = map(int, m.groups()[:6])
        try:
            at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError as e:
            raise BadLine("invalid", "time") from e
        ms = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) + int(((m[7] or "") + "000")[:3])
        if not m[8]:
            if int(m[10]) > 23 or int(m[11]) > 59:
                raise BadLine("invalid", "time")
            ms -= (1 if m[9] == "+" else -1) * (int(m[10]) * 60 + int(m[11])) * 60_000
    else:
        raise BadLine("invalid", "time")
    if not FIRST <= ms < LAST:
        raise BadLine("invalid", "time")
    return ms
