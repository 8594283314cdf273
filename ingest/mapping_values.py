"""The value language of a mapping file: constants, templates, columns, expressions and sums, compiled to closures."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, get_args

from ingest.values import CONVERT, BadValueError, Target, instants, milliseconds, shown
from schemas.errors import ConfigError
from schemas.expr import Expression, ExpressionError, compile_expression
from schemas.expr_values import add, number
from schemas.times import zone
from schemas.yaml_places import Document, Path

Row = Mapping[str, Any]
Value = Callable[[Row, Sequence[Row]], Any]
"""Takes a row and all rows of its event; gives the value of a field, None when absent. Raises BadValueError."""

TYPES = get_args(Target)
ORIGINS = ("column", "template", "expr", "sum")
OPTIONS = ("format", "timezone", "default", "map", "type", "remove")

_TEMPLATE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]|[^{}]+")


class Problems:
    """Where a mapping file is wrong, and which columns it uses: file, line, field and what."""

    def __init__(self, file: str, document: Document) -> None:
        self.file = file
        self.document = document
        self.found: list[tuple[int, str]] = []
        self.columns: dict[str, str] = {}
        for line, path, what in document.problems:
            self.found.append((line, self._at(line, path, what)))

    def add(self, path: Path, what: str) -> None:
        """Record that something is wrong with the field."""
        line = self.document.line(path)
        self.found.append((line, self._at(line, path, what)))

    def uses(self, column: str, path: Path) -> None:
        """Record that the field reads a column."""
        self.columns.setdefault(column, f"{self.file}:{self.document.line(path)}: {dotted(path)}")

    def _at(self, line: int, path: Path, what: str) -> str:
        return f"{self.file}:{line}: {dotted(path)}: {what}" if path else f"{self.file}:{line}: {what}"


def dotted(path: Path) -> str:
    """Spell a path as `data.items[0].sku`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def of(row: Row, column: str) -> Any:
    """Return a column's value, None for an empty text."""
    value = row.get(column)
    return None if value == "" else value


def is_value(spec: Any) -> bool:
    """Return whether a YAML value gives one value: a scalar, or an object with one of the origins."""
    return not isinstance(spec, list | dict) or any(origin in spec for origin in ORIGINS)


def compile_value(spec: Any, path: Path, target: Target, problems: Problems) -> Value:
    """Compile one value. What is wrong goes to `problems`; the closure is of use only when there are none."""
    if isinstance(spec, dict):
        return _from_origin(spec, path, target, problems)
    if isinstance(spec, str) and ("{" in spec or "}" in spec):
        return _finished({}, _template(spec, path, problems), path, target, problems)
    if spec is None:
        return _never
    return _constant(spec, path, target, problems)


def _never(row: Row, rows: Sequence[Row]) -> None:
    return None


def _constant(spec: Any, path: Path, target: Target, problems: Problems) -> Value:
    if isinstance(spec, list):
        problems.add(path, "wants one value, this is a list")
        return _never
    try:
        value = _converter({}, path, target, problems)(_plain(spec))
    except BadValueError as error:
        problems.add(path, str(error))
        return _never
    return lambda row, rows: value


