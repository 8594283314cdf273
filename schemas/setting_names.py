"""The settings model by name: which settings there are, and of what type."""

import types
import typing
from typing import Any, Literal

from pydantic import BaseModel

from schemas.settings import Settings


def settings_paths(model: type[BaseModel] = Settings, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every setting that is not itself a section, in the order of the model."""
    paths: list[tuple[str, ...]] = []
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            paths.extend(settings_paths(inner, (*prefix, name)))
        else:
            paths.append((*prefix, name))
    return paths


def setting_type(path: tuple[str | int, ...]) -> Any:
    """Return the type of the setting at `path`, None if there is none. Keys of a map count as settings."""
    current: Any = Settings
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            info = current.model_fields.get(str(part))
            current = None if info is None else info.annotation
        elif typing.get_origin(current) is dict:
            current = _bare(typing.get_args(current)[1])
        else:
            return None
        if current is None:
            return None
    return current


def is_text(annotation: Any) -> bool:
    """Return whether a setting of this type is a text (or one of some words), so that its spelling is its value."""
    annotation = _bare(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return False
    return annotation is str or typing.get_origin(annotation) is Literal


def _bare(annotation: Any) -> Any:
    return _bare(typing.get_args(annotation)[0]) if typing.get_origin(annotation) is typing.Annotated else annotation
