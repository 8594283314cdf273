"""Events for benchmarks: many people with few events each, cheap to make and the same every time.

A person is seen by device, then by member number, phone and device together; views products, fills a cart, and most
buy once or twice, in three visits twelve days apart. The people's first visits are spread over a year; lines come in
the order of people, so replay has to sort them.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

from schemas.times import format_ms

START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
YEAR_MS = 365 * 86_400_000
VISIT_MS = 12 * 86_400_000
CATEGORIES = ("咖啡", "美妆", "母婴", "家居", "数码", "食品")
EVENTS_PER_PERSON = 10

_encode = msgspec.json.Encoder().encode


def lines(people: int, each: int = EVENTS_PER_PERSON, seed: int = 1) -> Iterator[bytes]:
    """Yield the first `each` (at most ten) lines of every person's life, each ending in a newline."""
    rng = random.Random(seed)
    for number in range(people):
        start_ms = START_MS + int(rng.random() * (YEAR_MS - 40 * 86_400_000))
        for place, (kind, identified, data) in enumerate(_life(rng, number)[:each]):
            at_ms = start_ms + place // 4 * VISIT_MS + place % 4 * 180_000 + int(rng.random() * 90_000)
            identifiers = {"device_id": f"dv{number:014d}"}
            if identified:
                identifiers |= {"member_id": f"M{number:09d}", "phone": f"138{number:08d}"}
            event = {
                "id": f"bench-{number:08d}-{place:02d}",
                "type": kind,
                "time": format_ms(at_ms),
                "source": "bench",
                "identifiers": identifiers,
                "data": data,
            }
            yield _encode(event) + b"\n"


def write(path: Path, people: int, each: int = EVENTS_PER_PERSON) -> int:
    """Write the lines of so many people to a file; return the number of lines."""
    written = 0
    with path.open("wb", buffering=1 << 20) as file:
        for line in lines(people, each):
            file.write(line)
            written += 1
    return written


def _life(rng: random.Random, number: int) -> list[tuple[str, bool, dict[str, object]]]:
    def view() -> dict[str, object]:
        sku = rng.randrange(5000)
        return {"sku": f"SKU{sku:06d}", "category": CATEGORIES[sku % 6], "price": f"{sku % 300 + 9}.90"}

    def order(serial: int) -> dict[str, object]:
        sku = rng.randrange(5000)
        item = {"sku": f"SKU{sku:06d}", "quantity": 1, "unit_price": "59.90", "category": CATEGORIES[sku % 6]}
        return {
            "order_id": f"O{number:08d}-{serial}",
            "items": [item, {**item, "sku": f"SKU{(sku + 1) % 5000:06d}", "quantity": 2}],
            "amount": "179.70",
            "currency": "CNY",
            "channel": "app",
        }

    sku = f"SKU{rng.randrange(5000):06d}"
    last: tuple[str, bool, dict[str, object]] = ("product.viewed", True, view())
    return [
        ("product.viewed", False, view()),
        ("page.viewed", False, {"url": "https://shop.example.com/", "title": "首页", "dwell_ms": 5200}),
        ("customer.consented", True, {"purpose": "marketing", "granted": number % 4 != 0}),
        ("product.viewed", True, view()),
        ("product.viewed", True, view()),
        ("cart.added", True, {"sku": sku, "quantity": 1, "unit_price": "59.90"}),
        ("order.paid", True, order(1)) if number % 3 else last,
        ("search.performed", True, {"query": "咖啡豆"}),
        ("product.viewed", True, view()),
        ("order.paid", True, order(2)) if number % 5 == 0 else last,
    ]
