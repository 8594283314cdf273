"""The rows of the tables in docs/settings.md, made from the settings model."""

import json
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from schemas.settings import Settings


def rows(model: type[BaseModel] = Settings, prefix: str = "") -> list[str]:
    """One row for each setting that is not a section: name, default as YAML (flow), description."""
    found = []
    for name, info in model.model_fields.items():
        inner: Any = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found.extend(rows(inner, f"{prefix}{name}."))
            continue
        found.append(f"| `{prefix}{name}` | {default(name, info)} | {info.description} |")
        values = get_args(inner)
        if get_origin(inner) is dict and isinstance(values[1], type) and issubclass(values[1], BaseModel):
            found.extend(rows(values[1], f"{prefix}{name}.{'KIND' if name == 'kinds' else 'NAME'}."))
    return found


def default(name: str, info: Any) -> str:
    """The default as it would be written, but for the table of kinds, which has a page of its own."""
    if name == "kinds":
        return "[the table](identity.md#kinds)"
    if info.is_required():
        return "must be given"
    value = info.default if info.default is not PydanticUndefined else info.default_factory()
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, str):
        return f"`{value}`" if value else '`""`'
    return f"`{json.dumps(value, ensure_ascii=False)}`"
