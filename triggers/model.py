"""A rule as it is written in YAML, validated field by field, so that every error names its field."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from schemas.errors import ConfigError
from schemas.expr import Expression, compile_condition, compile_expression
from triggers import terms
from triggers.anchors import Calendar, DayFirst, Purchase, Since, event_type, parse_since
from triggers.terms import Cap, Cycle, Delay, DurationMs, Quiet, Share

RULE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
DEFAULT_AT = 10 * 60
DAY_MS = 86_400_000
MOST_DAYS = 36600  # a century: what is due later than that is a mistake


class Text(BaseModel):
    """A text for people, in English and Chinese. One text alone serves for both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str
    zh: str

    def in_language(self, lang: str) -> str:
        """Return the text in `en` or `zh`."""
        return self.zh if lang == "zh" else self.en


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return {"en": value, "zh": value}
    if isinstance(value, dict) and set(value) in ({"en"}, {"zh"}):
        [only] = value.values()
        return {"en": only, "zh": only}
    return value


def _condition(value: Any) -> Any:
    return value if value is None or isinstance(value, Expression) else _compiled(value, compile_condition)


def _compiled(value: Any, compiler: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be an expression, as text")
    try:
        return compiler(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _emit(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("must be a map of names to expressions")
    found = {}
    for name, text in value.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"{name!r} is no name")
        try:
            found[name] = _compiled(text, compile_expression)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return found


def _events(value: Any) -> Any:
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple):
        raise ValueError("must be an event type or a list of them")
    return tuple(dict.fromkeys(event_type(each) for each in listed))


def _quiet_hours(value: Any) -> Any:
    return "default" if value in ("default", None) else terms.quiet_or_off(value) or "off"


def _cap(value: Any) -> Any:
    return "default" if value in ("default", None) else terms.cap_or_off(value) or "off"


def _holdout(value: Any) -> Any:
    return None if value in ("default", None) and value is not False else terms.share(value)


LocalizedText = Annotated[Text, BeforeValidator(_text)]


class Goal(BaseModel):
    """What the rule is for: an event within a time after the firing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Annotated[str, BeforeValidator(event_type)]
    within: DurationMs


class Rule(BaseModel):
    """One rule. Durations are in ms, times of day in minutes.

    `at` (only for anchors that are local days: a calendar, the first view of a day) is the local time of day at which
    it is due, `after` then counts whole local days. `cap` and `quiet_hours` are `default` for the general ones only;
    `holdout` is None for the general one. `channel` None means any channel of the purpose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_default=True)

    name: str
    title: LocalizedText
    explanation: LocalizedText = Text(en="", zh="")
    version: int = Field(default=1, ge=1, strict=True)
    key: str | None = None
    since: Since
    until: Annotated[tuple[str, ...], BeforeValidator(_events)] = ()
    after: Delay = 0
    at: int | None = None
    when: Annotated[Expression | None, BeforeValidator(_condition)] = None
    purpose: str = Field(default="marketing", min_length=1)
    channel: str | None = Field(default=None, min_length=1)
    cap: Annotated[Cap | Literal["default", "off"], BeforeValidator(_cap)] = "default"
    quiet_hours: Annotated[Quiet | Literal["default", "off"], BeforeValidator(_quiet_hours)] = "default"
    holdout: Annotated[Share | None, BeforeValidator(_holdout)] = None
    expires_after: DurationMs | None = None
    goal: Goal | None = None
    emit: Annotated[dict[str, Expression], BeforeValidator(_emit)] = Field(default_factory=dict)

    @field_validator("since", mode="before")
    @classmethod
    def _since(cls, value: Any, info: ValidationInfo) -> Since:
        return parse_since(value, info.data.get("key"))

    @field_validator("until")
    @classmethod
    def _until(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and isinstance(info.data.get("since"), Calendar):
            raise ValueError("a calendar date is not called off by events")
        if value and isinstance(info.data.get("since"), Purchase):
            raise ValueError("a purchase of a SKU is called off by the next one, and by nothing else")
        return value

    @field_validator("after")
    @classmethod
    def _after(cls, value: int | Cycle, info: ValidationInfo) -> int | Cycle:
        since = info.data.get("since")
        if since is None:
            return value
        if isinstance(value, Cycle):
            if not isinstance(since, Purchase):
                raise ValueError("a cycle needs since: {last: order.paid} with key: sku")
            return value
        if isinstance(since, Calendar) and value:
            raise ValueError("a calendar date is moved by calendar.months and calendar.days, not by after")
        if isinstance(since, DayFirst) and value % DAY_MS:
            raise ValueError("the first view of a day is followed by whole days, such as 1d")
        if value > MOST_DAYS * DAY_MS:
            raise ValueError(f"must be at most {MOST_DAYS} days")
        return value

    @field_validator("at", mode="before")
    @classmethod
    def _at(cls, value: Any, info: ValidationInfo) -> int | None:
        since = info.data.get("since")
        if isinstance(since, Calendar | DayFirst):
            return DEFAULT_AT if value is None else terms.minute_of_day(value)
        if value is not None and since is not None:
            raise ValueError("a time of day is only for a calendar date or the first view of a day")
        return None
