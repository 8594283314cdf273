"""From lines to events and dead letters: events.md, and "The same id twice" of identity.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.reference.identifiers import Identifier, normalise
from tests.reference.settings import Settings
from tests.reference.validate import TYPES, BadLine, Huge, check_data, instant, is_int

Line = tuple[str, int, bytes]
COMMANDS = ("customer.linked", "customer.unlinked")


@dataclass(frozen=True)
class Event:
    id: str
    type: str
    time: int
    ids: tuple[Identifier, ...]  # i1 first; of a command: its two ends
    data: dict[str, Any]
    content: Any
    line: Line
    ignored: tuple[str, ...]

    @property
    def command(self) -> bool:
        return self.type in COMMANDS

    @property
    def key(self) -> tuple[int, str]:
        return self.time, self.id


def _number(text: str) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Huge(text)


def _integer(text: str) -> Any:
    return int(text) if len(text) < 1000 else _number(text)


def _constant(text: str) -> Any:
    raise ValueError(text)


def _texts(v: Any) -> Iterator[str]:
    todo = [v]
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            todo += [*one, *one.values()]
        elif isinstance(one, list):
            todo += one


def canonical(v: Any) -> Any:
    """Equal for equal JSON values, numbers by value, true apart from 1."""
    if isinstance(v, dict):
        return ("object", frozenset((k, canonical(x)) for k, x in v.items()))
    if isinstance(v, list):
        return ("list", tuple(canonical(x) for x in v))
    if isinstance(v, int) and not isinstance(v, bool):
        return ("number", Decimal(v))
    if isinstance(v, Decimal):
        return ("number", v)
    if isinstance(v, Huge):
        return ("huge", v.text)
    return (type(v).__name__, v)


def _values(v: Any, where: str) -> list[str]:
    found = []
    for one in v if isinstance(v, list) else [v]:
        if isinstance(one, str):
            found.append(one)
        elif is_int(one):
            found.append(str(one))
        elif one is not None:
            raise BadLine("invalid", where)
    return found


def _identifiers(raw: Any, s: Settings) -> tuple[list[Identifier], list[str]]:
    ids: list[Identifier] = []
    ignored: list[str] = []
    for kind, value in raw.items():
        if kind not in s.place:
            ignored.append("undeclared")
            continue
        for one in _values(value, f"identifiers.{kind}"):
            normal, why = normalise(kind, one, s.default_region)
            if normal is None:
                ignored.append(why)
            elif (kind, normal) not in ids:
                ids.append((kind, normal))
    ids.sort(key=lambda i: s.place[i[0]])  # stable: as listed within a kind
    return ids, ignored


def _end(raw: dict[str, Any], s: Settings) -> Identifier:
    if raw["kind"] not in s.place:
        raise BadLine("invalid_link", "undeclared kind")
    value, why = normalise(raw["kind"], str(raw["value"]), s.default_region)
    if value is None:
        raise BadLine("invalid_link", why)
    return raw["kind"], value


def parse(line: Line, s: Settings) -> Event:
    raw = line[2]
    if len(raw) > s.max_line:
        raise BadLine("too_large", "")
    try:
        v = json.loads(raw.decode("utf-8"), parse_float=_number, parse_int=_integer, parse_constant=_constant)
    except (ValueError, RecursionError) as e:
        raise BadLine("not_json", str(e)) from e
    if not isinstance(v, dict):
        raise BadLine("invalid", "not an object")
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for t in _texts(v) for c in t):
        raise BadLine("not_json", "NUL or lone surrogate")
    kind = v.get("type")
    if not isinstance(kind, str):
        raise BadLine("invalid", "type")
    if kind not in TYPES and not (kind.startswith("custom.") and len(kind) > 7):
        raise BadLine("unknown_type", kind)
    if not isinstance(v.get("id"), str) or not 1 <= len(v["id"]) <= 200:
        raise BadLine("invalid", "id")
    time = instant(v.get("time"))
    if not isinstance(v.get("source", ""), str) or not is_int(v.get("schema_version", 1)):
        raise BadLine("invalid", "source or schema_version")
    data = v.get("data")
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise BadLine("invalid", "data")
    given = v.get("identifiers", {} if kind in COMMANDS else None)
    if not isinstance(given, dict):
        raise BadLine("invalid", "identifiers")
    ids, ignored = _identifiers(given, s)
    check_data(kind, data, s.currency)
    if kind in COMMANDS:
        ids, ignored = [_end(data["a"], s), _end(data["b"], s)], []
        if ids[0] == ids[1]:
            raise BadLine("invalid_link", "an identifier with itself")
    elif not ids:
        raise BadLine("no_identifier", "identifiers")
    content = (kind, time, canonical(given), canonical(data))
    return Event(v["id"], kind, time, tuple(ids), data, content, line, tuple(ignored))


def read(lines: list[Line], s: Settings) -> tuple[list[Event], list[dict[str, Any]], Counter[str]]:
    """The events in (time, id) order, the dead letters, counts."""
    counts: Counter[str] = Counter()
    dead: list[dict[str, Any]] = []
    by_id: dict[str, list[Event]] = {}

    def bury(line: Line, reason: str, detail: str) -> None:
        dead.append({"source": line[0], "line": line[1], "reason": reason, "detail": detail, "raw": line[2]})

    for source, number, given in lines:
        raw = given.removeprefix(b"\xef\xbb\xbf") if number == 1 else given
        if not raw.strip(b" \t\r\n"):
            counts["blank"] += 1
            continue
        counts["lines"] += 1
        try:
            event = parse((source, number, raw), s)
        except BadLine as e:
            bury((source, number, raw), e.reason, e.detail)
            continue
        except RecursionError:  # data nested too deep to be compared
            bury((source, number, raw), "not_json", "nested too deep")
            continue
        by_id.setdefault(event.id, []).append(event)
    events: list[Event] = []
    for same in by_id.values():
        best = min(same, key=lambda e: (e.time, e.line[2]))
        events.append(best)
        told = {best.content}
        for other in sorted(same, key=lambda e: (e.time, e.line[2], e.line[0], e.line[1])):
            if other.content not in told:
                told.add(other.content)
                bury(other.line, "id_conflict", "id")
            elif other is not best:
                counts["duplicates"] += 1
    return sorted(events, key=lambda e: e.key), sorted(dead, key=lambda d: (d["source"], d["line"])), counts
