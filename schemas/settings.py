"""Every setting of Kith, as one frozen model, read in one place.

A field's description is what docs/settings.md shows; it names the unit where there is one.
"""

import itertools
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from schemas.checks import (
    Count,
    Currency,
    Fraction,
    KindName,
    Money,
    Name,
    Pattern,
    Region,
    Section,
    Text,
    Timezone,
    Weight,
)
from schemas.live_settings import (
    AlarmSettings,
    AuditSettings,
    KafkaSettings,
    LakeSettings,
    SnapshotSettings,
    WebhookSettings,
    WorkerSettings,
)
from schemas.money import to_minor


class KindSettings(Section):
    """One kind of identifier. `limit` is per person, `hub` the most values of one higher kind before it is a hub."""

    strength: Literal["strong", "weak"] = Field(
        default="strong", description="`strong` names a person, `weak` a device or a browser; strong pairs join first."
    )
    limit: Count = Field(default=20, ge=1, description="Most values of this kind in one person.")
    hub: Count | None = Field(
        default=5,
        ge=1,
        description="An identifier seen with more values than this of one kind of higher priority is a hub and joins "
        "nobody; null: never a hub.",
    )


def default_kinds() -> dict[str, KindSettings]:
    """Return the identity policy out of the box, in order of priority."""
    strong = KindSettings()
    return {
        "member_id": KindSettings(limit=1, hub=None),
        "phone": KindSettings(limit=5),
        "email": KindSettings(limit=5),
        "wechat_unionid": KindSettings(limit=1),
        "wechat_openid": strong,
        "taobao_id": strong,
        "jd_id": strong,
        "card_no": strong,
        "external_id": strong,
        "device_id": KindSettings(strength="weak"),
        "anonymous_id": KindSettings(strength="weak", limit=100),
    }


class BlockSettings(Section):
    """Values and regular expressions (whole value, case-insensitive) that identify nobody, over those built in."""

    values: tuple[Text, ...] = Field(
        default=(), description="Further values that identify nobody, of any kind; upper and lower case are the same."
    )
    patterns: tuple[Pattern, ...] = Field(
        default=(), description="Regular expressions that match a whole value that identifies nobody."
    )