def _plain(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def _template(text: str, path: Path, problems: Problems) -> Value:
    parts: list[tuple[str, str, bool]] = []  # literal text, column, whether it may be absent
    for match in _TEMPLATE.finditer(text):
        token = match[0]
        if match[1] is not None:
            column = match[1].removesuffix("?")
            problems.uses(column, path)
            parts.append(("", column, match[1].endswith("?")))
        elif token in ("{", "}"):
            problems.add(path, f"{token!r} stands alone; write {token * 2!r} for the character itself")
        else:
            parts.append((token[0] if token in ("{{", "}}") else token, "", False))

    def fill(row: Row, rows: Sequence[Row]) -> str | None:
        filled: list[str] = []
        for literal, column, optional in parts:
            if not column:
                filled.append(literal)
                continue
            value = of(row, column)
            if value is None:
                if not optional:
                    return None
                continue
            filled.append(value if isinstance(value, str) else CONVERT["text"](value))
        return "".join(filled)

    return fill


def _expression(text: Any, path: Path, problems: Problems) -> Expression | None:
    if not isinstance(text, str):
        text = str(text)
    try:
        expression = compile_expression(text)
    except ExpressionError as error:
        problems.add(path, str(error))
        return None
    for name in sorted(expression.names):
        problems.uses(name, path)
    return expression


def _from_origin(spec: dict[str, Any], path: Path, target: Target, problems: Problems) -> Value:
    origins = [name for name in ORIGINS if name in spec]
    if len(origins) != 1:
        problems.add(path, f"wants exactly one of {', '.join(ORIGINS)}")
        return _never
    for name in spec:
        if name not in (*ORIGINS, *OPTIONS):
            problems.add((*path, name), f"is unknown; there are {', '.join((*ORIGINS, *OPTIONS))}")
    origin = origins[0]
    given = spec[origin]
    place = (*path, origin)
    if origin in ("expr", "sum"):
        expression = _expression(given, place, problems)
        if expression is None:
            return _never
        return _finished(spec, (_sum if origin == "sum" else _single)(expression), path, target, problems)
    if not isinstance(given, str) or not given:
        problems.add(place, "must be the name of a column" if origin == "column" else "must be a text")
        return _never
    if origin == "template":
        return _finished(spec, _template(given, place, problems), path, target, problems)
    problems.uses(given, place)
    return _finished(spec, lambda row, rows: of(row, given), path, target, problems, f"column {given}: ")


def _single(expression: Expression) -> Value:
    def evaluate(row: Row, rows: Sequence[Row]) -> Any:
        value = expression.evaluate(lambda name: of(row, name))
        if value is None and any(of(row, name) is not None for name in expression.names):
            raise BadValueError(f"{expression.text} has no value in this row")
        return value

    return evaluate


def _sum(expression: Expression) -> Value:
    def total(row: Row, rows: Sequence[Row]) -> Any:
        result: Any = 0
        for one in rows:
            value = number(expression.evaluate(lambda name, one=one: of(one, name)))  # type: ignore[misc]
            if value is None:
                raise BadValueError(f"{expression.text} is not a number in each row")
            result = add(result, value)
        return result

    return total


def _finished(
    spec: dict[str, Any], origin: Value, path: Path, target: Target, problems: Problems, who: str = ""
) -> Value:
    """Add the options to an origin: what is removed, mapped, converted and put in the place of nothing."""
    convert = _converter(spec, path, target, problems)
    remove = spec.get("remove")
    table = spec.get("map")
    default: Any = None
    if "default" in spec:
        default = _constant(spec["default"], (*path, "default"), target, problems)({}, ())
    if remove is not None and not isinstance(remove, str):
        problems.add((*path, "remove"), "must be a text of the characters to remove")
        remove = None
    mapped: dict[str, Any] | None = None
    if table is not None:
        if not isinstance(table, dict) or any(isinstance(value, list | dict) for value in table.values()):
            problems.add((*path, "map"), "must give a value for each value of the column")
        else:
            mapped = {key: _plain(value) for key, value in table.items()}

    def value(row: Row, rows: Sequence[Row]) -> Any:
        found = origin(row, rows)
        try:
            if remove is not None and isinstance(found, str):
                found = found.translate(dict.fromkeys(map(ord, remove))) or None
            if mapped is not None and found is not None:
                key = CONVERT["text"](found)
                if key not in mapped and default is None:
                    raise BadValueError(f"{shown(key)} is not in the map")
                found = mapped.get(key)
            return default if found is None else convert(found)
        except BadValueError as error:
            raise BadValueError(f"{who}{error}") from None

    return value


def _converter(spec: dict[str, Any], path: Path, target: Target, problems: Problems) -> Callable[[Any], Any]:
    kind = spec.get("type", target)
    if kind not in TYPES:
        problems.add((*path, "type"), f"must be one of {', '.join(TYPES)}")
        return CONVERT["any"]
    pattern, timezone = spec.get("format"), spec.get("timezone", "UTC")
    if kind not in ("time", "date"):
        for name in ("format", "timezone"):
            if name in spec:
                problems.add((*path, name), f"belongs to a time; this is {kind} (add `type: time` or `type: date`)")
        first = CONVERT[kind]
        if kind in (target, "any") or target in ("any", kind):
            return first
        second = CONVERT.get(target, first)
        return lambda value: second(first(value))
    try:
        zone(timezone)
    except (ValueError, ConfigError, TypeError):
        problems.add((*path, "timezone"), f"{timezone!r} is no IANA time zone, such as Asia/Shanghai")
        return CONVERT["any"]
    if pattern is not None and (
        not isinstance(pattern, str) or ("%" not in pattern and not pattern.startswith("epoch_"))
    ):
        problems.add((*path, "format"), "must be a strptime format such as %Y-%m-%d, or epoch_ms or epoch_s")
        return CONVERT["any"]
    read = instants(pattern, timezone)
    local = zone(timezone)
    if target == "time":
        return lambda value: milliseconds(read(value))
    if kind == "date":
        return lambda value: read(value).astimezone(local).date().isoformat()
    return lambda value: read(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")
