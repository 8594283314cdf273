"""msgspec structs made from the pydantic models, so that the contract is written once.

Each model becomes a struct of the same name and fields. An optional field is None when absent. An amount is read as
raw JSON and then replaced by its integer of minor units (`amount_fields` says where amounts are). A field whose type is
not known here stops the import: a contract that the fast decoder cannot hold must not go unnoticed.
"""

import types
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import msgspec
from pydantic import BaseModel

from schemas.fields import (
    CurrencyKind,
    IdentifiersKind,
    InstantKind,
    Kind,
    MoneyKind,
    RealKind,
    TextOrIntegerKind,
)

_PLAIN_TYPES = (str, int, bool, Any)


def _of_kind(kind: Kind) -> Any:
    match kind:
        case MoneyKind():
            return msgspec.Raw
        case RealKind():
            meta = msgspec.Meta(gt=kind.low) if kind.above else msgspec.Meta(ge=kind.low)
            return Annotated[float, meta]
        case InstantKind() | TextOrIntegerKind():
            return str | int
        case CurrencyKind():
            return str
        case IdentifiersKind():
            return dict[str, Any]
        case _:
            raise TypeError(f"no struct type for {kind!r}")


def _limits(metadata: tuple[Any, ...]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for mark in metadata:
        match mark:
            case annotated_types.Ge():
                limits["ge"] = mark.ge
            case annotated_types.Le():
                limits["le"] = mark.le
            case annotated_types.MinLen():
                limits["min_length"] = mark.min_length
            case annotated_types.MaxLen():
                limits["max_length"] = mark.max_length
            case _ if hasattr(mark, "metadata"):  # a pydantic Field inside a union keeps its marks to itself
                limits |= _limits(tuple(mark.metadata))
            case _:
                raise TypeError(f"no struct type for the constraint {mark!r}")
    return limits


def struct_type(annotation: Any, metadata: tuple[Any, ...] = ()) -> Any:
    """Return the type that msgspec reads a field of this annotation as. Raises TypeError when it knows none."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return struct_type(inner, (*marks, *metadata))
    for mark in metadata:
        if isinstance(mark, Kind):
            return _of_kind(mark)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) != 1:
            raise TypeError(f"no struct type for {annotation!r}")
        read_as = struct_type(members[0], metadata)
        return read_as if read_as is msgspec.Raw else read_as | None  # msgspec reads null as raw JSON, too
    result: Any
    if get_origin(annotation) is list:
        result = list[struct_type(get_args(annotation)[0])]  # type: ignore[misc]
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        result = struct_of(annotation)
    elif annotation in _PLAIN_TYPES or get_origin(annotation) is Literal or annotation == dict[str, Any]:
        result = annotation
    else:
        raise TypeError(f"no struct type for {annotation!r}")
    limits = _limits(metadata)
    return Annotated[result, msgspec.Meta(**limits)] if limits else result


@cache
def struct_of(model: type[BaseModel]) -> type[msgspec.Struct]:
    """Return the struct of a model: same name, same fields, None for what is absent."""
    fields: list[Any] = []
    for name, field in model.model_fields.items():
        read_as = struct_type(field.annotation, tuple(field.metadata))
        fields.append((name, read_as) if field.is_required() else (name, read_as, None))
    return msgspec.defstruct(model.__name__, fields, kw_only=True, gc=False, omit_defaults=True, module=__name__)


@cache
def accepted_struct(model: type[BaseModel]) -> type[msgspec.Struct]:
    """Return the struct of a model's accepted data: as `struct_of`, but amounts are integers of minor units.

    Nothing is checked again, so that whatever was accepted can be read back.
    """
    fields: list[Any] = []
    for name, field in model.model_fields.items():
        read_as = _accepted_type(struct_type(field.annotation, tuple(field.metadata)), field.annotation)
        fields.append((name, read_as) if field.is_required() else (name, read_as, None))
    return msgspec.defstruct(model.__name__, fields, kw_only=True, gc=False, omit_defaults=True, module=__name__)


def _accepted_type(read_as: Any, annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return accepted_struct(annotation)
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is list:
            (item,) = get_args(part)
            if isinstance(item, type) and issubclass(item, BaseModel):
                return list[accepted_struct(item)] | None  # type: ignore[misc]
    return Any if read_as is not msgspec.Raw else int | None


@cache
def amount_fields(model: type[BaseModel]) -> tuple[tuple[str, bool], ...]:
    """Return the names of a model's own amounts, each with whether it is required."""
    return tuple(
        (name, field.is_required())
        for name, field in model.model_fields.items()
        if _is_amount(field.annotation, field.metadata)
    )


def _is_amount(annotation: Any, metadata: list[Any]) -> bool:
    if any(isinstance(mark, MoneyKind) for mark in metadata):
        return True
    return any(_is_amount(part, list(getattr(part, "__metadata__", ()))) for part in get_args(annotation))


@cache
def listed_amounts(model: type[BaseModel]) -> tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]:
    """Return the fields of a model that list models with amounts, each with the amounts of the listed model."""
    found = []
    for name, field in model.model_fields.items():
        for part in (field.annotation, *get_args(field.annotation)):
            if get_origin(part) is list:
                (item,) = get_args(part)
                if isinstance(item, type) and issubclass(item, BaseModel) and amount_fields(item):
                    found.append((name, amount_fields(item)))
    return tuple(found)


def from_model(value: Any) -> Any:
    """Return what the struct decoder would have read: models become structs, in lists too; other values stay."""
    if isinstance(value, BaseModel):
        model = type(value)
        return struct_of(model)(**{name: from_model(getattr(value, name)) for name in model.model_fields})
    if isinstance(value, list):
        return [from_model(item) for item in value]
    return value
