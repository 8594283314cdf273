"""The types of single settings: what a value must be, checked once at start.

Numbers are never read from texts or booleans; where a text is wanted, a number is taken as its digits, since YAML
reads `1000` as a number.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from schemas.money import exponent

KIND_NAME = re.compile(r"[a-z][a-z0-9_]*")
MAX_MONEY = Decimal(10) ** 15


class Section(BaseModel):
    """A part of the settings: frozen, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)


def _digits_as_text(value: Any) -> Any:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    return value


def _not_empty(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _kind_name(value: str) -> str:
    if not KIND_NAME.fullmatch(value):
        raise ValueError("a kind is named by a small letter, then small letters, digits and _")
    return value


def _money(value: str) -> str:
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not re.fullmatch(r"[0-9.eE+-]+", value):
        raise ValueError(f"must be an amount of money such as 1000 or 99.50, not {value!r}")
    if not 0 <= amount <= MAX_MONEY:
        raise ValueError(f"must be from 0 to {MAX_MONEY:,}, not {value}")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return value


def _currency(value: str) -> str:
    if exponent(value) is None:
        raise ValueError(f"must be an ISO 4217 code in capitals such as CNY, not {value!r}")
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"must be an IANA time zone such as Asia/Shanghai, not {value!r}") from error
    return value


def _region(value: str) -> str:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"must be an ISO 3166 country code in capitals such as CN, not {value!r}")
    return value


Count = Annotated[int, Field(strict=True)]
Fraction = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Weight = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Text = Annotated[str, BeforeValidator(_digits_as_text)]
Name = Annotated[Text, AfterValidator(_not_empty)]
KindName = Annotated[str, AfterValidator(_kind_name)]
Money = Annotated[Text, AfterValidator(_money)]
Pattern = Annotated[Text, AfterValidator(_pattern)]
Currency = Annotated[str, AfterValidator(_currency)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Region = Annotated[str, AfterValidator(_region)]
