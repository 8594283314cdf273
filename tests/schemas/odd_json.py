"""Events as JSON text with every kind of odd value in every place."""

import json
from collections.abc import Iterator
from typing import Any

ODD = [
    "null", "true", "false", "0", "1", "-1", "5", "6", "7", "10", "11", "2.0", "1e0", "1E+0", "-0", "0.0", "-0.0",
    "1.5", "19.999", "1.000", "1e2", "1e-2", "0.001", "10.000000001", "0e99", "1e-400", "36500", "36501", "1000000",
    "1000001", "1000000000000000", "1000000000000001", "-1000000000000001", "10000000000000", "10000000000000.01",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "-9223372036854775809", "1" * 30,
    "4133980799999", "4133980800000", "1e22", "0.1000000000000000055511151231257827", "1.7976931348623157e308",
    "2.2250738585072011e-308", "123456789012345678.5",
    '""', '"x"', '"5"', '" 5"', '"5 "', '"+5"', '"-5"', '"-0"', '"1.000"', '"1.001"', '"1e2"', '"1E2"', '"1e+2"',
    '"1e-2"', '"1e-3"', '".5"', '"5."', '"1_0"', '"\uff15"', '"\u0665"', '"NaN"', '"Infinity"', '"0x1"', '"1,5"',
    '"1e999999999"', '"-1e999999999"', '"1e-999999999"', '"1e99999999999999999999"', '"0e99999999999999999999"',
    '"' + "9" * 5000 + '"', '"1.' + "0" * 5000 + '"', '"\\u0035"', '"\\n"', '"\\\\u0041"', '"\\ud83d\\ude00"', '"中"',
    '"CNY"', '"JPY"', '"KWD"', '"cny"', '"XXX"', '"CNYX"', '"customer"', '"agent"', '"custom."', '"custom.x"',
    '"order.paid"', '"customer.linked"', '"page.viewed"', '"' + "i" * 200 + '"', '"' + "i" * 201 + '"',
    '"' + "\U0001f600" * 200 + '"', '"2026-01-02T03:04:05Z"', '"2026-01-02 03:04:05.999999999+08:00"',
    '"2026-01-02t03:04:05z"', '"2026-01-02T03:04:05"', '"2026-01-02T03:04:05,5Z"', '"2026-12-31T23:59:60Z"',
    '"2026-01-02T03:04:60Z"', '"2100-12-31T23:59:60Z"', '"1969-12-31T23:59:59.999Z"', '"2026-02-29T00:00:00Z"',
    "[]", "{}", "[null]", "[1]", '["a",1,null]', "[[]]", "[{}]", '{"a":1}', '{"kind":"phone","value":"1"}',
    '{"kind":"phone","value":1.0}', '{"kind":1,"value":"1"}', '{"kind":"phone","value":true}', '{"value":"1"}',
    '{"kind":"phone","value":' + "1" * 30 + "}", '[{"sku":"A","quantity":1,"unit_price":1}]',
    '[{"sku":"A","quantity":1}]', '[{"sku":"A","quantity":1,"unit_price":null}]',
    '[{"sku":"A","quantity":1.0,"unit_price":1}]', '{"a":[1.5,{"b":-0.0}],"c":{"d":1e-400}}',
    # refused by every path; the first holds a byte that is not UTF-8
    '"\udcff"', '{"\udcc3":1}',
    "NaN", "Infinity", "-Infinity", "01", "1.", "+1", ".5", "-", "'x'", "tru", "", '"\\ud800"', '"\\udc00"',
    '"\\ud800\\u0041"', '"\\udbff\\ue000"', '"\\x"', '"\x01"', '"a\x00b"', '{"a":1,}', "[1,]", '{"\\udfff":1}',
    "[" * 600 + "]" * 600, "[" * 600, '"open', '"\\u00"', "\ufeff1",
]  # fmt: skip
"""Values that both paths must judge alike."""

HARD = [
    "1e400", "-1e400", "1e999999999", "1e99999999999999999999", '{"a":[1e400]}', "1" * 400, "1" * 4300, "1" * 4301,
    "-" + "1" * 5000, "[" + "1" * 5000 + "]", '"\\u0000"', '{"\\u0000":1}', '"\\\\u0000"', "[" * 300 + "]" * 300,
    "[" + "[],{}," * 300 + "[]]",
    '"' + "[" * 600 + '"', '{"kind":"phone","value":' + "1" * 400 + "}",
]  # fmt: skip
"""Values that the structs cannot judge: the fast path may pass them on."""


class Node:
    """A JSON object as pairs, so that a key can repeat."""

    def __init__(self, pairs: list[list[Any]]) -> None:
        self.pairs = pairs

    @classmethod
    def of(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return cls([[key, cls.of(item)] for key, item in value.items()])
        if isinstance(value, list):
            return [cls.of(item) for item in value]
        return json.dumps(value, ensure_ascii=False)

    def nodes(self) -> Iterator["Node"]:
        yield self
        for _, value in self.pairs:
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, Node):
                    yield from item.nodes()


def encoded(value: Any) -> bytes:
    return text(value).encode(errors="surrogateescape")


def text(value: Any) -> str:
    if isinstance(value, Node):
        return "{" + ", ".join(f"{json.dumps(key)}: {text(item)}" for key, item in value.pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(text(item) for item in value) + "]"
    return str(value)
