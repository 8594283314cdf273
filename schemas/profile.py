"""The public profile of a person, as the topic `profiles` and `kith profile show --json` carry it."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Public(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tag(_Public):
    """A tag and why the person has it."""

    name: str = Field(description="Name of the tag, for example `lifecycle:new`.")
    rule: str = Field(description="The rule that gave it.")
    version: int = Field(description="Version of the rule.")
    facts: dict[str, Any] = Field(description="The facts behind it; times are epoch milliseconds.")
    since: AwareDatetime | None = Field(default=None, description="Since when it holds, if known.")


class CurrencySums(_Public):
    """The orders of a person in a currency other than the most used one."""

    currency: str = Field(description="ISO 4217 code.")
    orders: int = Field(description="Orders ever paid in it.")
    revenue_minor: int = Field(description="Paid amounts less refunds, in minor units.")
    refunded_minor: int = Field(description="Refunds, in minor units.")


class CartLineView(_Public):
    """One line of a cart."""

    sku: str = Field(description="SKU.")
    quantity: int = Field(description="Added less removed since the cart was last emptied.")
    unit_price_minor: int | None = Field(description="Latest price stated, in minor units of the setting's currency.")


class CartView(_Public):
    """A cart that is not empty, as it stands."""

    cart_id: str | None = Field(description="Its id; null for the cart without one.")
    items: int = Field(description="Sum of the quantities.")
    value_minor: int = Field(description="Quantity times price over the lines, in minor units.")
    changed_at: AwareDatetime = Field(description="When it last changed.")
    lines: list[CartLineView] = Field(description="Its lines by SKU.")


def _time(text: str) -> Any:
    return Field(default=None, description=text)


class Profile(_Public):
    """One person at one instant. Money is in minor units; nothing known is null for times, texts and scores, else 0."""

    one_id: str | None = Field(default=None, description="The OneID.")
    identifiers: list[str] = Field(description="Identifiers the person's events carried, `kind:value`.")
    first_seen: AwareDatetime | None = _time("Time of the first event.")
    last_seen: AwareDatetime | None = _time("Time of the last event.")
    events: int = Field(description="Number of events.")
    orders: int = Field(description="Orders ever paid, in all currencies, also when refunded or cancelled later.")
    items: int = Field(description="Units paid for.")
    currency: str | None = Field(description="The currency with most orders; of equals the alphabetically first.")
    revenue_minor: int = Field(description="Paid amounts less refunds in `currency`.")
    refunded_minor: int = Field(description="Refunds in `currency`, at most the amount of each order.")
    aov_minor: int | None = Field(description="Revenue over orders in `currency`, rounded half to even.")
    first_order_at: AwareDatetime | None = _time("When the first order was paid.")
    last_order_at: AwareDatetime | None = _time("When the last order was paid.")
    cart_items: int = Field(description="Units in all carts.")
    cart_value_minor: int = Field(description="Value of all carts in the setting's currency.")
    open_tickets: int = Field(description="Tickets that are open.")
    nps: Literal["detractor", "passive", "promoter"] | None = Field(description="Group of the latest NPS answer.")
    rfm_r: int | None = Field(description="Recency score, higher is better: 1 or 2, of fifths 1 to 5.")
    rfm_f: int | None = Field(description="Frequency score.")
    rfm_m: int | None = Field(description="Money score, by net revenue in the setting's currency.")
    rfm_segment: str | None = Field(description="The RFM segment.")
    lifecycle: Literal["prospect", "new", "growing", "mature", "declining", "lost"] = Field(
        description="Lifecycle stage."
    )
    tier: str = Field(description="Membership tier by net spend over 365 days; `none` without one.")
    clv_minor: int | None = Field(description="Simple lifetime value in `currency`.")
    completeness: float = Field(description="Share of the profile that is known, 0 to 1.")
    tags: list[Tag] = Field(description="Tags with why.")
    favourite_categories: list[str] = Field(description="At most 5, the favourite first.")
    last_viewed: list[str] = Field(description="SKUs viewed last, newest first, at most 20.")
    consent: dict[str, bool] = Field(description="`purpose` or `purpose:channel` to whether it may be served.")
    other_currencies: list[CurrencySums] = Field(description="Orders in other currencies.")
    foreign_refunds: int = Field(description="Refunds in another currency than their order's, which are left out.")
    carts: list[CartView] = Field(description="Carts that are not empty.")
    favourite_channels: list[str] = Field(description="At most 5, the favourite first.")
    sku_cycle_days: dict[str, float] = Field(description="Mean days between orders with the SKU.")
    category_cycle_days: dict[str, float] = Field(description="Mean days between orders with the category.")
    usual_weekday: int | None = Field(description="Most frequent local weekday of orders, 1 Monday to 7 Sunday.")
    usual_hour: int | None = Field(description="Most frequent local hour of orders.")
    promo_share: float | None = Field(description="Share of orders with a coupon or discount.")
    lifecycle_since: AwareDatetime | None = _time("When the stage began.")
    lifecycle_until: AwareDatetime | None = _time("When the stage changes if nothing happens.")
    tier_spend_minor: int = Field(description="Net spend of the last 365 days in the setting's currency.")
    tier_next: str | None = Field(description="The next higher tier.")
    tier_gap_minor: int | None = Field(description="Spend missing for the next tier.")
    tier_until: AwareDatetime | None = _time("When the tier is lost if nothing is bought.")
    points: int = Field(description="Balance of points.")
    badges: list[str] = Field(description="Badges earned: `orders:N`, `streak:N`.")
    streak_days: int = Field(description="Consecutive local days with a check-in, up to today or yesterday.")
    nps_score: float | None = Field(description="Score of the latest NPS answer.")
    tickets: int = Field(description="Number of tickets.")
    complaints: int = Field(description="Tickets that are complaints by their category.")
    first_response_ms: int | None = Field(description="Mean time from opening to the first reply of a ticket.")
    resolution_ms: int | None = Field(description="Mean time from opening to resolution of tickets not open.")
    chat_response_ms: int | None = Field(description="Mean time from the customer's first message to an agent's first.")
    satisfaction: float | None = Field(description="Mean of the latest ratings of tickets and chats, 1 to 5.")
    messages_sent: int = Field(description="Messages sent to the person.")
    messages_opened: int = Field(description="Messages opened.")
    messages_clicked: int = Field(description="Messages clicked.")
    timezone: str | None = Field(description="Time zone from the trait, null if unknown or invalid.")
    next_change_at: AwareDatetime | None = _time("When stage, tier or RFM next change if nothing happens.")
