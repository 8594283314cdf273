"""A generated person's year: when they come, under which identifiers, what they look at and buy."""

from bisect import bisect
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate

from ingest import generator_catalogue as words
from ingest.generator_orders import World, basket, buy, money
from ingest.generator_people import Person, spell_email, spell_phone
from ingest.generator_relations import chat, check_ins, register, say, speak
from ingest.generator_tape import DAY_MS, HOUR_MS, SHANGHAI_MS, Fields

_HOURS = list(accumulate((3, 1, 1, 1, 1, 2, 4, 8, 12, 14, 15, 16, 21, 18, 14, 14, 15, 16, 18, 24, 30, 32, 24, 10)))
_WEEKDAYS = (0.92, 0.9, 0.95, 1.0, 1.1, 1.3, 1.25)
_NEW_YEARS = (date(2024, 2, 10), date(2025, 1, 29), date(2026, 2, 17), date(2027, 2, 6), date(2028, 1, 26))
_SOURCES = {"web": "web", "app": "app", "mini": "mini", "taobao": "taobao", "store": "pos"}
Plan = list[tuple[int, bool]]


def season(day: date) -> float:
    """Return how busy a day is, 1 being usual: week-ends, the sales of 11.11 and 6.18, the New Year's lull."""
    weight = _WEEKDAYS[day.weekday()]
    month_day = (day.month, day.day)
    if (11, 1) <= month_day <= (11, 11):
        weight *= 4.2 if month_day >= (11, 10) else 1.7
    elif (6, 10) <= month_day <= (6, 20):
        weight *= 3.3 if (6, 16) <= month_day <= (6, 18) else 1.5
    elif month_day in ((12, 12), (3, 8), (9, 9)):
        weight *= 1.8
    elif (10, 1) <= month_day <= (10, 7):
        weight *= 0.8
    if any(new_year - timedelta(days=3) <= day <= new_year + timedelta(days=6) for new_year in _NEW_YEARS):
        weight *= 0.3
    return weight


