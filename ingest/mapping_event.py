"""A mapping's event: from the fields it names to the JSON of an event, each value as the contract wants it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ingest.mapping_values import Problems, Row, Value, compile_value, dotted, is_value
from ingest.values import BadValueError, target_of
from schemas.contract import DATA_MODELS, LINK_TYPES, event_model
from schemas.fields import Model
from schemas.yaml_places import Path

encode: Callable[[Any], bytes] = msgspec.json.Encoder(decimal_format="number").encode


def compile_event(
    spec: dict[str, Any], at: Path, grouped: bool, problems: Problems
) -> Callable[[Sequence[Row]], bytes]:
    """Compile the event: a closure from the rows to its JSON. It raises BadValueError that names field and column."""
    kind = spec.get("type")
    fixed = kind if isinstance(kind, str) and "{" not in kind else None
    if fixed is not None and event_model(fixed) is None:
        problems.add((*at, "type"), f"{fixed!r} is no type of event; a type of your own is custom.<name>")
    wanted = ["id", "type", "time"] + ([] if fixed in LINK_TYPES else ["identifiers"])
    for name in wanted:
        if spec.get(name) is None:
            problems.add((*at, name), "is missing")
    head: list[tuple[str, Value]] = []
    for name, target in (
        ("id", "text"),
        ("type", "text"),
        ("source", "text"),
        ("time", "time"),
        ("schema_version", "int"),
    ):
        if spec.get(name) is not None:
            head.append((name, compile_value(spec[name], (*at, name), target, problems)))  # type: ignore[arg-type]
    who = spec.get("identifiers")
    identifiers: list[tuple[str, list[Value]]] = []
    if who is not None and (not isinstance(who, dict) or is_value(who)):
        problems.add((*at, "identifiers"), "must give a value for each kind of identifier")
    elif who is not None:
        identifiers = [
            (
                name,
                [
                    compile_value(one, (*at, "identifiers", name), "text", problems)
                    for one in (given if isinstance(given, list) else [given])
                ],
            )
            for name, given in who.items()
        ]
    model = DATA_MODELS.get(fixed) if fixed is not None else None
    data = _object(spec.get("data") or {}, (*at, "data"), model, grouped, problems)

    def build(rows: Sequence[Row]) -> bytes:
        row = rows[0]
        event: dict[str, Any] = {}
        for name, value in head:
            _put(event, name, name, value, row, rows)
        found: dict[str, Any] = {}
        for name, values in identifiers:
            for value in values:
                _put(found, name, f"identifiers.{name}", value, row, rows, several=len(values) > 1)
        event["identifiers"] = found
        event["data"] = data(row, rows)
        return encode(event)

    return build


def _put(
    into: dict[str, Any], name: str, where: str, value: Value, row: Row, rows: Sequence[Row], *, several: bool = False
) -> None:
    try:
        found = value(row, rows)
    except BadValueError as error:
        raise BadValueError(f"{where}: {error}" if where else str(error)) from None
    if found is None:
        return
    if several:
        into.setdefault(name, []).append(found)
    else:
        into[name] = found


def _object(spec: Any, path: Path, model: type[Model] | None, grouped: bool, problems: Problems) -> Value:
    """Compile an object of fields; `model` says what each wants, None that anything goes."""
    if not isinstance(spec, dict):
        problems.add(path, "must be an object of fields")
        return lambda row, rows: None
    if model is not None:
        for name, wanted in model.model_fields.items():
            if wanted.is_required() and spec.get(name) is None:
                problems.add((*path, name), "is missing; the type of event needs it")
    fields: list[tuple[str, str, Value]] = []
    prefix = dotted(path[path.index("data") :])
    for name, given in spec.items():
        described = model.model_fields.get(name) if model is not None else None
        target = "any" if described is None else target_of(described.annotation)
        value = _any_value(given, (*path, name), target, grouped, problems)
        own = isinstance(given, dict | list) and not is_value(given)  # names the places of its own fields
        fields.append((name, "" if own else f"{prefix}.{name}", value))

    def build(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, where, value in fields:
            _put(made, name, where, value, row, rows)
        return made

    return build


def _any_value(given: Any, path: Path, target: Any, grouped: bool, problems: Problems) -> Value:
    if isinstance(given, list):
        inner = target[0] if isinstance(target, list) else "any"
        if inner == "any" and target != "any" and not isinstance(target, list):
            problems.add(path, "wants one value, this is a list")
        items = [_any_value(one, (*path, place), inner, False, problems) for place, one in enumerate(given)]
        if grouped:
            return lambda row, rows: [item(one, rows) for one in rows for item in items]
        return lambda row, rows: [item(row, rows) for item in items]
    if isinstance(target, list):
        problems.add(path, "must be a list: one entry for each item of a row")
        return lambda row, rows: None
    model = target if isinstance(target, type) else None
    if model is not None or (isinstance(given, dict) and not is_value(given)):
        if model is None and target != "any":
            problems.add(path, "wants one value, this is an object without column, template, expr or sum")
        return _object(given, path, model, grouped, problems)
    return compile_value(given, path, target, problems)
