"""The tags of a person, each with the rule that gave it, the rule's version and the facts behind it.

A rule looks at the derived record and the facts and returns None or what follows its name, the facts behind it, and
the instant since when it holds, if that is known. Raise a rule's version when its meaning changes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from profiles.derived import Derived
from profiles.habits import mean_gap_ms

if TYPE_CHECKING:
    from profiles.facts import Facts
    from profiles.membership import Tier
    from profiles.value import Rfm

COUPON_SHARE = 0.5
COUPON_ORDERS = 3
REFUND_SHARE = 0.5
REFUND_ORDERS = 2
CHURN_GAPS = 2  # a buyer who stays away twice as long as usual


class Reason(msgspec.Struct, gc=False, frozen=True):
    """Why a tag is there. `since_ms` is None where it is not known."""

    name: str
    rule: str
    version: int
    facts: dict[str, Any]
    since_ms: int | None = None


class Context(msgspec.Struct, gc=False, frozen=True):
    """What the rules look at."""

    now_ms: int
    row: Derived
    facts: "Facts"
    rfm: "Rfm | None"
    tier: "Tier"
    currency: str


Found = tuple[str, dict[str, Any], int | None] | None


def _rfm(c: Context) -> Found:
    if c.rfm is None:
        return None
    rfm = c.rfm
    money = c.facts.orders().totals.get(c.currency)
    behind = {
        "r": rfm.r,
        "f": rfm.f,
        "m": rfm.m,
        "last_order_at": c.row.last_order_at,
        "orders": c.row.orders,
        "money_minor": 0 if money is None else money.net_minor,
        "currency": c.currency,
        "method": rfm.method,
        "cuts": rfm.cuts,
    }
    return rfm.segment, behind, None


def _lifecycle(c: Context) -> Found:
    row = c.row
    behind = {"orders": row.orders, "last_order_at": row.last_order_at, "until": row.lifecycle_until}
    return row.lifecycle, behind, row.lifecycle_since


def _tier(c: Context) -> Found:
    tier = c.tier
    if c.row.tier == "none":
        return None
    behind = {"spend_minor": tier.spend_minor, "threshold_minor": tier.threshold_minor, "currency": c.currency}
    return tier.name, {**behind, "until": tier.until_ms}, None


def _nps(c: Context) -> Found:
    if c.row.nps is None:
        return None
    answer = c.facts.survey("nps")
    if answer is None:
        return None
    return c.row.nps, {"score": answer[2], "scale": answer[3], "event": answer[1]}, answer[0]


def _cart(c: Context) -> Found:
    if not c.row.cart_items:
        return None
    changed = max(cart.changed for cart in c.facts.carts().values())
    behind = {"items": c.row.cart_items, "value_minor": c.row.cart_value_minor, "event": changed[1]}
    return "open", {**behind, "changed_at": changed[0]}, None


def _ticket(c: Context) -> Found:
    if not c.row.open_tickets:
        return None
    return "open", {"tickets": [ticket.ticket_id for ticket in c.facts.tickets().values() if ticket.open]}, None


def _churn_risk(c: Context) -> Found:
    row = c.row
    if row.orders < 2 or row.lifecycle == "lost" or row.last_order_at is None:
        return None
    gap_ms = mean_gap_ms(c.facts.orders().list)
    if gap_ms is None or gap_ms <= 0:
        return None
    since = row.last_order_at + CHURN_GAPS * gap_ms
    if c.now_ms < since:
        return None
    return "", {"last_order_at": row.last_order_at, "mean_gap_days": round(gap_ms / 86_400_000, 1)}, since


def _coupon_lover(c: Context) -> Found:
    share = c.row.promo_share
    if share is None or share < COUPON_SHARE or c.row.orders < COUPON_ORDERS:
        return None
    return "", {"promo_share": share, "orders": c.row.orders}, None


def _refund_prone(c: Context) -> Found:
    row = c.row
    paid = row.revenue_minor + row.refunded_minor
    if row.orders < REFUND_ORDERS or paid == 0 or row.refunded_minor < REFUND_SHARE * paid:
        return None
    return "", {"refunded_minor": row.refunded_minor, "paid_minor": paid, "currency": row.currency}, None


class TagRule(msgspec.Struct, frozen=True):
    """A rule of tags. A tag's name is the rule's, followed by `:` and what the rule found, if that is a text."""

    name: str
    version: int
    title_en: str
    title_zh: str
    find: Callable[[Context], Found]


RULES = (
    TagRule("rfm", 1, "RFM segment", "RFM 分群", _rfm),
    TagRule("lifecycle", 1, "Lifecycle stage", "生命周期阶段", _lifecycle),
    TagRule("tier", 1, "Membership tier", "会员等级", _tier),
    TagRule("nps", 1, "NPS group", "NPS 分组", _nps),
    TagRule("cart", 1, "Cart with items", "购物车未结", _cart),
    TagRule("ticket", 1, "Ticket open", "工单未结", _ticket),
    TagRule("churn_risk", 1, "Away twice as long as usual", "流失风险", _churn_risk),
    TagRule("coupon_lover", 1, "Buys mostly with coupons or discounts", "优惠偏好", _coupon_lover),
    TagRule("refund_prone", 1, "Half of what was paid was refunded", "退款偏多", _refund_prone),
)
"""In the order in which a profile lists its tags."""


def find_tags(context: Context) -> list[Reason]:
    """Return the tags that hold, with why."""
    found = []
    for rule in RULES:
        result = rule.find(context)
        if result is not None:
            suffix, behind, since_ms = result
            name = f"{rule.name}:{suffix}" if suffix else rule.name
            found.append(Reason(name, rule.name, rule.version, behind, since_ms))
    return found