class Calendar:
    """Draws the instants of visits from the seasons of the days from `start_ms` on."""

    def __init__(self, start_ms: int, days: int) -> None:
        first = datetime.fromtimestamp((start_ms + SHANGHAI_MS) // 1000, UTC).date()
        self.start_ms = start_ms
        self.days = days
        self._sums = [0.0, *accumulate(season(first + timedelta(days=day)) for day in range(days))]

    def draw(self, world: World, join: float, leave: float) -> int:
        """Return an instant in epoch ms between two days of the year."""
        sums, rng = self._sums, world.rng
        low, high = int(join), max(int(join) + 1, min(self.days, int(leave)))
        day = bisect(sums, sums[low] + rng.random() * (sums[high] - sums[low])) - 1
        hour = bisect(_HOURS, rng.random() * _HOURS[-1])
        return self.start_ms + min(day, self.days - 1) * DAY_MS + hour * HOUR_MS + int(rng.random() * HOUR_MS)


def live(world: World, person: Person, calendar: Calendar) -> None:
    """Write everything one person does in the year."""
    rng, town = world.rng, world.town
    plan = _plan(world, person, calendar)
    registers_at = min(len(plan) - 1, rng.choice((0, 0, 1, 1, 2, 3)))
    changes_phone_at = rng.randint(2, 40) if rng.random() < 0.05 else -1
    for number, (at_ms, buys) in enumerate(plan):
        person.last_seen_ms = at_ms
        if number == changes_phone_at:
            town.new_phone(person)
        if rng.random() < 0.08:
            town.new_cookie(person)
        if rng.random() < 0.015:
            town.new_device(person)
        channel = person.home if rng.random() < 0.72 else rng.choice(("web", "app", "mini", "store", "taobao"))
        if number == registers_at and person.registers and channel != "taobao":
            at_ms = _browse(world, person, at_ms, channel, False) if channel != "store" else at_ms
            register(world, person, at_ms, channel)
            at_ms += 60_000
        if channel == "store":
            _visit_store(world, person, at_ms, buys)
        elif channel == "taobao":
            if buys:
                ids = {"taobao_id": person.taobao}
                if rng.random() < 0.6:
                    ids["phone"] = person.phones[0]
                buy(world, person, at_ms, ids, "taobao", "taobao", basket(world, person), None)
        else:
            _browse(world, person, at_ms, channel, buys)
    speak(world, person)
    if person.streak and person.known_to_us:
        check_ins(world, person)


def _plan(world: World, person: Person, calendar: Calendar) -> Plan:
    rng = world.rng
    times = sorted(calendar.draw(world, person.join, person.leave) for _ in range(max(person.sessions, person.orders)))
    buying = set(rng.sample(range(len(times)), person.orders))
    plan = [(at_ms, number in buying) for number, at_ms in enumerate(times)]
    if person.staple is not None and person.staple.days is not None:
        at_ms = times[0]
        last_ms = calendar.start_ms + int(person.leave * DAY_MS)
        for _ in range(8):  # comes back when the pack is used up, more or less
            at_ms += int(person.staple.days * DAY_MS * rng.uniform(0.75, 1.35))
            if at_ms >= last_ms:
                break
            if rng.random() < 0.8:
                plan.append((at_ms, True))
        plan.sort()
    return plan


def session_ids(world: World, person: Person, channel: str) -> Fields:
    """Return the identifiers that a channel sends for a session: signed in, or anonymous."""
    rng = world.rng
    signed_in = person.known_to_us and rng.random() < 0.8
    member = person.second_member if person.second_member is not None and rng.random() < 0.4 else person.member
    if channel == "web":
        ids: Fields = {"anonymous_id": person.cookie}
        if rng.random() < 0.2 and person.tablet is not None:
            ids["device_id"] = person.tablet
    elif channel == "app":
        ids = {"device_id": person.tablet if person.tablet is not None and rng.random() < 0.2 else person.device}
    else:
        ids = {"wechat_openid": person.openids[0 if rng.random() < 0.8 else 1]}
        if rng.random() < 0.85:
            ids["wechat_unionid"] = person.unionid
        signed_in = signed_in and rng.random() < 0.6
    if signed_in:
        ids["member_id"] = member
    return ids


def _browse(world: World, person: Person, at_ms: int, channel: str, buys: bool) -> int:
    """Write one session, and the order it may end in; return when it ended, in epoch ms."""
    rng, add = world.rng, world.tape.add
    source = _SOURCES[channel]
    ids = session_ids(world, person, channel)
    if channel == "web":
        page: Fields = {
            "url": "https://shop.example.cn/",
            "title": "栗物生活 - 首页",
            "dwell_ms": rng.randint(800, 60_000),
        }
        add(at_ms, "page.viewed", ids, page, source)
    else:
        add(at_ms, "app.opened", ids, {"channel": channel}, source)
    if rng.random() < 0.3:
        at_ms += rng.randint(3_000, 40_000)
        add(at_ms, "search.performed", ids, {"query": rng.choice(words.SEARCHES)}, source)
    if rng.random() < 0.3:
        at_ms += rng.randint(3_000, 40_000)
        add(at_ms, "category.viewed", ids, {"category": rng.choice(person.assortment).category}, source)
    for _ in range(rng.choices((0, 1, 2, 3, 5, 8), (8, 26, 24, 20, 15, 7))[0]):
        at_ms += rng.randint(5_000, 120_000)
        product = rng.choice(person.assortment)
        seen: Fields = {"sku": product.sku, "category": product.category, "price": money(product.price_minor, "CNY")}
        add(at_ms, "product.viewed", ids, seen, source)
    if buys or rng.random() < 0.16:
        at_ms = _fill_cart(world, person, at_ms, channel, ids, buys)
    if rng.random() < 0.03:
        chat(world, person, at_ms + 5_000, channel, ids)
    return at_ms + 5_000


def _fill_cart(world: World, person: Person, at_ms: int, channel: str, ids: Fields, buys: bool) -> int:
    rng, add = world.rng, world.tape.add
    source = _SOURCES[channel]
    lines = basket(world, person)
    cart_id = f"K{world.tape.serial():09d}" if channel != "mini" else None
    cart: Fields = {} if cart_id is None else {"cart_id": cart_id}
    for product, quantity in lines:
        at_ms += rng.randint(4_000, 60_000)
        line: Fields = {"sku": product.sku, "quantity": quantity, **cart}
        line |= {"unit_price": money(product.price_minor, "CNY"), "category": product.category}
        add(at_ms, "cart.added", ids, line, source)
    if not buys:
        roll = rng.random()
        if roll < 0.2:
            removed: Fields = {"sku": lines[0][0].sku, "quantity": lines[0][1], **cart}
            add(at_ms + 60_000, "cart.removed", ids, removed, source)
        elif roll < 0.3:
            add(at_ms + 90_000, "cart.cleared", ids, cart, source)
        return at_ms
    at_ms += rng.randint(4_000, 60_000)
    add(at_ms, "checkout.started", ids, cart, source)
    if "member_id" not in ids:  # a guest says where to send it
        phone = person.phones[0]
        if person.partner is not None and rng.random() < 0.06:
            phone = person.partner.phones[0]
        ids = {**ids, "phone": spell_phone(rng, phone)}
        if rng.random() < 0.3:
            ids["email"] = spell_email(rng, person.email)
        if rng.random() < 0.25:
            say(world, at_ms, ids, "sms", True, source)
    at_ms += rng.randint(4_000, 90_000)
    buy(world, person, at_ms, ids, channel, source, lines, cart_id)
    return at_ms


def _visit_store(world: World, person: Person, at_ms: int, buys: bool) -> None:
    rng, town = world.rng, world.town
    if rng.random() < 0.25:
        ids: Fields = {"device_id": rng.choice(town.kiosks)}
        if person.known_to_us and rng.random() < 0.5:
            ids["member_id"] = person.member
        product = rng.choice(person.assortment)
        world.tape.add(at_ms, "product.viewed", ids, {"sku": product.sku, "category": product.category}, "pos")
        at_ms += 300_000
    if not buys:
        return
    roll = rng.random()
    if person.known_to_us and roll < 0.25:
        ids = {"member_id": person.member}
    elif person.known_to_us and roll < 0.5:
        ids = {"card_no": person.card}
    elif roll < 0.56:  # the clerk types the shop's own number
        ids = {"phone": rng.choice(town.shop_phones)}
    else:
        ids = {"phone": spell_phone(rng, person.typed_phone or person.phones[0])}
    buy(world, person, at_ms, ids, "store", "pos", basket(world, person), None)
