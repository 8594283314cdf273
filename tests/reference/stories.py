"""Scripted situations for what chance seldom meets: each outcome of each rule of the catalogue."""

from __future__ import annotations

from typing import Any

DAY, HOUR = 86_400_000, 3_600_000
START = 1_704_067_200_000
NIGHT = 15 * HOUR  # 23:00 in Shanghai, in UTC
Generator = Any


def who(g: Generator, tag: str, letter: str) -> dict[str, Any]:
    return {"member_id": f"s{tag}{letter}"}


def day(g: Generator) -> int:
    return int(START + g.r.randrange(5, max(6, g.days - 60)) * DAY)


def consent(g: Generator, ids: dict[str, Any], at: int, purpose: str = "marketing", granted: bool = True) -> None:
    g.add("customer.consented", ids, at, {"purpose": purpose, "granted": granted})


def order(g: Generator, ids: dict[str, Any], at: int, name: str, kind: str = "order.paid", **item: Any) -> None:
    one = {"sku": "S1", "quantity": 1, "unit_price": "10", **item}
    data = {"order_id": name, "items": [one], "amount": "10.00", "currency": "CNY"}
    g.add(kind, ids, at, data)


def pair(tag: str) -> dict[str, Any]:
    return {
        "a": {"kind": "member_id", "value": f"s{tag}a"},
        "b": {"kind": "member_id", "value": f"s{tag}b"},
    }


def merge_and_split(g: Generator, tag: str) -> None:
    """a's timers are called off by b's facts while they are one person; the split brings them back, too late."""
    a, b, at = who(g, tag, "a"), who(g, tag, "b"), day(g)
    if g.r.random() < 0.8:
        consent(g, a, at - DAY)
        consent(g, b, at - DAY)
    g.add("customer.identified", b, at - 2 * HOUR, {})
    if g.r.random() < 0.5:
        g.add("customer.linked", None, at, pair(tag))
    else:  # a is known, and held by the quiet hours, before the link
        g.add("customer.linked", None, at + NIGHT + HOUR, pair(tag))
    g.add("customer.identified", a, at + NIGHT, {"traits": {"birthday": g.r.choice(["02-10", "11-30"])}})
    order(g, a, at + NIGHT, f"{tag}o1", consumption_days=10)
    g.add("product.viewed", a, at + NIGHT, {"sku": "S2"})
    g.add("cart.added", a, at + NIGHT, {"sku": "S2", "quantity": 1, "cart_id": "c1"})
    order(g, b, at + NIGHT + 2 * HOUR, f"{tag}o2", consumption_days=90)
    g.add("customer.unlinked", None, at + g.r.choice([2, 9, 20, 45, 75, 110, 200]) * DAY, pair(tag))


def late_amount(g: Generator, tag: str) -> None:
    """A bare payment whose amount comes long after."""
    a, at = who(g, tag, "a"), day(g)
    consent(g, a, at - DAY)
    g.add("order.paid", a, at, {"order_id": f"{tag}o1"})
    order(g, a, at + g.r.choice([3, 10, 40, 64, 70, 100]) * DAY, f"{tag}o1", "order.placed", consumption_days=9)


def late_birthday(g: Generator, tag: str) -> None:
    a, at = who(g, tag, "a"), day(g)
    consent(g, a, START)
    g.add("customer.identified", a, at, {"traits": {"birthday": g.r.choice(["01-03", "12-30", "2000-02-29"])}})


def crowded_day(g: Generator, tag: str) -> None:
    """Much is due at one instant: the cap."""
    a, at = who(g, tag, "a"), day(g) + 2 * HOUR  # 10:00 in Shanghai
    consent(g, a, at - 9 * DAY)
    g.add("product.viewed", a, at - 20 * HOUR, {"sku": "S1"})
    for cart in ("c1", "c2"):
        g.add("cart.added", a, at - DAY, {"sku": "S1", "quantity": 1, "cart_id": cart})
    g.add("customer.identified", a, at, {"traits": {"birthday": f"{g.r.randint(1, 12):02d}-15"}})


