"""The tape that generated events are written to: ids, spellings of time, and everything that goes wrong on the way."""

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SHANGHAI_MS = 8 * HOUR_MS

# How each source writes a time: UTC text, local text, or epoch milliseconds.
_STYLES = {"web": 0, "app": 2, "mini": 2, "pos": 1, "taobao": 1, "oms": 0, "crm": 0, "helpdesk": 0, "wms": 1}
_JUNK_IDS: tuple[tuple[str, Any], ...] = (
    ("phone", "13800138000"),
    ("phone", "00000000000"),
    ("email", "test@example.com"),
    ("device_id", "00000000-0000-0000-0000-000000000000"),
    ("anonymous_id", "undefined"),
    ("taobao_id", "null"),
    ("session_id", "s-4711"),
)
Fields = dict[str, Any]


def spell_time(at_ms: int, style: int, days: dict[int, str]) -> str | int:
    """Write an instant as UTC text (0), text with Shanghai's offset (1) or epoch milliseconds (2).

    `days` caches the text of a day by its number since 1970.
    """
    if style == 2:
        return at_ms
    day, ms = divmod(at_ms + SHANGHAI_MS if style else at_ms, DAY_MS)
    text = days.get(day)
    if text is None:
        text = days[day] = datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    clock = f"{text}T{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
    return f"{clock}+08:00" if style else f"{clock}.{ms:03d}Z"


class Tape:
    """Collects the lines of one block with the instant each arrives.

    Some lines arrive twice (the same bytes, or the same content in another order and spelling), some hours or days
    late; some carry a worthless identifier beside the good ones; about one in a thousand is broken.
    """

    def __init__(self, rng: Random, block: int, end_ms: int) -> None:
        self.rng = rng
        self.block = block
        self.end_ms = end_ms
        self.lines: list[tuple[int, int, bytes]] = []
        self.events = 0
        self.duplicates = 0
        self.broken = 0
        self._serial = 0
        self._days: dict[int, str] = {}
        self._encode = msgspec.json.Encoder().encode
        self._random = rng.random

    def serial(self) -> int:
        """Return a number that no other object or event of this run has."""
        self._serial += 1
        return self.block * 100_000_000 + self._serial

    def add(self, at_ms: int, kind: str, identifiers: Fields | None, data: Fields, source: str) -> None:
        """Write one event that happens at `at_ms`; what would happen after the end of the year is left out."""
        if at_ms >= self.end_ms:
            return
        self._serial += 1
        number = self.block * 100_000_000 + self._serial
        event: Fields = {
            "id": f"{source}-{number:x}",
            "type": kind,
            "time": spell_time(at_ms, _STYLES[source], self._days),
            "identifiers": identifiers,
            "data": data,
            "source": source,
        }
        if identifiers is None:
            del event["identifiers"]
        roll = self._random()
        arrival = at_ms + int(roll * 5000)
        self.events += 1
        if roll > 0.045:
            self.lines.append((arrival, number, self._encode(event)))
        else:
            self._unusual(roll, arrival, number, event, at_ms)

    def _unusual(self, roll: float, arrival: int, number: int, event: Fields, at_ms: int) -> None:
        rng = self.rng
        if roll < 0.003 and event.get("identifiers"):
            junk, value = rng.choice(_JUNK_IDS)
            if junk not in event["identifiers"]:
                event["identifiers"] = {junk: value, **event["identifiers"]}
        if 0.003 <= roll < 0.018:  # an app that was offline
            arrival += rng.randint(1, 12) * HOUR_MS
        elif roll < 0.020:  # a till whose week came in one batch
            arrival += rng.randint(1, 6) * DAY_MS
        line = self._encode(event)
        self.lines.append((arrival, number, line))
        if 0.020 <= roll < 0.032:
            self._again(arrival, number, line)
        elif 0.032 <= roll < 0.038:
            again = dict(reversed(event.items()))
            if isinstance(event["time"], int):
                again["time"] = spell_time(at_ms, 0, self._days)
            self._again(arrival, number, self._encode(again))
        elif 0.038 <= roll < 0.039:
            self.broken += 1
            broken = {**event, "id": f"{event['id']}-x"}
            self.lines.append((arrival + 1, number, rng.choice(BREAKS)(rng, broken)))

        elif 0.039 <= roll < 0.0392 and at_ms + HOUR_MS < self.end_ms:
            # a source that used an id twice: the earlier one counts
            self.broken += 1
            other = {**event, "time": at_ms + HOUR_MS}
            self.lines.append((arrival + HOUR_MS, number, self._encode(other)))

    def add_oversized(self) -> None:
        """Write one line larger than any system should send: a picture in a page's address."""
        event = {"id": f"web-{self.serial():x}-x", "type": "page.viewed", "time": self.end_ms - DAY_MS}
        event |= {
            "identifiers": {"anonymous_id": "a-picture"},
            "data": {"url": "data:image/png;base64," + "A" * 1_100_000},
        }
        self.broken += 1
        self.lines.append((self.end_ms - DAY_MS, self._serial, self._encode(event)))

    def _again(self, arrival: int, number: int, line: bytes) -> None:
        self.duplicates += 1
        self.lines.append((arrival + self.rng.randint(1, 36 * HOUR_MS), number, line))


def _encoded(event: Fields, **changes: Any) -> bytes:
    return msgspec.json.encode({**event, **changes})


def _without(event: Fields, name: str) -> Fields:
    return {key: value for key, value in event.items() if key != name}


BREAKS: tuple[Callable[[Random, Fields], bytes], ...] = (
    lambda rng, event: _encoded(event)[: rng.randint(5, 60)],
    lambda rng, event: _encoded(event, data={"text": "@"}).replace(b"@", "你好，在吗".encode("gbk")),
    lambda rng, event: _encoded(event, data={"amount": 0}).replace(b":0}", b":NaN}"),
    lambda rng, event: _encoded(event, type=rng.choice(("order.payed", "page_view", "订单.支付"))),
    lambda rng, event: _encoded(event, time=rng.choice(("2026-02-30T10:00:00Z", "昨天", "2025-07-01 10:00:00", -1))),
    lambda rng, event: _encoded(event, identifiers={"phone": rng.choice(("123", "13800138000", "none"))}),
    lambda rng, event: _encoded(event, identifiers={"phone": 1.5}),
    lambda rng, event: _encoded(
        event, type="order.refunded", data={"order_id": "X1", "amount": "-5.00", "currency": "CNY"}
    ),
    lambda rng, event: _encoded(
        event, type="order.refunded", data={"order_id": "X1", "amount": "9.999", "currency": "CNY"}
    ),
    lambda rng, event: _encoded(
        event, type="cart.added", data={"sku": "CF-1001", "quantity": rng.choice((0, 2.5, "1"))}
    ),
    lambda rng, event: _encoded(event, type="chat.rated", data={"conversation_id": "C1", "score": 7}),
    lambda rng, event: _encoded(_without(event, rng.choice(("id", "type", "time")))),
    lambda rng, event: _encoded(
        event,
        type="customer.linked",
        data={"a": {"kind": "phone", "value": "13912345678"}, "b": {"kind": "phone", "value": "+86 13912345678"}},
    ),
    lambda rng, event: _encoded(event, data=[{"order_id": "中文"}]),
)
"""Each turns a good event, whose id is not used again, into the bytes of a bad line."""
