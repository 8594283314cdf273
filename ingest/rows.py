"""From the rows of a table to lines: each mapping's events, one of a row or one of a group of rows."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ingest.lines import Line
from ingest.mapping import Mapping
from ingest.mapping_event import encode
from ingest.spill import Spill
from ingest.tables import Table
from ingest.values import BadValueError
from schemas.event import Rejected

Stored = tuple[bytes, bytes, int]  # the group's key, the row as JSON, its number

# Exact: what a row held as a decimal is a decimal again.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def mapped(table: Table, mappings: Sequence[Mapping], source: str) -> Iterator[Line]:
    """Yield the lines of a table: what comes of single rows in the order of the rows, then the groups by their key.

    A row that no mapping wants gives nothing; one with too few or too many values is rejected. The rows of a group may
    stand anywhere in the file: they are sorted by key and then by all their values, so their order does not matter.
    """
    with ExitStack() as stack:
        groups: dict[int, Spill[Stored]] = {
            place: stack.enter_context(Spill(Stored)) for place, mapping in enumerate(mappings) if mapping.group_by
        }
        name = Path(source).name
        for number, row in table.rows:
            raw = encode(row)
            if isinstance(row, list):
                what = f"the row has {len(row)} values, the table {len(table.columns)} columns"
                yield Line(source, number, raw, Rejected("invalid", what))
                continue
            row["_line"], row["_file"] = number, name
            for place, mapping in enumerate(mappings):
                if not mapping.wants(row):
                    continue
                group = groups.get(place)
                if group is None:
                    yield _line(mapping, [row], source, number, raw)
                    continue
                key = [row[column] for column in mapping.group_by]
                if all(value is None or value == "" for value in key):
                    what = f"the row has no {' and no '.join(mapping.group_by)} to group it by"
                    yield Line(source, number, raw, Rejected("invalid", what))
                else:
                    group.add((encode(key), raw, number), len(raw))
        for place, group in groups.items():
            yield from _grouped(group, mappings[place], source)


def _grouped(group: Spill[Stored], mapping: Mapping, source: str) -> Iterator[Line]:
    rows: list[Stored] = []
    for row in group.rows():
        if rows and row[0] != rows[0][0]:
            yield _group_line(rows, mapping, source)
            rows = []
        rows.append(row)
    if rows:
        yield _group_line(rows, mapping, source)


def _group_line(stored: list[Stored], mapping: Mapping, source: str) -> Line:
    number = min(row[2] for row in stored)
    raws = [row[1] for row in stored]
    rows: list[dict[str, Any]] = []
    name = Path(source).name
    last = b""
    for _, raw, line in stored:
        if not mapping.distinct or raw != last:  # equal rows stand together
            rows.append(_decode(raw) | {"_line": line, "_file": name})
        last = raw
    return _line(mapping, rows, source, number, b"[" + b",".join(raws) + b"]")


def _line(mapping: Mapping, rows: Sequence[dict[str, Any]], source: str, number: int, raw: bytes) -> Line:
    try:
        return Line(source, number, raw, mapping.build(rows))
    except BadValueError as error:
        return Line(source, number, raw, Rejected("invalid", str(error)))


def event_rows(table: Table, source: str) -> Iterator[Line]:
    """Yield the rows of a table whose columns are an event's fields; `identifiers` and `data` may be JSON text."""
    for number, row in table.rows:
        raw = encode(row)
        assert isinstance(row, dict)  # noqa: S101  a Parquet row has a value for each column
        event: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
        event_json: bytes | Rejected = raw
        for name in ("identifiers", "data"):
            text = event.get(name)
            if isinstance(text, str) and text.strip()[:1] in "{[":
                try:
                    event[name] = msgspec.json.decode(text, type=msgspec.Raw)
                except (msgspec.MsgspecError, RecursionError, ValueError):
                    event_json = Rejected("not_json", f"{name}: the column holds text that is not JSON")
        if event_json is raw:
            event["time"] = _zoned(event.get("time"))
            event_json = encode(event)
        yield Line(source, number, raw, event_json)


def _zoned(time: Any) -> Any:
    """Read an instant without a zone, as a Parquet timestamp may be, as UTC."""
    if isinstance(time, str) and len(time) >= 19 and time[-1] not in "Zz" and "+" not in time and time.count("-") < 3:
        return time + "Z"
    return time
