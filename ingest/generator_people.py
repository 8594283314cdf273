"""The generated people: their identifiers, habits and households, before anything happens to them."""

from random import Random

import msgspec

from ingest.generator_catalogue import CHEAP, CITIES, CONSUMABLES, DEAR, GIVEN, SURNAMES, USUAL, Product
from ingest.generator_truth import Truth

_PREFIXES = (133, 135, 136, 137, 138, 139, 150, 151, 152, 155, 158, 159, 177, 180, 181, 185, 186, 187, 188, 189, 191)
_DOMAINS = ("mail.example.cn", "qq.example.com", "163.example.com", "post.example.org")
_ZONES = ("Europe/London", "America/Los_Angeles", "Asia/Tokyo", "Asia/Hong_Kong")

# name, share, orders from-to, sessions from-to over a whole year
HABITS = (
    ("visitor", 0.27, (0, 0), (1, 7)),
    ("once", 0.23, (1, 1), (2, 9)),
    ("occasional", 0.24, (2, 3), (5, 16)),
    ("regular", 0.18, (4, 9), (12, 32)),
    ("loyal", 0.08, (10, 24), (25, 60)),
)
# where a person is at home: the channel of most sessions, and of the registration
HOMES = (("web", 0.30), ("app", 0.28), ("mini", 0.20), ("store", 0.13), ("taobao", 0.09))


class Person(msgspec.Struct):
    """One true person.

    `join` and `leave` are days of the year lived as a customer; `registers` says whether a member number is ever
    taken. `cookie` and `device` are the anonymous and device identifiers in use, which change over time.
    """

    index: int
    habit: str
    home: str
    orders: int
    sessions: int
    join: float
    leave: float
    registers: bool
    assortment: tuple[Product, ...]
    staple: Product | None
    member: str
    phones: list[str]
    email: str
    unionid: str
    openids: list[str]
    taobao: str
    card: str
    cookie: str
    device: str
    name: str
    gender: str
    birthday: str
    city: str
    timezone: str
    currency: str = "CNY"
    tablet: str | None = None
    partner: "Person | None" = None
    known_to_us: bool = False
    typed_phone: str | None = None
    second_member: str | None = None
    streak: bool = False
    consents: tuple[str, ...] = ()
    last_seen_ms: int = 0