class IdentitySettings(Section):
    """Who is who: the kinds in order of priority, what is blocked, how large a person may grow."""

    kinds: dict[KindName, KindSettings] = Field(
        default_factory=default_kinds,
        min_length=1,
        description="The kinds of identifiers. A configuration changes the fields of a kind that is there, or adds a "
        "kind at the end.",
    )
    order: tuple[KindName, ...] | None = Field(
        default=None, description="All kinds in order of priority, the highest first; null: as they are declared."
    )
    block: BlockSettings = Field(default=BlockSettings(), description="What identifies nobody.")
    max_size: Count = Field(default=1000, ge=2, description="Most identifiers of one person.")

    @field_validator("order")
    @classmethod
    def _apply_order(cls, order: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        kinds: dict[str, KindSettings] | None = info.data.get("kinds")
        if order is None or kinds is None:
            return order
        unknown = [name for name in order if name not in kinds]
        missing = [name for name in kinds if name not in order]
        if unknown:
            raise ValueError(f"names kinds that are not declared: {', '.join(unknown)}")
        if missing:
            raise ValueError(f"must name every kind; missing: {', '.join(missing)}")
        if len(set(order)) < len(order):
            raise ValueError("names a kind twice")
        ordered = {name: kinds[name] for name in order}
        kinds.clear()  # the model's own dict, made by its validation: what it holds and `order` never disagree
        kinds.update(ordered)
        return order


class RfmSettings(Section):
    """How recency, frequency and money are judged."""

    method: Literal["fixed", "mean", "quantile"] = Field(
        default="fixed",
        description="`fixed`: the three cuts below; `mean`: better than the mean of all buyers; `quantile`: fifths of "
        "all buyers.",
    )
    recency_days: Count = Field(
        default=90, ge=1, description="Days since the last order up to which recency is high (`fixed`)."
    )
    frequency_orders: Count = Field(
        default=3, ge=1, description="Number of orders from which frequency is high (`fixed`)."
    )
    money: Money = Field(
        default="1000", description="Net revenue in `currency` from which money is high (`fixed`), as a decimal."
    )


class LifecycleSettings(Section):
    """Days since the last paid order, and numbers of orders, that separate the stages."""

    lost_days: Count = Field(default=180, ge=1, description="Days without an order from which a buyer is lost.")
    declining_days: Count = Field(
        default=60, ge=1, description="Days without an order from which a buyer is declining; fewer than `lost_days`."
    )
    mature_orders: Count = Field(default=4, ge=1, description="Number of orders from which a buyer is mature.")
    growing_orders: Count = Field(
        default=2, ge=1, description="Number of orders from which a buyer is growing; fewer than `mature_orders`."
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.declining_days >= self.lost_days:
            raise ValueError(f"declining_days ({self.declining_days}) must be less than lost_days ({self.lost_days})")
        if self.growing_orders >= self.mature_orders:
            raise ValueError(
                f"growing_orders ({self.growing_orders}) must be less than mature_orders ({self.mature_orders})"
            )
        return self


class ClvSettings(Section):
    """Simple customer lifetime value: average order value x orders a year x years x margin."""

    years: Fraction = Field(default=3, gt=0, description="Years a customer is expected to stay.")
    margin: Fraction = Field(default=0.3, gt=0, le=1, description="Share of revenue that is earned, 0 to 1.")


class ProfileSettings(Section):
    """What is derived from the facts of a person."""

    rfm: RfmSettings = Field(default=RfmSettings(), description="Recency, frequency and money.")
    lifecycle: LifecycleSettings = Field(default=LifecycleSettings(), description="Stages of a customer's life.")
    tiers: dict[Name, Money] = Field(
        default={"silver": "3000", "gold": "10000", "diamond": "50000"},
        description="Membership tiers in ascending order: net spend in `currency` over the last 365 days from which "
        "the tier is held. A configuration replaces all of them.",
    )
    clv: ClvSettings = Field(default=ClvSettings(), description="Simple customer lifetime value.")
    completeness: dict[Name, Weight] = Field(
        default_factory=dict,
        description="Weight of each field that a complete profile has; empty: the built-in weights (docs/profiles.md).",
    )

    @field_validator("tiers")
    @classmethod
    def _tiers_ascend(cls, tiers: dict[str, str]) -> dict[str, str]:
        if "none" in tiers:
            raise ValueError("`none` is the name of having no tier")
        for (lower, low), (higher, high) in itertools.pairwise(tiers.items()):
            if Decimal(low) >= Decimal(high):
                raise ValueError(f"must ascend: {higher} ({high}) must be more than {lower} ({low})")
        return tiers


class TriggerSettings(Section):
    """Lifecycle triggers: the general quiet hours, caps and holdout, and the rules (see `triggers.model`)."""

    quiet_hours: Any = Field(
        default={"from": "22:00", "to": "08:00"},
        description="Local hours in which marketing waits: `{from: HH:MM, to: HH:MM}` in the person's time zone, or "
        "`off`.",
    )
    cap: Any = Field(
        default={"marketing": "2 per 1d"},
        description="Most firings per person and purpose in a sliding window: `{purpose: N per DURATION}` (`s`, `m`, "
        "`h`, `d`, `w`), or `off`.",
    )
    holdout: Any = Field(
        default="0%", description="Share of people whom a rule does not message, so that its effect can be measured."
    )
    rules: dict[str, Any] = Field(
        default_factory=dict,
        description="By name: changed fields of a rule that is there, `off`, or a rule of your own (docs/triggers.md).",
    )


class Settings(Section):
    """All settings. `currency` is the one in which carts are priced and thresholds are stated."""

    space: Name = Field(
        default="default", description="Identity space: part of every OneID, so that two spaces never share one."
    )
    currency: Currency = Field(
        default="CNY", description="ISO 4217 currency of carts, product prices and of all thresholds."
    )
    timezone: Timezone = Field(
        default="Asia/Shanghai", description="IANA time zone of people who have no trait `timezone`."
    )
    default_region: Region = Field(
        default="CN", description="ISO 3166 country of phone numbers written without a country code."
    )
    horizon_days: Count = Field(
        default=7, ge=1, description="Days by which a live event may be older than the newest of its part."
    )
    max_line_bytes: Count = Field(
        default=1 << 20, ge=1024, description="Bytes of the longest line; a longer one is a dead letter `too_large`."
    )
    identity: IdentitySettings = Field(default=IdentitySettings(), description="Who is who.")
    profiles: ProfileSettings = Field(default=ProfileSettings(), description="What is derived of a person.")
    triggers: TriggerSettings = Field(default=TriggerSettings(), description="When to act.")
    kafka: KafkaSettings = Field(default=KafkaSettings(), description="Where Kafka is and how topics are laid out.")
    worker: WorkerSettings = Field(default=WorkerSettings(), description="How a worker works.")
    lake: LakeSettings = Field(default=LakeSettings(), description="Where the lake lies, and how it is written.")
    snapshots: SnapshotSettings = Field(default=SnapshotSettings(), description="Pictures of all people.")
    audit: AuditSettings = Field(default=AuditSettings(), description="Comparing people with their events.")
    webhooks: dict[str, WebhookSettings] = Field(
        default_factory=dict, description="By name: where firings are delivered by HTTP (docs/webhooks.md)."
    )
    quality_alarm: AlarmSettings = Field(
        default=AlarmSettings(), description="When tickets about one product are too many."
    )

    @model_validator(mode="after")
    def _money_fits_currency(self) -> Self:
        """Hold every threshold to the decimals of the currency; each line of the error names its field."""
        stated = {"profiles.rfm.money": self.profiles.rfm.money}
        stated.update((f"profiles.tiers.{name}", spend) for name, spend in self.profiles.tiers.items())
        problems = []
        for field, amount in stated.items():
            try:
                to_minor(amount, self.currency)
            except ValueError as error:
                problems.append(f"{field}: {error}")
        if problems:
            raise ValueError("\n".join(problems))
        return self
