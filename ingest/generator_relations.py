"""How the generated shop and its customers keep in touch: registration, consent, messages, chats, check-ins."""

from ingest import generator_catalogue as words
from ingest.generator_orders import World, contact
from ingest.generator_people import Person, spell_email, spell_phone
from ingest.generator_tape import DAY_MS, HOUR_MS, SHANGHAI_MS, Fields

_CHANNELS = ("sms", "wechat", "email", "app_push")


def register(world: World, person: Person, at_ms: int, channel: str) -> None:
    """Write the registration, which shows several identifiers at once, and what was said about consent."""
    rng = world.rng
    phone = spell_phone(rng, person.typed_phone or person.phones[0])
    ids: Fields = {"member_id": person.member, "phone": phone}
    source = "crm"
    if channel == "store":
        source = "pos"
        if rng.random() < 0.10:
            ids["phone"] = rng.choice(world.town.shop_phones)
        ids["card_no"] = person.card
    elif channel == "web":
        source = "web"
        ids["anonymous_id"] = person.cookie
        ids["email"] = spell_email(rng, person.email)
        if rng.random() < 0.3:
            del ids["phone"]
    elif channel == "app":
        source = "app"
        ids["device_id"] = person.device
    else:
        source = "mini"
        ids["wechat_unionid"] = person.unionid
        ids["wechat_openid"] = person.openids[0]
        if rng.random() < 0.25:
            del ids["member_id"]  # follows the account, and becomes a member another day
    if rng.random() < 0.25:
        ids["taobao_id"] = person.taobao
    person.known_to_us = "member_id" in ids
    traits: Fields = {"name": person.name, "city": person.city, "gender": person.gender}
    roll = rng.random()
    if roll < 0.62:
        traits["birthday"] = person.birthday
    elif roll < 0.72:
        traits["birthday"] = person.birthday[5:]
    if person.timezone != "Asia/Shanghai" or rng.random() < 0.2:
        traits["timezone"] = person.timezone
    if rng.random() < 0.1:
        traits["baby_birthday"] = f"2025-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    _consent_at_start(world, person, at_ms, ids, source)
    world.tape.add(at_ms, "customer.identified", ids, {"traits": traits}, source)
    if person.second_member is not None:
        again: Fields = {"member_id": person.second_member, "email": spell_email(rng, person.email)}
        later_ms = at_ms + rng.randint(5, 90) * DAY_MS
        world.tape.add(later_ms, "customer.identified", again, {"traits": {"name": person.name}}, "crm")


def _consent_at_start(world: World, person: Person, at_ms: int, ids: Fields, source: str) -> None:
    rng = world.rng
    roll = rng.random()
    if roll < 0.62:
        person.consents = _CHANNELS
        words_given: list[tuple[str | None, bool]] = [(None, True)]
    elif roll < 0.84:
        person.consents = tuple(channel for channel in _CHANNELS if rng.random() < 0.5)
        words_given = [(channel, channel in person.consents) for channel in _CHANNELS]
    elif roll < 0.93:
        words_given = [(None, False)]
    else:
        return
    # ticked on the form a moment before it is sent
    for channel, granted in words_given:
        say(world, at_ms - 1000, ids, channel, granted, source)


def say(
    world: World, at_ms: int, ids: Fields, channel: str | None, granted: bool, source: str, purpose: str = "marketing"
) -> None:
    """Write one word on consent; `channel` None means all channels."""
    word: Fields = {"purpose": purpose, "granted": granted, "notice_version": "2025-06"}
    if channel is not None:
        word["channel"] = channel
    world.tape.add(at_ms, "customer.consented", ids, word, source)


def speak(world: World, person: Person) -> None:
    """Write what comes after the last visit is known: consent withdrawn and given again, and the newsletters."""
    rng = world.rng
    stops_ms = min(world.tape.end_ms, person.last_seen_ms + 90 * DAY_MS)
    if person.last_seen_ms and (person.known_to_us or person.orders) and rng.random() < 0.12:
        roll = rng.random()
        from_ms, to_ms = person.last_seen_ms, world.tape.end_ms
        if roll >= 0.82 or rng.random() < 0.5:  # while still a customer
            from_ms, to_ms = world.start_ms + int(person.join * DAY_MS) + 10 * DAY_MS, from_ms
        at_ms = from_ms + int(rng.random() * max(DAY_MS, to_ms - from_ms))
        ids = contact(world, person)
        if roll < 0.45:
            say(world, at_ms, ids, None, False, "crm")
            stops_ms = at_ms
            if rng.random() < 0.2:
                say(world, at_ms + 20 * DAY_MS, ids, None, True, "crm")
        elif roll < 0.82:
            channel = rng.choice(_CHANNELS)
            say(world, at_ms, ids, channel, False, "crm")
            person.consents = tuple(each for each in person.consents if each != channel)
        else:
            say(world, at_ms, ids, None, False, "crm", "service")
    if person.consents and person.known_to_us:
        _newsletters(world, person, stops_ms)


