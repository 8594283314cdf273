"""Buying in the generated shop: baskets, orders placed and paid, and what follows them."""

from dataclasses import dataclass
from random import Random

from ingest import generator_catalogue as words
from ingest.generator_catalogue import Product
from ingest.generator_people import Person, Town, spell_email, spell_phone
from ingest.generator_tape import DAY_MS, HOUR_MS, Fields, Tape

_MINUTE_MS = 60_000
# Units of a currency for one fen, and its decimals: shop prices abroad are round conversions.
_ABROAD = {"CNY": (1.0, 2), "USD": (0.14, 2), "HKD": (1.1, 2), "JPY": (0.21, 0)}
_AGENTS = ("客服小美", "客服阿杰", "售后-07", "Agent Lily")
_STORES = ("上海静安店", "杭州西湖店", "成都太古里店", "深圳万象店")


@dataclass
class World:
    """What every scene needs: chance, the people and places, the tape, and when the year starts."""

    rng: Random
    town: Town
    tape: Tape
    start_ms: int


def money(minor: int, currency: str, as_number: bool = False) -> str | int | float:
    """Write a price in fen in `currency`, as the text or the number that a shop system would send."""
    rate, decimals = _ABROAD[currency]
    amount = round(minor * rate)
    if decimals == 0:
        return amount if as_number else str(amount)
    if as_number:
        return amount // 100 if amount % 100 == 0 else amount / 100
    return f"{amount // 100}.{amount % 100:02d}"


def contact(world: World, person: Person) -> Fields:
    """Return what the back office files a person under: a phone number, a member number, an e-mail address."""
    rng = world.rng
    roll = rng.random()
    if person.known_to_us and roll < 0.4:
        return {"member_id": person.member}
    if roll > 0.93:
        return {"email": spell_email(rng, person.email), "phone": person.phones[0]}
    return {"phone": spell_phone(rng, person.phones[0])}


def basket(world: World, person: Person) -> list[tuple[Product, int]]:
    """Choose what to buy: one to three articles, now and then the staple."""
    rng = world.rng
    if person.staple is not None and rng.random() < 0.55:
        return [(person.staple, 2 if rng.random() < 0.15 else 1)]
    chosen = {rng.choice(person.assortment).sku: None for _ in range(rng.choices((1, 2, 3), (62, 28, 10))[0])}
    picked = [product for product in person.assortment if product.sku in chosen]
    return [(product, 2 if rng.random() < 0.1 else 1) for product in picked]


