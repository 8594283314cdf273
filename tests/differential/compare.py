"""Runs Kith's replay and the naive reference on the same lines and names every difference."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from schemas.settings import Settings
from stream.replay import replay
from tests.reference.run import reference

Row = dict[str, Any]

SEGMENTS = {
    "HHH": "重要价值",
    "HLH": "重要发展",
    "LHH": "重要保持",
    "LLH": "重要挽留",
    "HHL": "一般价值",
    "HLL": "一般发展",
    "LHL": "一般保持",
    "LLL": "一般挽留",
}
KEYS = {
    "identities": ("kind", "value"),
    "profiles": ("one_id",),
    "triggers": ("rule", "instance", "anchor_event_id"),
    "events": ("event_id",),
    "deadletters": ("source", "line"),
}


def differences(lines: list[bytes], folder: Path, until_ms: int | None = None) -> list[str]:
    """Return one text per difference between the two results, none if they agree row for row."""
    source = folder / "events.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    replay([str(source)], folder / "out", Settings(), until_ms=until_ms)
    expected = reference([(str(source), n, line) for n, line in enumerate(lines, 1)], until_ms=until_ms)
    found = []
    for table, key in KEYS.items():
        ours = _by_key(read_rows(folder / "out" / f"{table}.parquet"), key)
        theirs = _by_key([_expected(table, row) for row in expected[table]], key)
        for name in sorted(ours.keys() | theirs.keys(), key=str):
            mine, other = ours.get(name), theirs.get(name)
            if mine is None or other is None:
                found.append(f"{table} {name}: only {'expected' if mine is None else 'ours'}: {other or mine}")
            else:
                found += [
                    f"{table} {name} {column}: {mine[column]!r}, expected {value!r}"
                    for column, value in other.items()
                    if mine[column] != value
                ]
    return found


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a Parquet file with times as epoch milliseconds."""
    return [{name: _plain(value) for name, value in row.items()} for row in pq.read_table(path).to_pylist()]


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return round(value.timestamp() * 1000)
    return value


def _expected(table: str, row: Row) -> Row:
    row = dict(row)
    row.pop("detail", None)
    if table == "triggers":
        row["instance"] = row["instance"] or None
    elif table == "profiles" and row["rfm_segment"]:
        row["rfm_segment"] = SEGMENTS[row["rfm_segment"]]
    return row


def _by_key(rows: list[Row], key: tuple[str, ...]) -> dict[tuple[Any, ...], Row]:
    keyed = {tuple(row[name] for name in key): row for row in rows}
    assert len(keyed) == len(rows), f"rows repeat by {key}"
    return keyed