def _newsletters(world: World, person: Person, stops_ms: int) -> None:
    rng, add = world.rng, world.tape.add
    joined_ms = world.start_ms + int(person.join * DAY_MS)
    first = (joined_ms + SHANGHAI_MS) // DAY_MS * DAY_MS + 2 * HOUR_MS  # 10:00 in Shanghai
    for at_ms in range(first + rng.randint(10, 40) * DAY_MS, stops_ms, 30 * DAY_MS):
        sent_ms = at_ms + rng.randint(0, HOUR_MS)
        channel = rng.choice(person.consents)
        ids = {"email": person.email} if channel == "email" and rng.random() < 0.5 else {"member_id": person.member}
        add(sent_ms, "message.sent", ids, {"channel": channel}, "crm")
        roll = rng.random()
        if roll < 0.28:
            add(sent_ms + rng.randint(1, 20) * HOUR_MS, "message.opened", ids, {"channel": channel}, "crm")
            if roll < 0.07:
                add(sent_ms + 21 * HOUR_MS, "message.clicked", ids, {"channel": channel}, "crm")


def chat(world: World, person: Person, at_ms: int, channel: str, ids: Fields) -> None:
    """Write a conversation with the shop's bot and agents, rated by some."""
    rng, add = world.rng, world.tape.add
    source = "mini" if channel == "mini" else "app" if channel == "app" else "web"
    here: Fields = {"conversation_id": f"C{world.tape.serial():09d}"}
    add(at_ms, "chat.started", ids, {**here, "channel": channel}, source)
    for turn in range(rng.randint(2, 7)):
        at_ms += rng.randint(4_000, 90_000)
        if turn % 2 == 0:
            said: Fields = {"sender": "customer", "text": rng.choice(words.CHAT_CUSTOMER)}
        else:
            said = {"sender": "bot" if turn == 1 else "agent", "text": rng.choice(words.CHAT_AGENT)}
        add(at_ms, "chat.message", ids, {**here, **said}, source)
    add(at_ms + 30_000, "chat.ended", ids, here, source)
    if rng.random() < 0.4:
        score = rng.choices((1, 2, 3, 4, 5), (8, 9, 15, 30, 38))[0]
        add(at_ms + 60_000, "chat.rated", ids, {**here, "score": score}, source)


def check_ins(world: World, person: Person) -> None:
    """Write a streak of daily check-ins in the app."""
    rng = world.rng
    at_ms = world.start_ms + int(person.join + 1) * DAY_MS + rng.randint(0, 12) * HOUR_MS
    ids: Fields = {"member_id": person.member, "device_id": person.device}
    for _ in range(rng.randint(5, 35)):
        at_ms += DAY_MS * (1 if rng.random() < 0.9 else 3) + rng.randint(-HOUR_MS, HOUR_MS)
        if at_ms > person.last_seen_ms + 20 * DAY_MS:
            return
        world.tape.add(at_ms, "customer.checked_in", ids, {}, "app")


def stewards(world: World) -> None:
    """Write the few links and unlinks that a steward gave by hand: to join what is one, to part what is two."""
    rng, add = world.rng, world.tape.add
    span = world.tape.end_ms - world.start_ms
    for person in world.town.people:
        at_ms = world.start_ms + int(span * rng.uniform(0.5, 0.98))
        member: Fields = {"kind": "member_id", "value": person.member}
        if person.second_member is not None and person.known_to_us and rng.random() < 0.6:
            other: Fields = {"kind": "member_id", "value": person.second_member}
            add(at_ms, "customer.linked", None, {"a": member, "b": other, "reason": "同一顾客注册两次"}, "crm")
        elif person.known_to_us and person.orders > 3 and rng.random() < 0.02:
            other = {"kind": "taobao_id", "value": person.taobao}
            add(at_ms, "customer.linked", None, {"a": member, "b": other, "reason": "顾客来电确认"}, "crm")
        if person.typed_phone is not None and rng.random() < 0.5:
            wrong: Fields = {"kind": "phone", "value": person.typed_phone}
            mine = member if person.known_to_us else {"kind": "phone", "value": person.phones[0]}
            if mine["value"] != wrong["value"]:
                add(at_ms, "customer.unlinked", None, {"a": mine, "b": wrong, "reason": "手机号录错"}, "crm")
