"""How each column of a profile is compared between the live state and what SQL makes of the events."""

from typing import NamedTuple

TIMES = [
    "first_seen",
    "last_seen",
    "first_order_at",
    "last_order_at",
    "lifecycle_since",
    "lifecycle_until",
    "tier_until",
    "next_change_at",
]
ROUNDED = {"completeness": 0.5e-4, "promo_share": 0.5e-4, "satisfaction": 0.5e-2}
"""Columns that are rounded, and the most that rounding changes."""

MEANS = {"sku_cycle_days": 0.05, "category_cycle_days": 0.05}
LISTS = ["tags", "favourite_categories", "last_viewed", "other_currencies", "favourite_channels", "badges"]
PLAIN = [
    "events",
    "orders",
    "items",
    "currency",
    "revenue_minor",
    "refunded_minor",
    "aov_minor",
    "cart_items",
    "cart_value_minor",
    "open_tickets",
    "nps",
    "rfm_r",
    "rfm_f",
    "rfm_m",
    "rfm_segment",
    "lifecycle",
    "tier",
    "clv_minor",
    "foreign_refunds",
    "usual_weekday",
    "usual_hour",
    "tier_spend_minor",
    "tier_next",
    "tier_gap_minor",
    "points",
    "streak_days",
    "nps_score",
    "tickets",
    "complaints",
    "first_response_ms",
    "resolution_ms",
    "chat_response_ms",
    "messages_sent",
    "messages_opened",
    "messages_clicked",
    "timezone",
]

EVENTS_BEHIND = {
    "cart_items": ("cart.", "order."),
    "cart_value_minor": ("cart.", "order."),
    "carts": ("cart.", "order."),
    "open_tickets": ("ticket.",),
    "tickets": ("ticket.",),
    "complaints": ("ticket.",),
    "first_response_ms": ("ticket.",),
    "resolution_ms": ("ticket.",),
    "chat_response_ms": ("chat.",),
    "satisfaction": ("ticket.", "chat."),
    "nps": ("survey.",),
    "nps_score": ("survey.",),
    "consent": ("customer.consented",),
    "points": ("points.",),
    "streak_days": ("customer.checked_in",),
    "badges": ("customer.checked_in", "order."),
    "last_viewed": ("product.viewed",),
    "favourite_categories": ("order.", "cart.", "product.", "category."),
    "favourite_channels": ("order.", "message.", "app.", "chat."),
    "messages_sent": ("message.",),
    "messages_opened": ("message.",),
    "messages_clicked": ("message.",),
    "timezone": ("customer.identified",),
    "completeness": ("",),
    "tags": ("",),
    "events": ("",),
    "first_seen": ("",),
    "last_seen": ("",),
}
"""Types of the events that a column follows from, by how they begin; of all others those of orders."""

NEEDS_BOUNDED = {
    "carts": ("cart_items", "cart_value_minor", "carts", "tags"),
    "talks": ("chat_response_ms", "satisfaction"),
    "checkins": ("streak_days", "badges"),
}
"""Columns that rest on facts a part keeps up to a bound only (docs/profiles.md, `Parts`), by what that is."""


class Compared(NamedTuple):
    """A column: SQL for the values of both sides, and the SQL that says whether they differ."""

    name: str
    live: str
    expected: str
    differ: str


def compared() -> list[Compared]:
    """Return how every column is compared; `l` is the live row, `e` the expected one."""
    found = [_exact(name, f"epoch_ms(l.{name})", f"e.{name}") for name in TIMES]
    found += [_exact(name, f"l.{name}", f"e.{name}") for name in PLAIN]
    found += [_exact(name, f"to_json(l.{name})::VARCHAR", f"to_json(e.{name})::VARCHAR") for name in LISTS]
    for name, most in ROUNDED.items():
        far = f"(l.{name} IS NULL) <> (e.{name} IS NULL) OR abs(l.{name} - e.{name}) > {most * 1.001}"
        found.append(Compared(name, f"l.{name}", f"e.{name}", far))
    for name, most in MEANS.items():
        live, expected = f"map_entries(l.{name})", f"e.{name}"
        far = (
            f"[x.key FOR x IN {live}] <> [x.key FOR x IN {expected}] OR coalesce(list_max([abs(x[1].value - x[2].value)"
            f" FOR x IN list_zip({live}, {expected})]), 0) > {most * 1.001}"
        )
        found.append(Compared(name, f"to_json({live})::VARCHAR", f"to_json({expected})::VARCHAR", far))
    found.append(_exact("consent", "to_json(map_entries(l.consent))::VARCHAR", "to_json(e.consent)::VARCHAR"))
    carts = (
        "to_json([{'cart_id': c.cart_id, 'items': c.items, 'value_minor': c.value_minor, "
        "'changed_at': epoch_ms(c.changed_at), 'lines': c.lines} FOR c IN l.carts])::VARCHAR"
    )
    found.append(_exact("carts", carts, "to_json(e.carts)::VARCHAR"))
    return found


def _exact(name: str, live: str, expected: str) -> Compared:
    return Compared(name, live, expected, f"{live} IS DISTINCT FROM {expected}")