def busy_customer(g: Generator, tag: str) -> None:
    """Two fillers take the cap just before an older timer of any rule is due."""
    a, at = who(g, tag, "a"), day(g) + 2 * HOUR
    wait = g.r.choice([7, 30, 60, 90, 180, 5])
    consent(g, a, at - HOUR)
    g.add("customer.identified", a, at - HOUR, {"traits": {"birthday": g.r.choice(["06-01", "03-31"])}})
    order(g, a, at, f"{tag}o1", consumption_days=10)
    then = at + wait * DAY
    for cart in ("c1", "c2", "c3"):
        g.add("cart.added", a, then - DAY - g.r.choice([0, HOUR]), {"sku": "S3", "quantity": 1, "cart_id": cart})


def withdrawn(g: Generator, tag: str) -> None:
    """Consent withdrawn, perhaps by channel, perhaps in the quiet hours, perhaps given again."""
    r = g.r
    a, at = who(g, tag, "a"), day(g)
    consent(g, a, at - DAY)
    g.add("product.viewed", a, at, {"sku": "S1"})
    g.add("customer.identified", a, at + NIGHT, {})
    g.add("cart.added", a, at - 8 * HOUR, {"sku": "S3", "quantity": 1})
    order(g, a, at - r.choice([7, 30, 60]) * DAY, f"{tag}o1", consumption_days=5)
    channel = r.choice([{}, {"channel": "sms"}])
    data = {"purpose": "marketing", "granted": False, **channel}
    g.add("customer.consented", a, at + NIGHT + r.choice([0, HOUR]), data)
    if r.random() < 0.5:
        g.add("customer.consented", a, at + NIGHT + r.choice([HOUR, 2 * HOUR]), {**data, "granted": True})
    consent(g, a, at, "service", granted=r.random() < 0.5)
    g.add("ticket.resolved", a, at + HOUR, {"ticket_id": f"t{tag}"})
    g.add("chat.rated", a, at + HOUR, {"conversation_id": "k", "score": 1})


def traveller(g: Generator, tag: str) -> None:
    """The time zone changes around a view, a held welcome and a birthday."""
    r = g.r
    a, at = who(g, tag, "a"), day(g) + r.randrange(48) * HOUR // 2
    consent(g, a, at - DAY)
    g.add("customer.identified", a, at, {"traits": {"timezone": "America/New_York", "birthday": "04-01"}})
    for hours in (0, 5, 11):
        g.add("product.viewed", a, at + hours * HOUR, {"sku": "S1"})
    then = at + r.choice([3, 12, 30]) * HOUR
    g.add("customer.identified", a, then, {"traits": {"timezone": r.choice(["Asia/Tokyo", "Europe/Paris"])}})
    g.add("product.viewed", a, then + 2 * HOUR, {"sku": "S2"})


def crowd(g: Generator, tag: str) -> None:
    """A phone that becomes a hub, and groups at their limits."""
    at = day(g)
    for k in range(g.r.choice([5, 6, 7])):
        ids = {"member_id": f"s{tag}{k}", "phone": "13700001234", "email": f"s{tag}{g.r.randrange(9)}@shop.example.org"}
        g.add("app.opened", ids, at + k * DAY, {})
    for k in range(7):
        ids = {"wechat_openid": f"w{tag}", "email": f"t{tag}{k}@shop.example.org"}
        g.add("app.opened", dict(reversed(ids.items())), at + g.r.randrange(9) * DAY, {})


def crowded_birthday(g: Generator, tag: str) -> None:
    """Two carts held by the quiet hours go at 08:00, so the birthday at 10:00 is over the cap."""
    a, at = who(g, tag, "a"), START + g.r.choice([59, 90, 150]) * DAY
    consent(g, a, START)
    birthday = {59: "02-29", 90: "03-31", 150: "05-30"}[(at - START) // DAY]
    g.add("customer.identified", a, START + DAY, {"traits": {"birthday": f"1992-{birthday}"}})
    for cart in ("c1", "c2"):
        g.add("cart.added", a, at - 26 * HOUR - g.r.randrange(8) * HOUR, {"sku": "S1", "quantity": 1, "cart_id": cart})


STORIES = [
    merge_and_split, merge_and_split, late_amount, late_birthday, crowded_day, busy_customer, withdrawn, traveller,
    crowd, crowded_birthday,
]  # fmt: skip
