"""Settings from a YAML file and the environment, with every mistake found at once and its place named.

The environment goes before the file, the file before the defaults. A variable is `KITH_` and the setting's name in
capitals with `__` between levels; its text is read as YAML, unless the setting is a text.
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.errors import ConfigError
from schemas.setting_names import is_text, setting_type, settings_paths
from schemas.settings import Settings, default_kinds
from schemas.yaml_places import Document, Path, parse

PREFIX = "KITH_"


@dataclass
class Loaded:
    """What a reading gave.

    `settings` holds every setting that was right (a wrong one has its default), so that later checks can go on;
    it may be used only if `problems` is empty. Problems are lines `file:line: field: what`.
    """

    file: str | None
    document: Document
    variables: dict[Path, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    problems: list[str] = field(default_factory=list)

    def note(self, path: Path, what: str) -> None:
        """Note a problem of the setting at `path`; several lines are several problems, each with its place."""
        for line in what.splitlines():
            where = self.place(path) if path else self.place_of(line.partition(":")[0])
            text = f"{where}: {_dotted(path)}{line}"
            if text not in self.problems:
                self.problems.append(text)
        self.problems.sort(key=_in_file_order)

    def place(self, path: Path) -> str:
        """Return where a setting was given: `file:line`, `environment NAME` or, where it was not, the file."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.variables:
                return f"environment {self.variables[path[:end]]}"
        return "settings" if self.file is None else f"{self.file}:{self.document.line(path)}"

    def place_of(self, name: str) -> str:
        """Return the place of a dotted name such as `triggers.rules.birthday.after`."""
        known = {".".join(map(str, path)): path for path in (*self.document.lines, *self.variables)}
        words = name.split(".")
        for end in range(len(words), 0, -1):
            prefix = ".".join(words[:end])
            if prefix in known:
                return self.place(known[prefix])
        return self.place(())


def load_settings(path: FilePath | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings of the file `path` (None: no file) and the variables `KITH_...` of `environ`.

    Raises ConfigError with one line per problem, each `file:line: field: what`.
    """
    loaded = read_settings(path, environ)
    if loaded.problems:
        raise ConfigError("\n".join(loaded.problems))
    return loaded.settings


def read_settings(path: FilePath | None, environ: Mapping[str, str]) -> Loaded:
    """Read like `load_settings`, but return the problems beside what could be read, with the places of settings."""
    loaded = Loaded(None if path is None else str(path), _document(path))
    for line, where, what in loaded.document.problems:
        loaded.problems.append(f"{loaded.file}:{line}: {_dotted(where)}{what}")
    data = loaded.document.value
    if data is None:
        data = {}
    if not isinstance(data, dict):
        loaded.problems.append(f"{loaded.file}:1: the file must hold settings as `name: value`")
        data = {}
    for name in sorted(environ):
        if name.startswith(PREFIX):
            _override(data, name, environ[name], loaded)
    _drop_empty_sections(data, Settings)
    _merge_kinds(data)
    loaded.settings = _validate(data, loaded)
    return loaded


def _document(path: FilePath | None) -> Document:
    if path is None:
        return Document()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Document(problems=[(1, (), f"is not UTF-8: byte {error.start}")])
    except OSError as error:
        return Document(problems=[(1, (), f"cannot be read: {error.strerror}")])
    return parse(text)


def _override(data: dict[str, Any], name: str, text: str, loaded: Loaded) -> None:
    path: Path = tuple(name.removeprefix(PREFIX).lower().split("__"))
    annotation = setting_type(path)
    if annotation is None:
        known = [PREFIX + "__".join(setting).upper() for setting in settings_paths(Settings)]
        loaded.problems.append(f"environment {name}: is not a setting{_did_you_mean(name, known)}")
        return
    value: Any = text
    if not is_text(annotation):
        document = parse(text)
        if document.problems:
            loaded.problems.append(f"environment {name}: {_dotted(path)}{document.problems[0][2]}")
            return
        value = document.value
    section = data
    for key in map(str, path[:-1]):
        if not isinstance(section.get(key), dict):
            section[key] = {}
        section = section[key]
    section[str(path[-1])] = value
    loaded.variables[path] = name


def _drop_empty_sections(data: dict[str, Any], model: type[BaseModel]) -> None:
    """Read a section's name with nothing under it as the section's defaults."""
    for name, info in model.model_fields.items():
        inner = info.annotation
        if name in data and isinstance(inner, type) and issubclass(inner, BaseModel):
            if data[name] is None:
                del data[name]
            elif isinstance(data[name], dict):
                _drop_empty_sections(data[name], inner)


def _merge_kinds(data: dict[str, Any]) -> None:
    """Lay the kinds of a configuration over those out of the box, field by field; new ones come last."""
    identity = data.get("identity")
    kinds = identity.get("kinds") if isinstance(identity, dict) else None
    if not isinstance(identity, dict) or not isinstance(kinds, dict):
        return
    merged: dict[str, Any] = {name: kind.model_dump() for name, kind in default_kinds().items()}
    for name, fields in kinds.items():
        known = merged.get(name, {})
        merged[name] = {**known, **fields} if isinstance(fields, dict) else (known if fields is None else fields)
    identity["kinds"] = merged


def _validate(data: dict[str, Any], loaded: Loaded) -> Settings:
    """Validate, note every error, and validate again without what was wrong until the rest stands."""
    while True:
        try:
            return Settings.model_validate(data)
        except ValidationError as error:
            wrong = error.errors(include_url=False)
        for problem in wrong:
            loaded.note(*_explain(problem))
        for problem in wrong:
            if not problem["loc"]:
                data.clear()
            _remove(data, problem["loc"])


def _explain(problem: Any) -> tuple[Path, str]:
    path = tuple(part for part in problem["loc"] if part != "[key]")
    if problem["type"] == "extra_forbidden":
        section = setting_type(path[:-1])
        names = list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []
        return path, f"is not a setting{_did_you_mean(str(path[-1]), names)}"
    if problem["type"] == "value_error":
        return path, str(problem["ctx"]["error"])
    message = problem["msg"].removeprefix("Input ")
    given = problem["input"]
    shown = "" if isinstance(given, dict | list) or given is None else f", not {json.dumps(given, ensure_ascii=False)}"
    return path, f"{message}{shown}"


def _remove(data: Any, path: Path) -> None:
    """Take the innermost existing part of `path` out of the data."""
    holder, key = None, None
    for part in path:
        inside = isinstance(data, dict) and part in data
        inside = inside or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        if not inside:
            break
        holder, key, data = data, part, data[part]
    if isinstance(holder, dict):
        del holder[key]
    elif isinstance(holder, list) and isinstance(key, int):
        holder.clear()


def _in_file_order(problem: str) -> tuple[bool, int]:
    place = re.match(r".*?:([0-9]+): ", problem)
    return (place is None, 0 if place is None else int(place[1]))


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _dotted(path: Path) -> str:
    return f"{'.'.join(map(str, path))}: " if path else ""
