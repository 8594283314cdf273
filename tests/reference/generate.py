"""Nasty event files over a small alphabet; `python -m tests.reference.generate [SEEDS] [N]`: what they reach."""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.reference.stories import STORIES

DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000
START = 1_704_067_200_000  # 2024-01-01, a year with a 29 February
SKUS = ["S1", "S2", "S3", "S4"]
CURRENCIES = ["CNY", "CNY", "CNY", "USD", "JPY", "KWD"]
BLOCKED = ["0", "000-000", "NULL", " none ", "N/A", "[Object object]", "(not set)", "test", "", "ｎｕｌｌ"]
DECIMALS = {"JPY": 0, "KWD": 3}


def spelled(r: random.Random, ms: int) -> Any:
    """One of the ways to write an instant."""
    way = r.randrange(4)
    if way == 0:
        return ms
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    if way == 1:
        return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}{r.choice(['', '9', '000'])}Z"
    at = at.astimezone(timezone(timedelta(minutes=r.choice([480, -330, 0, 840]))))
    return at.isoformat(timespec="milliseconds")


class Generator:
    def __init__(self, seed: int, people: int, days: int, crossing: float) -> None:
        self.r = random.Random(seed)
        self.people, self.days, self.crossing = people, days, crossing
        self.count = 0
        self.events: list[dict[str, Any]] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.used: list[tuple[str, str]] = []
        self.moments = [START + self.r.randrange(days * 24 * 4) * 15 * MINUTE for _ in range(max(4, people))]

    def phone(self, k: int) -> str:
        number = f"1390000{1000 + k:04d}"
        wide = number.translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789"})
        return self.r.choice(
            [number, "+86" + number, "0086 " + number, f"{number[:3]}-{number[3:7]} {number[7:]}", wide]
        )

    def value(self, kind: str, k: int) -> Any:
        if kind == "phone":
            return self.phone(k)
        if kind == "email":
            text = f"p{k}@shop.example.org"
            return self.r.choice([text, text.upper(), f" {text} ", text.replace("@", "＠")])
        if kind == "external_id":
            return self.r.choice([7000 + k, str(7000 + k)])
        return f"{kind[:1]}{k}"

    def identifiers(self, person: int) -> dict[str, Any]:
        r = self.r
        ids: dict[str, Any] = {}
        kinds = ["member_id", "phone", "email", "wechat_unionid", "wechat_openid", "external_id", "device_id"]
        for kind in r.sample([*kinds, "anonymous_id"], r.choice([1, 1, 1, 2, 2, 3])):
            several = 3 if kind in ("device_id", "anonymous_id", "email") else 1
            values = []
            for _ in range(r.choice([1, 1, 1, 1, 2])):
                who = r.randrange(self.people) if r.random() < self.crossing else person
                values.append(self.value(kind, who * 10 + r.randrange(several)))
            ids[kind] = values[0] if len(values) == 1 and r.random() < 0.7 else values
        if r.random() < 0.06:  # a shop's phone, a kiosk: a hub before long
            ids["device_id"] = "kiosk"
            ids["member_id"] = self.value("member_id", person * 10)
        if r.random() < 0.08:
            ids[r.choice(["phone", "email", "member_id"])] = r.choice(BLOCKED)
        if r.random() < 0.05:
            ids["phone"] = r.choice(["12", "138 0013 8000", "1390000CALL", None])
        if r.random() < 0.05:
            ids[r.choice(["fax", "Phone", "session_id"])] = "x1"
        return ids

    def when(self) -> int:
        r = self.r
        if r.random() < 0.3:
            return r.choice(self.moments)
        if r.random() < 0.4:
            return min(r.choice(self.moments) + r.randrange(96) * 30 * MINUTE, START + self.days * DAY)
        return START + r.randrange(self.days * DAY)

    def money(self, minor: int, currency: str) -> Any:
        places = DECIMALS.get(currency, 2)
        text = f"{minor // 10**places}.{minor % 10**places:0{places}d}" if places else str(minor)
        return self.r.choice([text, text, float(text) if "." in text else int(text)])

    def add(self, kind: str, ids: dict[str, Any] | None, at: int, data: dict[str, Any], name: str = "") -> None:
        self.count += 1
        event: dict[str, Any] = {"id": name or f"e{self.r.randrange(10**6):06d}-{self.count}", "type": kind}
        event["time"] = spelled(self.r, at)
        if ids is not None:
            event["identifiers"] = ids
        if data or self.r.random() < 0.5:
            event["data"] = data
        self.events.append(event)

    def order(self, person: int) -> None:
        """All the events of one order, under whatever identifiers, in whatever order."""
        r = self.r
        order_id, currency = f"o{len(self.orders)}", r.choice(CURRENCIES)
        items = []
        for sku in r.sample(SKUS, r.choice([1, 1, 2])):
            item: dict[str, Any] = {
                "sku": sku,
                "quantity": r.randint(1, 3),
                "unit_price": self.money(r.randint(0, 90_000), currency),
            }
            if sku in ("S1", "S2") and r.random() < 0.8:
                item["consumption_days"] = r.choice([3, 7, 30])
            items.append(item)
        total = r.choice([0, 5, 120_00, 999_99, 3500_00])
        whole = {"order_id": order_id, "items": items, "amount": self.money(total, currency), "currency": currency}
        if r.random() < 0.3:
            whole["cart_id"] = r.choice(["c1", "c2"])
        self.orders[order_id] = whole
        at = self.when()

        def some(kind: str, data: dict[str, Any]) -> None:
            who = r.randrange(self.people) if r.random() < self.crossing else person
            lag = r.choice([0, HOUR, 3 * HOUR, DAY, 9 * DAY, -HOUR])
            self.add(kind, self.identifiers(who), max(START, at + lag), data)

        if r.random() < 0.7:
            some("order.placed", whole)
        for _ in range(r.choice([0, 1, 1, 1, 1, 2])):
            some("order.paid", {"order_id": order_id} if r.random() < 0.5 else whole)
        if r.random() < 0.12:
            some("order.cancelled", {"order_id": order_id})
        for _ in range(r.choice([0, 0, 0, 1, 2])):
            other = r.choice([currency, currency, currency, "EUR"])
            amount = self.money(r.choice([1, total // 2, total]), other)
            some("order.refunded", {"order_id": order_id, "amount": amount, "currency": other})

    def single(self, person: int) -> None:
        r = self.r
        ids, at, sku = self.identifiers(person), self.when(), r.choice(SKUS)
        cart = r.choice([{}, {"cart_id": "c1"}, {"cart_id": "c2"}])
        kind = r.choice(
            ["view"] * 4 + ["cart"] * 4 + ["consent"] * 3 + ["identified"] * 3
            + ["ticket"] * 3 + ["score"] * 2 + ["clear", "link", "link", "other", "custom"]
        )  # fmt: skip
        if kind == "view":
            self.add("product.viewed", ids, at, {"sku": r.choice([sku, f"V{r.randrange(25)}"])})
        elif kind == "cart":
            price = r.choice([{}, {"unit_price": self.money(r.randint(1, 99_99), "CNY")}])
            what = r.choice(["cart.added", "cart.added", "cart.removed"])
            self.add(what, ids, at, {"sku": sku, "quantity": r.randint(1, 3), **cart, **price})
        elif kind == "clear":
            self.add("cart.cleared", ids, at, cart)
        elif kind == "consent":
            data = {"purpose": r.choice(["marketing", "marketing", "service"]), "granted": r.random() < 0.65}
            self.add("customer.consented", ids, at, data | r.choice([{}, {}, {"channel": "sms"}, {"channel": "email"}]))
        elif kind == "identified":
            traits: dict[str, Any] = {}
            if r.random() < 0.5:
                traits["birthday"] = r.choice(["1990-02-29", "02-28", "1985-05-01", "07-15", "03-31", "1996-02-29"])
            if r.random() < 0.3:
                traits["timezone"] = r.choice(["Europe/Paris", "America/New_York", "Asia/Shanghai", "Mars/Base"])
            self.add("customer.identified", ids, at, {"traits": traits} if traits else {})
        elif kind == "ticket":
            what = r.choice(["opened", "resolved", "reopened", "resolved"])
            self.add(f"ticket.{what}", ids, at, {"ticket_id": f"t{r.randrange(6)}"})
        elif kind == "score":
            name, data = r.choice(
                [
                    ("chat.rated", {"conversation_id": "k1", "score": r.randint(1, 5)}),
                    ("ticket.rated", {"ticket_id": "t1", "score": r.randint(1, 5)}),
                    ("survey.answered", {"survey": "nps", "score": r.randint(0, 10)}),
                    ("survey.answered", {"survey": "csat", "score": r.randint(0, 5), "scale": 5}),
                ]
            )
            self.add(name, ids, at, data)
        elif kind == "link":
            self.link(person)
        elif kind == "custom":
            self.add("custom.visit", ids, at, {"anything": [1, {"a": None}], "sku": sku})
        else:
            plain: list[tuple[str, dict[str, Any]]] = [
                ("page.viewed", {"url": "/"}),
                ("app.opened", {}),
                ("points.changed", {"delta": -5}),
                ("checkout.started", {}),
                ("order.delivered", {"order_id": "o1"}),
                ("customer.checked_in", {}),
            ]
            name, data = r.choice(plain)
            self.add(name, ids, at, data)

    def link(self, person: int) -> None:
        r = self.r
        ends = []
        for who in (person, r.randrange(self.people)):
            kind = r.choice(["member_id", "member_id", "phone", "email", "device_id"])
            ends.append(
                {"kind": kind, "value": self.value(kind, who * 10 + (r.randrange(3) if kind == "email" else 0))}
            )
        if r.random() < 0.1:
            ends[1] = {"kind": "member_id", "value": "only-named"}
        if ends[0] == ends[1]:
            return
        at = self.when()
        for what in r.choice([["linked"], ["linked"], ["unlinked"], ["linked", "unlinked"], ["unlinked", "linked"]]):
            self.add(f"customer.{what}", r.choice([None, {}]), at, {"a": ends[0], "b": ends[1]})
            at += r.choice([0, HOUR, 20 * DAY])
            ends.reverse()

    def dump(self, event: dict[str, Any]) -> bytes:
        pairs = list(event.items())
        self.r.shuffle(pairs)
        space = self.r.choice([(",", ":"), (", ", ": ")])
        return json.dumps(dict(pairs), ensure_ascii=self.r.random() < 0.5, separators=space).encode()


def bad_lines(g: Generator) -> list[bytes]:
    """One line of each clear kind of fault; what the text leaves open is not here."""
    good: dict[str, Any] = {"id": "bad", "type": "app.opened", "time": START, "identifiers": {"member_id": "m0"}}
    item = {"sku": "S1", "quantity": 1, "unit_price": "1"}
    order = {"order_id": "x", "items": [item], "amount": "1", "currency": "CNY"}
    view = {"type": "product.viewed"}

    def but(**change: Any) -> bytes:
        return json.dumps({k: v for k, v in (good | change).items() if v is not ...}).encode()

    def placed(kind: str = "order.placed", **change: Any) -> bytes:
        return but(type=kind, data={k: v for k, v in (order | change).items() if v is not ...})

    a, b = {"kind": "member_id", "value": "m0"}, {"kind": "phone", "value": "12"}
    return [
        b"{", b"\xff\xfe", b"plain text", but()[:-1] + b',"n":NaN}', but()[:-1] + b',"n":-Infinity}',
        but(id=...), but(id=""), but(id="x" * 201), but(id=5), but(time=...), but(time="2024-01-01T00:00:00"),
        but(time=-1), but(time=4_133_980_800_000), but(time="2024-02-30T00:00:00Z"), but(time=1.5), but(time=True),
        but(type="order.eaten"), but(type="custom."), but(type=3), but(identifiers={"member_id": {"a": 1}}),
        but(identifiers={"member_id": True}), but(identifiers={"member_id": ["m0", 1.5]}), but(identifiers="m0"),
        but(identifiers={}), but(identifiers={"phone": "13800138000", "email": "Test@x.org"}),
        but(identifiers={"fax": "1"}), but(identifiers={"phone": None}), but(data=[]), but(source="a\x00b"),
        but(**view, data={}), but(**view, data={"sku": 5}), placed(amount="1.001"),
        placed(currency="JPY", amount="1.5"), placed(currency="XYZ"), placed(amount=-1), placed(amount="1e16"),
        placed(amount="10000000000000.01"),
        placed(amount="one"), placed(items=[item | {"quantity": 0}]), placed(items="x"),
        placed(items=[item | {"quantity": 1_000_001}]), placed(items=[item | {"unit_price": "0.001"}]),
        placed(order_id=...),
        placed("order.paid", amount=...), placed("order.paid", items=..., amount=...),
        placed("order.refunded", amount=...),
        but(type="chat.rated", data={"conversation_id": "k", "score": 6}), but(type="ticket.rated", data={"score": 3}),
        but(type="customer.consented", data={"purpose": "marketing", "granted": "yes"}),
        but(type="chat.message", data={"conversation_id": "k", "sender": "cat"}),
        but(type="customer.linked", data={"a": a}), but(type="customer.linked", data={"a": a, "b": a}),
        but(type="customer.unlinked", data={"a": a, "b": b}), but(pad="x" * (1 << 20)) if g.r.random() < 0.1 else b"",
        b'{"id":"bad","type":"app.opened","time":1,"identifiers":{"member_id":"m0"},"s":"\\ud800"}',
    ]  # fmt: skip


def generate(
    seed: int,
    n: int,
    *,
    people: int = 6,
    days: int = 300,
    crossing: float = 0.03,
    bad: float = 0.04,
    again: float = 0.06,
    stories: int = 4,
) -> list[bytes]:
    """About `n` lines (stories come whole), shuffled, without line ends.

    crossing: how often an identifier or order event is of another person; bad, again: the share of invalid and of
    repeated lines; stories: how many scripted situations of stories.py, so that each outcome of each rule is met.
    """
    g = Generator(seed, people, days, crossing)
    r = g.r
    for person in range(people):
        if r.random() < 0.8:
            ids = {"member_id": g.value("member_id", person * 10)}
            g.add("customer.consented", ids, START + person, {"purpose": "marketing", "granted": True})
    for k in range(stories):
        r.choice(STORIES)(g, f"{seed % 97}{k}")
    while len(g.events) < n * (1 - bad - again):
        person = r.randrange(people)
        (g.order if r.random() < 0.15 else g.single)(person)
    lines = [g.dump(e) for e in g.events]
    for _ in range(int(n * again)):
        e = dict(r.choice(g.events))
        if r.random() < 0.25:  # a conflict
            if r.random() < 0.5:
                e["time"] = spelled(r, g.when())
            else:
                e["type"], e["data"] = "page.viewed", {"url": "/conflict"}
                e["identifiers"] = {"member_id": "m0"}
        lines.append(g.dump(e))
    faults = bad_lines(g)
    lines += [r.choice(faults) for _ in range(int(n * bad))]
    r.shuffle(lines)
    return lines


def main() -> None:
    from tests.reference.run import reference

    seeds, n = int([*sys.argv, "20"][1]), int([*sys.argv, "", "400"][2])
    total: Counter[str] = Counter()
    began = time.perf_counter()
    for seed in range(seeds):
        lines = [("f", k, line) for k, line in enumerate(generate(seed, n), 1)]
        total.update(reference(lines)["summary"][0])
    took = time.perf_counter() - began
    for name in sorted(total):
        print(f"{total[name]:8d}  {name}")
    print(f"{seeds} files of {n} lines in {took:.1f} s")


if __name__ == "__main__":
    main()
