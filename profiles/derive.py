"""From the facts of a person to what a marketer reads: pure functions of facts, instant, settings and thresholds."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec

from profiles import consent
from profiles.completeness import completeness, fields
from profiles.derived import COLUMNS, Derived
from profiles.habits import favourites, purchase_cycles, usual_time
from profiles.lifecycle import stage_of
from profiles.membership import badges, streaks, tier_of
from profiles.population import Thresholds
from profiles.service import rounded_ratio
from profiles.tags import Context, Reason, find_tags
from profiles.value import Rfm, judge_among, judge_fixed, lifetime_minor
from schemas.money import to_minor
from schemas.profile import Profile
from schemas.settings import Settings

if TYPE_CHECKING:
    from profiles.facts import Facts

DAY_MS = 86_400_000
NPS = "nps"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMIT = 2**63 - 1  # of a column of integers; sums of many amounts of the largest size can pass it
_json = msgspec.json.Encoder()


class Deriver:
    """Derives profiles under one set of settings, whose thresholds it works out once."""

    def __init__(self, settings: Settings) -> None:
        profiles = settings.profiles
        self.settings = settings
        self.currency = settings.currency
        self._lifecycle = profiles.lifecycle
        rfm = profiles.rfm
        self._method = rfm.method
        self._recency_ms = rfm.recency_days * DAY_MS
        self._frequency = rfm.frequency_orders
        self._money = to_minor(rfm.money, settings.currency)
        self._cuts: dict[str, list[float]] = {
            "recency_days": [rfm.recency_days],
            "frequency": [rfm.frequency_orders],
            "money": [self._money],
        }
        tiers = ((to_minor(spend, settings.currency), name) for name, spend in profiles.tiers.items())
        self._tiers = sorted(tiers)
        factor = Fraction(str(profiles.clv.years)) * Fraction(str(profiles.clv.margin))
        self._clv = (factor.numerator, factor.denominator)
        self._fields = fields(profiles.completeness)

    def row(self, facts: "Facts", now_ms: int, population: Thresholds | None) -> tuple[Any, ...]:
        """Return the values of `COLUMNS` for one person at an instant."""
        return self.row_with_reasons(facts, now_ms, population)[0]

    def row_with_reasons(
        self, facts: "Facts", now_ms: int, population: Thresholds | None
    ) -> tuple[tuple[Any, ...], Derived, list[Reason]]:
        """Return the values of `COLUMNS`, the record they are of, and the reasons of its tags."""
        row, reasons = self.derive(facts, now_ms, population)
        row.tag_reasons = _json.encode(reasons).decode()
        values = msgspec.structs.astuple(row)
        return tuple([_LIMIT if type(value) is int and value > _LIMIT else value for value in values]), row, reasons

    def derive(self, facts: "Facts", now_ms: int, population: Thresholds | None) -> tuple[Derived, list[Reason]]:
        """Return the derived record and its tags; `tag_reasons` of the record is left empty."""
        row = Derived(facts.first_seen, facts.last_seen, facts.events)
        self._bought(row, facts)
        stage = stage_of(facts.orders(), row.first_seen, now_ms, self._lifecycle)
        row.lifecycle = stage.stage
        row.lifecycle_since = stage.since_ms
        row.lifecycle_until = stage.until_ms
        rfm = self._value(row, facts, now_ms, population)
        tier = tier_of(facts.orders(), now_ms, self.currency, self._tiers)
        row.tier = tier.name
        row.tier_spend_minor = tier.spend_minor
        row.tier_next = tier.next_name
        row.tier_gap_minor = tier.gap_minor
        row.tier_until = tier.until_ms
        self._membership(row, facts, now_ms)
        self._carts(row, facts)
        self._interest(row, facts)
        self._service(row, facts)
        row.consent = consent.as_map(facts.words())
        row.timezone = facts.timezone
        row.completeness = completeness(facts, self._fields)
        changes = [
            at
            for at in (stage.until_ms, tier.until_ms, None if rfm is None else rfm.recency_until_ms)
            if at is not None
        ]
        row.next_change_at = min(changes, default=None)
        reasons = find_tags(Context(now_ms, row, facts, rfm, tier, self.currency))
        row.tags = [reason.name for reason in reasons]
        return row, reasons

    def _bought(self, row: Derived, facts: "Facts") -> None:
        book = facts.orders()
        currency = book.currency()
        if currency is None:
            return
        totals = book.totals[currency]
        row.orders = len(book.list)
        row.items = book.items
        row.currency = currency
        row.revenue_minor = min(totals.net_minor, _LIMIT)
        row.refunded_minor = min(totals.refunded_minor, _LIMIT)
        row.aov_minor = rounded_ratio(totals.net_minor, totals.orders)
        row.first_order_at = book.list[0].time_ms
        row.last_order_at = book.list[-1].time_ms
        row.foreign_refunds = book.foreign_refunds
        row.promo_share = round(book.promoted / len(book.list), 4)
        if len(book.totals) > 1:
            row.other_currencies = [
                {
                    "currency": other,
                    "orders": sums.orders,
                    "revenue_minor": min(sums.net_minor, _LIMIT),
                    "refunded_minor": min(sums.refunded_minor, _LIMIT),
                }
                for other, sums in sorted(book.totals.items())
                if other != currency
            ]
        row.usual_weekday, row.usual_hour = usual_time(book.list, facts.zone)
        row.sku_cycle_days, row.category_cycle_days = purchase_cycles(book.list)

    def _value(self, row: Derived, facts: "Facts", now_ms: int, population: Thresholds | None) -> Rfm | None:
        book = facts.orders()
        if row.first_order_at is None:
            return None
        row.clv_minor = min(lifetime_minor(row.revenue_minor, row.first_order_at, now_ms, self._clv), _LIMIT)
        if self._method == "fixed":
            rfm = judge_fixed(book, now_ms, self.currency, self._recency_ms, self._frequency, self._money, self._cuts)
        elif population is not None:
            rfm = judge_among(book, self.currency, population)
        else:
            return None
        row.rfm_r = rfm.r
        row.rfm_f = rfm.f
        row.rfm_m = rfm.m
        row.rfm_segment = rfm.segment
        return rfm

    def _membership(self, row: Derived, facts: "Facts", now_ms: int) -> None:
        row.points = max(-_LIMIT, min(facts.points, _LIMIT))
        longest = 0
        quarters = facts.checkins()
        if quarters:
            row.streak_days, longest = streaks(quarters, facts.zone, now_ms)
        if row.orders or longest:
            row.badges = badges(row.orders, longest)

    def _carts(self, row: Derived, facts: "Facts") -> None:
        carts = facts.carts()
        if not carts:
            return
        row.carts = [
            {
                "cart_id": cart.cart_id or None,
                "items": cart.quantity,
                "value_minor": min(cart.value_minor, _LIMIT),
                "changed_at": cart.changed[0],
                "lines": [
                    {"sku": sku, "quantity": line.quantity, "unit_price_minor": line.unit_price_minor}
                    for sku, line in cart.lines.items()
                ],
            }
            for cart in carts.values()
        ]
        row.cart_items = sum([cart["items"] for cart in row.carts])
        row.cart_value_minor = min(sum([cart["value_minor"] for cart in row.carts]), _LIMIT)

    def _interest(self, row: Derived, facts: "Facts") -> None:
        row.favourite_categories = favourites(facts.category_weights())
        row.favourite_channels = favourites(facts.channel_weights())
        row.last_viewed = facts.last_viewed()
        row.messages_sent = facts.count("message.sent")
        row.messages_opened = facts.count("message.opened")
        row.messages_clicked = facts.count("message.clicked")

    def _service(self, row: Derived, facts: "Facts") -> None:
        answer = facts.survey(NPS)
        if answer is not None:
            row.nps_score = answer[2]
            row.nps = nps_group(answer[2], answer[3])
        if not facts.was_served:
            return
        served = facts.service()
        row.open_tickets = len(served.open_tickets)
        row.tickets = served.tickets
        row.complaints = served.complaints
        row.first_response_ms = served.first_response_ms
        row.resolution_ms = served.resolution_ms
        row.chat_response_ms = served.chat_response_ms
        row.satisfaction = served.satisfaction


def nps_group(score: float, scale: float) -> str:
    """Return the NPS group of a score, brought to a scale of 10: below 7 detractor, below 9 passive, else promoter."""
    if score * 10 >= 9 * scale:
        return "promoter"
    return "passive" if score * 10 >= 7 * scale else "detractor"


_latest: list[Deriver] = []


def deriver(settings: Settings) -> Deriver:
    """Return the deriver of the settings, made anew only when they are other than last time."""
    if not _latest or _latest[0].settings is not settings:
        _latest[:] = [Deriver(settings)]
    return _latest[0]


def derive_row(facts: "Facts", now_ms: int, settings: Settings, population: Thresholds | None) -> tuple[Any, ...]:
    """Return the values of `COLUMNS` for one person at an instant; times are epoch ms."""
    return deriver(settings).row(facts, now_ms, population)


def derive(
    facts: "Facts", now_ms: int, settings: Settings, population: Thresholds | None, one_id: str | None = None
) -> Profile:
    """Return the public profile of one person at an instant, with the reasons of its tags."""
    row, reasons = deriver(settings).derive(facts, now_ms, population)
    values: dict[str, Any] = dict(zip(COLUMNS, msgspec.structs.astuple(row), strict=True))
    del values["tag_reasons"]
    for name, value in values.items():
        if name in TIMES and value is not None:
            values[name] = EPOCH + timedelta(milliseconds=value)
    values["carts"] = [{**cart, "changed_at": EPOCH + timedelta(milliseconds=cart["changed_at"])} for cart in row.carts]
    values["tags"] = [
        {
            "name": reason.name,
            "rule": reason.rule,
            "version": reason.version,
            "facts": reason.facts,
            "since": None if reason.since_ms is None else EPOCH + timedelta(milliseconds=reason.since_ms),
        }
        for reason in reasons
    ]
    return Profile.model_validate({"one_id": one_id, "identifiers": facts.identifiers(), **values})


TIMES = frozenset({"first_seen", "last_seen", "lifecycle_since", "lifecycle_until", "tier_until"}) | {
    column for column in COLUMNS if column.endswith("_at")
}
"""Columns that hold an instant as epoch ms."""
