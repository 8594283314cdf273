"""The derived profile as a flat record: one field per column, in the order of the columns.

Times are epoch ms and end in `_at`; money ends in `_minor` and is in `currency` unless its text says otherwise.
"""

from typing import Any

import msgspec


class Derived(msgspec.Struct, gc=False):
    """What is derived of one person at one instant. `schemas.profile` describes every field for the public."""

    first_seen: int | None = None
    last_seen: int | None = None
    events: int = 0
    orders: int = 0
    items: int = 0
    currency: str | None = None
    revenue_minor: int = 0
    refunded_minor: int = 0
    aov_minor: int | None = None
    first_order_at: int | None = None
    last_order_at: int | None = None
    cart_items: int = 0
    cart_value_minor: int = 0
    open_tickets: int = 0
    nps: str | None = None
    rfm_r: int | None = None
    rfm_f: int | None = None
    rfm_m: int | None = None
    rfm_segment: str | None = None
    lifecycle: str = "prospect"
    tier: str = "none"
    clv_minor: int | None = None
    completeness: float = 0.0
    tags: list[str] = []
    favourite_categories: list[str] = []
    last_viewed: list[str] = []
    consent: dict[str, bool] = {}
    other_currencies: list[dict[str, Any]] = []
    foreign_refunds: int = 0
    carts: list[dict[str, Any]] = []
    favourite_channels: list[str] = []
    sku_cycle_days: dict[str, float] = {}
    category_cycle_days: dict[str, float] = {}
    usual_weekday: int | None = None
    usual_hour: int | None = None
    promo_share: float | None = None
    lifecycle_since: int | None = None
    lifecycle_until: int | None = None
    tier_spend_minor: int = 0
    tier_next: str | None = None
    tier_gap_minor: int | None = None
    tier_until: int | None = None
    points: int = 0
    badges: list[str] = []
    streak_days: int = 0
    nps_score: float | None = None
    tickets: int = 0
    complaints: int = 0
    first_response_ms: int | None = None
    resolution_ms: int | None = None
    chat_response_ms: int | None = None
    satisfaction: float | None = None
    messages_sent: int = 0
    messages_opened: int = 0
    messages_clicked: int = 0
    timezone: str | None = None
    next_change_at: int | None = None
    tag_reasons: str = "[]"


COLUMNS: tuple[str, ...] = Derived.__struct_fields__
"""Names of the fields of a row, in order."""