class Town:
    """The people of one block with the places they share: shop phones typed for walk-ins, and kiosks."""

    def __init__(self, rng: Random, first: int, count: int, days: int, truth: Truth) -> None:
        self.rng = rng
        self.truth = truth
        self.days = days
        self.people = [self._person(index) for index in range(first, first + count)]
        shops = max(1, count // 900)
        self.shop_phones = [self._phone(first + count + shop, None) for shop in range(shops)]
        self.kiosks = [self._shared("device_id", f"KIOSK{rng.getrandbits(48):012X}") for _ in range(shops)]
        self._households()
        self._mistakes()

    def _own(self, kind: str, value: str, index: int | None) -> str:
        if index is None:
            self.truth.shared[f"{kind}:{value}"] = None
        else:
            self.truth.owners[f"{kind}:{value}"] = index
        return value

    def _shared(self, kind: str, value: str) -> str:
        return self._own(kind, value, None)

    def _phone(self, number: int, index: int | None) -> str:
        digits = f"{self.rng.choice(_PREFIXES)}{(number * 38_327 + 20_000_003) % 100_000_000:08d}"
        self._own("phone", "+86" + digits, index)
        return digits

    def new_cookie(self, person: Person) -> None:
        """Give the person's browser a new anonymous id, as after clearing it."""
        person.cookie = self._own("anonymous_id", f"{self.rng.getrandbits(80):020x}", person.index)

    def new_device(self, person: Person) -> None:
        """Give the person a new phone."""
        person.device = self._own("device_id", f"{self.rng.getrandbits(96):024X}", person.index)

    def new_phone(self, person: Person) -> None:
        """Give the person a second phone number, which is used from now on."""
        person.phones.insert(0, self._phone(person.index + 50_000_000, person.index))

    def _person(self, index: int) -> Person:
        rng = self.rng
        habit, _, orders, sessions = rng.choices(HABITS, [row[1] for row in HABITS])[0]
        home = rng.choices([row[0] for row in HOMES], [row[1] for row in HOMES])[0]
        join = self.days * rng.random() ** 1.6
        leave = float(self.days)
        if rng.random() < 0.4:  # has lost interest before the year is over
            leave = join + max(1.0, (self.days - join) * rng.uniform(0.05, 0.9))
        share = (leave - join) / 365
        roll = rng.random()
        assortment = CHEAP if roll < 0.35 else USUAL if roll < 0.75 else DEAR
        year = rng.randint(1958, 2006)
        email = f"{rng.choice(('mei', 'xiao', 'lin', 'chen', 'sun', 'leo', 'amy'))}{index}@{rng.choice(_DOMAINS)}"
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        person = Person(
            index=index,
            habit=habit,
            home=home,
            orders=max(min(1, orders[0]), round(rng.randint(*orders) * min(1.0, share + 0.3))),
            sessions=max(1, round(rng.randint(*sessions) * min(1.0, share + 0.2))),
            join=join,
            leave=leave,
            registers=rng.random() < (0.5 if habit == "visitor" else 0.78),
            assortment=assortment,
            staple=rng.choice(CONSUMABLES) if habit in ("regular", "loyal") and rng.random() < 0.6 else None,
            member=self._own("member_id", f"M{10_000_000 + index}", index),
            phones=[self._phone(index, index)],
            email=self._own("email", email, index),
            unionid=self._own("wechat_unionid", "oU" + "".join(rng.choices(letters, k=20)), index),
            openids=[self._own("wechat_openid", "oP" + "".join(rng.choices(letters, k=20)), index) for _ in (1, 2)],
            taobao=self._own("taobao_id", f"tb{rng.getrandbits(40)}", index),
            card=self._own("card_no", f"6{index:09d}", index),
            cookie="",
            device="",
            name=rng.choice(SURNAMES) + rng.choice(GIVEN),
            gender=rng.choice(("female", "female", "male")),
            birthday=f"{year}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
            city=rng.choice(CITIES),
            timezone="Asia/Shanghai" if rng.random() < 0.97 else rng.choice(_ZONES),
            streak=rng.random() < 0.05,
        )
        if rng.random() < 0.01:
            person.birthday = f"{rng.choice((1988, 1992, 1996, 2000))}-02-29"
        if person.timezone != "Asia/Shanghai":
            person.currency = rng.choice(("USD", "HKD", "JPY", "CNY"))
        if rng.random() < 0.02 and person.registers:  # took a member number twice
            person.second_member = self._own("member_id", f"M{90_000_000 + index}", index)
        self.new_cookie(person)
        self.new_device(person)
        return person

    def _households(self) -> None:
        rng = self.rng
        for left, right in zip(self.people[::2], self.people[1::2], strict=False):
            if rng.random() >= 0.12:
                continue
            right.name = left.name[0] + right.name[1:]
            right.city = left.city
            left.partner, right.partner = right, left
            left.tablet = right.tablet = self._shared("device_id", f"{rng.getrandbits(96):024X}")

    def _mistakes(self) -> None:
        for person in self.people:
            if self.rng.random() < 0.006:  # a digit wrong, and it is somebody else's number
                person.typed_phone = self.rng.choice(self.people).phones[0]


def spell_phone(rng: Random, digits: str) -> str:
    """Write a Chinese mobile number in one of the ways people and systems do."""
    roll = rng.random()
    if roll < 0.62:
        return digits
    if roll < 0.80:
        return "+86" + digits
    if roll < 0.88:
        return f"+86 {digits[:3]} {digits[3:7]} {digits[7:]}"
    if roll < 0.94:
        return f"{digits[:3]}-{digits[3:7]}-{digits[7:]}"
    if roll < 0.98:
        return f"0086 {digits}"
    return "".join(chr(ord(digit) + 0xFEE0) for digit in digits)  # full-width, from a till


def spell_email(rng: Random, email: str) -> str:
    """Write an e-mail address as typed: sometimes capitalised or with a blank around it."""
    roll = rng.random()
    if roll < 0.85:
        return email
    return email.capitalize() if roll < 0.95 else f" {email.upper()} "