def buy(
    world: World,
    person: Person,
    at_ms: int,
    identifiers: Fields,
    channel: str,
    source: str,
    lines: list[tuple[Product, int]],
    cart_id: str | None,
) -> None:
    """Write an order from the checkout to the last refund. `at_ms` is the moment of the click on "order"."""
    rng, tape = world.rng, world.tape
    whole = _whole(world, person, at_ms, channel, lines, cart_id)
    order_id: str = whole["order_id"]
    if channel in ("taobao", "store"):
        paid_ms = at_ms
        tape.add(at_ms, "order.paid", identifiers, whole, source)
    else:
        late_export = rng.random() < 0.008  # the order desk exports it days later, under its own time
        tape.add(at_ms + (9 * DAY_MS if late_export else 0), "order.placed", identifiers, whole, source)
        if rng.random() < 0.08:
            if rng.random() < 0.65:
                reason = {"order_id": order_id, "reason": words.CANCEL_REASONS[0]}
                tape.add(at_ms + 30 * _MINUTE_MS, "order.cancelled", identifiers, reason, source)
            return
        paid_ms = at_ms + rng.randint(8_000, 280_000)
        payer = identifiers if rng.random() < 0.7 else contact(world, person)
        tape.add(paid_ms, "order.paid", payer, whole if rng.random() < 0.45 else {"order_id": order_id}, "oms")
    amount = sum(product.price_minor * quantity for product, quantity in lines)
    if person.known_to_us:
        points = {"delta": amount // 100, "reason": "order"}
        tape.add(paid_ms + 2000, "points.changed", {"member_id": person.member}, points, "crm")
        if rng.random() < 0.06:
            spent = {"delta": -min(500, amount // 200), "reason": "兑换礼品"}
            tape.add(paid_ms + 3 * DAY_MS, "points.changed", {"member_id": person.member}, spent, "crm")
    _afterwards(world, person, paid_ms, channel, whole, amount, lines)


def _whole(
    world: World, person: Person, at_ms: int, channel: str, lines: list[tuple[Product, int]], cart_id: str | None
) -> Fields:
    rng = world.rng
    currency = person.currency if channel in ("web", "app") else "CNY"
    as_number = channel == "store"
    english = person.timezone != "Asia/Shanghai"
    items: list[Fields] = []
    total = 0
    for product, quantity in lines:
        item: Fields = {
            "sku": product.sku,
            "quantity": quantity,
            "unit_price": money(product.price_minor, currency, as_number),
            "name": product.en if english else product.zh,
            "category": product.category,
            "brand": product.brand,
        }
        if product.days is not None:
            item["consumption_days"] = product.days
        items.append(item)
        total += product.price_minor * quantity
    order: Fields = {
        "order_id": f"{channel[0].upper()}{world.tape.serial():09d}",
        "items": items,
        "amount": money(total, currency, as_number),
        "currency": currency,
        "channel": channel,
    }
    roll = rng.random()
    if roll < 0.22 and currency == "CNY":
        discount = min(total // 10, 5000)
        order.update(
            amount=money(total - discount, currency, as_number),
            discount=money(discount, currency, as_number),
            coupon=rng.choice(("新人券", "满减10%", "会员日")),
        )
    elif roll < 0.4 and currency == "CNY" and channel != "store":
        order.update(amount=money(total + 800, currency), shipping=money(800, currency))
    if channel == "store":
        order["store"] = rng.choice(_STORES)
    if cart_id is not None:
        order["cart_id"] = cart_id
    return order


def _afterwards(
    world: World,
    person: Person,
    paid_ms: int,
    channel: str,
    order: Fields,
    amount: int,
    lines: list[tuple[Product, int]],
) -> None:
    rng, tape = world.rng, world.tape
    order_id, currency = order["order_id"], order["currency"]
    if rng.random() < 0.015:
        tape.add(
            paid_ms + rng.randint(1, 10) * HOUR_MS,
            "order.cancelled",
            contact(world, person),
            {"order_id": order_id, "reason": rng.choice(words.CANCEL_REASONS[1:])},
            "oms",
        )
        return
    received_ms = paid_ms
    if channel != "store":
        received_ms = paid_ms + rng.randint(20, 96) * HOUR_MS
        tape.add(received_ms, "order.delivered", contact(world, person), {"order_id": order_id}, "wms")
    roll = rng.random()
    if roll < 0.035:
        full = {"order_id": order_id, "amount": order["amount"], "currency": currency}
        tape.add(received_ms + rng.randint(1, 7) * DAY_MS, "order.refunded", contact(world, person), full, "oms")
    elif roll < 0.075:
        product, _ = lines[0]
        part_minor = product.price_minor if len(lines) > 1 else amount // 4
        part: Fields = {"order_id": order_id, "amount": money(part_minor, currency), "currency": currency}
        tape.add(received_ms + rng.randint(1, 12) * DAY_MS, "order.refunded", contact(world, person), part, "oms")
    if rng.random() < 0.075:
        ticket(world, person, received_ms + rng.randint(1, 60) * HOUR_MS, order_id, lines[0][0].sku)
    if rng.random() < 0.14:
        survey(world, person, received_ms + rng.randint(2, 6) * DAY_MS)


def ticket(world: World, person: Person, at_ms: int, order_id: str, sku: str) -> None:
    """Write a service ticket: opened, assigned, replied, resolved, sometimes reopened and rated."""
    rng, tape = world.rng, world.tape
    subject, category = rng.choice(words.TICKET_SUBJECTS)
    ticket_id = f"T{tape.serial():09d}"
    who = contact(world, person)
    opened: Fields = {
        "ticket_id": ticket_id,
        "subject": subject,
        "category": category,
        "priority": rng.choice(("low", "normal", "normal", "high")),
        "sku": sku,
        "order_id": order_id,
    }
    here: Fields = {"ticket_id": ticket_id}
    tape.add(at_ms, "ticket.opened", who, opened, "helpdesk")
    at_ms += rng.randint(2, 90) * _MINUTE_MS
    tape.add(at_ms, "ticket.assigned", who, {**here, "agent": rng.choice(_AGENTS)}, "helpdesk")
    at_ms += rng.randint(5, 900) * _MINUTE_MS
    tape.add(at_ms, "ticket.replied", who, here, "helpdesk")
    if rng.random() < 0.12:
        return  # nobody ever closed it
    at_ms += rng.randint(1, 50) * HOUR_MS
    tape.add(at_ms, "ticket.resolved", who, here, "helpdesk")
    if rng.random() < 0.14:
        at_ms += rng.randint(1, 30) * HOUR_MS
        tape.add(at_ms, "ticket.reopened", who, here, "helpdesk")
        at_ms += rng.randint(3, 60) * HOUR_MS
        tape.add(at_ms, "ticket.resolved", who, here, "helpdesk")
    if rng.random() < 0.45:
        score = rng.choices((1, 2, 3, 4, 5), (14, 12, 16, 26, 32))[0]
        tape.add(at_ms + rng.randint(1, 20) * HOUR_MS, "ticket.rated", who, {**here, "score": score}, "helpdesk")


def survey(world: World, person: Person, at_ms: int) -> None:
    """Write an answer to the recommendation survey, or to the one on delivery with its scale of five."""
    rng = world.rng
    if rng.random() < 0.8:
        score = rng.choices((2, 5, 6, 7, 8, 9, 10), (6, 7, 9, 14, 20, 22, 22))[0]
        said = words.SURVEY_GOOD if score >= 8 else words.SURVEY_BAD
        answer: Fields = {"survey": "nps", "score": score, "text": rng.choice(said)}
    else:
        answer = {"survey": "delivery", "score": rng.choices((1, 2, 3, 4, 5), (6, 8, 16, 30, 40))[0], "scale": 5}
    world.tape.add(at_ms, "survey.answered", contact(world, person), answer, "crm")
