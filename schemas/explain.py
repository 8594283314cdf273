"""Plain words for what pydantic refuses: the field's path and what it must be."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError


def _path(parts: tuple[int | str, ...]) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _field(model: type[BaseModel], parts: tuple[int | str, ...]) -> tuple[Any, list[Any]]:
    """Return the annotation and the constraints of the field at a path below a model."""
    annotation: Any = model
    marks: list[Any] = []
    for part in parts:
        if isinstance(part, int):
            (annotation,) = get_args(_unwrap(annotation, [])[0])
            marks = []
        else:
            field = _unwrap(annotation, [])[0].model_fields[part]
            annotation, marks = field.annotation, list(field.metadata)
    return _unwrap(annotation, marks)


def _unwrap(annotation: Any, marks: list[Any]) -> tuple[Any, list[Any]]:
    """Take off Annotated and `| None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            marks = [*marks, *(inner for mark in more for inner in getattr(mark, "metadata", [mark]))]
        elif get_origin(annotation) in (Union, types.UnionType):
            (annotation,) = (part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation, marks


def _limit(marks: list[Any], name: str) -> int | None:
    return next((getattr(mark, name) for mark in marks if hasattr(mark, name)), None)


def _expectation(annotation: Any, marks: list[Any]) -> str:
    """Return what a value of the field must be, in words."""
    if get_origin(annotation) is Literal:
        return " or ".join(str(value) for value in get_args(annotation))
    if annotation is bool:
        return "true or false"
    if annotation is int:
        low, high = _limit(marks, "ge"), _limit(marks, "le")
        return f"an integer from {low:,} to {high:,}" if high is not None else f"an integer of at least {low:,}"
    if annotation is str:
        if (longest := _limit(marks, "max_length")) is not None:
            return f"a string of 1 to {longest} characters"
        return "a string that is not empty" if _limit(marks, "min_length") else "a string"
    if get_origin(annotation) is list:
        return "a list that is not empty" if _limit(marks, "min_length") else "a list"
    return "an object"


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first thing wrong as `data.items[0].quantity: must be an integer from 1 to 1,000,000`."""
    first = error.errors(include_url=False, include_input=False)[0]
    parts = first["loc"]
    if first["type"] == "plain":
        context = first["ctx"]
        path = _path(parts)
        below = context["where"]
        return f"{path}.{below}: {context['what']}" if below else f"{path}: {context['what']}"
    if first["type"] == "missing":
        return f"{_path(parts)}: is missing"
    return f"{_path(parts)}: must be {_expectation(*_field(model, parts))}"
