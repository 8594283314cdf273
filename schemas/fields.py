"""The kinds of field that event types are made of: pydantic types that also know how to say what they expect."""

from collections.abc import Iterator
from decimal import Decimal
from math import inf
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from schemas.json_text import Number
from schemas.money import DECIMALS, MAX_MINOR, exact, to_minor
from schemas.times import MAX_MS, MIN_MS, parse_rfc3339

DEFAULT_CURRENCY = "CNY"


class FieldError(ValueError):
    """A rule over several fields is broken. `where` is the field's path inside the data, `what` the plain words."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.where = where
        self.what = what


def wrong(what: str, where: str = "") -> PydanticCustomError:
    """Return the error that carries plain words, and the path below the place where it is raised."""
    return PydanticCustomError("plain", "{what}", {"what": what, "where": where})


class Kind:
    """A kind of field whose values pydantic has no type for: `read` gives the value, `schema` its JSON Schema."""

    schema: dict[str, Any]

    def read(self, value: Any) -> Any:
        """Return the value as the models hold it. Raises ValueError in plain words."""
        raise NotImplementedError

    def _validate(self, value: Any) -> Any:
        try:
            return self.read(value)
        except ValueError as error:
            raise wrong(str(error)) from None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(self.schema)


class InstantKind(Kind):
    """An instant: RFC 3339 text or epoch milliseconds in, epoch milliseconds out."""

    schema = {  # noqa: RUF012  read only
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "integer", "minimum": MIN_MS, "exclusiveMaximum": MAX_MS},
        ]
    }

    def read(self, value: Any) -> int:
        """Return epoch milliseconds."""
        if isinstance(value, str):
            return parse_rfc3339(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be an RFC 3339 time with an offset or an integer of epoch milliseconds")
        if not MIN_MS <= value < MAX_MS:
            raise ValueError("must be from 1970-01-01 up to, not including, 2101-01-01")
        return value


class MoneyKind(Kind):
    """An amount: a JSON number or decimal text in, a Decimal out. The currency's decimals are judged by the model."""

    schema = {  # noqa: RUF012  read only
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": "^[+-]?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?$"},
        ]
    }

    def read(self, value: Any) -> Decimal:
        """Return the amount as a Decimal of at most four decimals."""
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal, float, Number)):
            raise ValueError("must be a decimal number or its text")
        if isinstance(value, int):
            value = min(max(value, -1), 2 * MAX_MINOR)  # beyond that only the size would matter, and its text is long
        return exact(value.text if isinstance(value, Number) else str(value))


class RealKind(Kind):
    """A number that need not be exact: a float."""

    def __init__(self, low: float, *, above: bool = False) -> None:
        self.low = low
        self.above = above
        self.schema = {"type": "number", "exclusiveMinimum" if above else "minimum": low}

    def read(self, value: Any) -> float:
        """Return the number as a float."""
        bound = f"above {self.low:g}" if self.above else f"of at least {self.low:g}"
        if isinstance(value, bool) or not isinstance(value, (int, float, Number)):
            raise ValueError(f"must be a number {bound}")
        try:
            number = float(value.text if isinstance(value, Number) else value)
        except OverflowError:  # an int beyond the largest float
            number = inf
        if not (self.low < number < inf if self.above else self.low <= number < inf):
            raise ValueError(f"must be a number {bound}")
        return number


class CurrencyKind(Kind):
    """An ISO 4217 alphabetic code in upper case."""

    schema = {"type": "string", "enum": sorted(DECIMALS)}  # noqa: RUF012  read only

    def read(self, value: Any) -> str:
        """Return the code."""
        if not isinstance(value, str) or value not in DECIMALS:
            raise ValueError("must be an ISO 4217 currency code in upper case, such as CNY")
        return value


class TextOrIntegerKind(Kind):
    """A string or an integer."""

    schema = {"type": ["string", "integer"]}  # noqa: RUF012  read only

    def read(self, value: Any) -> str | int:
        """Return the value as it is."""
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ValueError("must be a string or an integer")
        return value


class IdentifiersKind(Kind):
    """A map of kind to values; the identity policy judges the values of the kinds it knows."""

    schema = {  # noqa: RUF012  read only
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                {"type": ["string", "integer", "null"]},
                {"type": "array", "items": {"type": ["string", "integer", "null"]}},
            ]
        },
    }

    def read(self, value: Any) -> dict[str, Any]:
        """Return the map as it is."""
        if not isinstance(value, dict):
            raise ValueError("must be an object of identifier kinds and values")
        return value


Text = str
Name = Annotated[str, Field(min_length=1)]
Quantity = Annotated[int, Field(ge=1, le=1_000_000)]
Score = Annotated[int, Field(ge=1, le=5)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Millis = Annotated[int, Field(ge=0)]
Delta = Annotated[int, Field(ge=-(10**15), le=10**15)]
Version = Annotated[int, Field(ge=1)]
Instant = Annotated[int, InstantKind()]
Money = Annotated[Decimal, MoneyKind()]
Answer = Annotated[float, RealKind(0)]
Scale = Annotated[float, RealKind(0, above=True)]
Currency = Annotated[str, CurrencyKind()]
TextOrInteger = Annotated[str | int, TextOrIntegerKind()]
Identifiers = Annotated[dict[str, Any], IdentifiersKind()]


class Model(BaseModel):
    """Base of the contract: strict types, unknown fields kept, and null for an optional field means absent."""

    model_config = ConfigDict(strict=True, extra="allow")


class Data(Model):
    """Base of what an event type says.

    Amounts are in the data's own `currency` where the type has that field, else in the setting's, which validation
    takes from its context (`{"currency": "EUR"}`).
    """

    @staticmethod
    def complete(data: Any) -> None:
        """Fill in defaults and check what concerns several fields; `data` is this model or the struct made of it.

        Raises FieldError.
        """

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> Self:
        setting = (info.context or {}).get("currency", DEFAULT_CURRENCY)
        try:
            self.complete(self)
            for where, amount, currency in amounts(self, setting):
                _check_decimals(where, amount, currency)
        except FieldError as error:
            raise wrong(error.what, error.where) from None
        return self


def amounts(data: Any, setting: str) -> Iterator[tuple[str, Decimal, str]]:
    """Yield path, value and currency of every amount that the data or its listed items hold."""
    names = type(data).model_fields
    currency = (data.currency or setting) if "currency" in names else setting  # an unknown field is not the type's own
    for name in names:
        value = getattr(data, name)
        if isinstance(value, Decimal):
            yield name, value, currency
        elif isinstance(value, list):
            for place, item in enumerate(value):
                for inner in type(item).model_fields:
                    if isinstance(amount := getattr(item, inner), Decimal):
                        yield f"{name}[{place}].{inner}", amount, currency


def _check_decimals(where: str, amount: Decimal, currency: str) -> None:
    try:
        to_minor(amount, currency)
    except ValueError as error:
        raise FieldError(where, str(error)) from None
