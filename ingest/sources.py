"""Inputs of every kind as one stream of lines."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from ingest.lines import Line, split_lines
from ingest.mapping import Mapping
from ingest.opening import STDIN, Opened, Progress, opened, total_bytes, whole
from ingest.rows import event_rows, mapped
from ingest.tables import Table, read_parquet, read_text
from schemas.errors import ConfigError

__all__ = ["Line", "Progress", "check", "read", "total_bytes"]

_PACKED = (".gz", ".gzip", ".zst", ".zstd")
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_TEXT_TABLES = (".csv", ".tsv", ".psv")
_EVENT_COLUMNS = ("id", "type", "time")


def read(path: str, mappings: Sequence[Mapping] | None = None, progress: Progress | None = None) -> Iterator[Line]:
    """Yield the lines of a file, or of standard input for `-`.

    What the bytes are decides: gzip and zstd are unpacked, Parquet is a table, anything else is text. With mappings
    a text is a table too, unless its name ends in .jsonl, .ndjson or .json; without, it is JSON Lines and a Parquet
    file has the fields of an event as columns. Raises ConfigError, also after some lines, if the file cannot be read
    whole: so a caller reads everything before it writes anything.
    """
    with whole(path), opened(path, progress) as file:
        mine = [mapping for mapping in mappings or () if mapping.is_for(path)]
        if file.form == "parquet":
            table = read_parquet(file)
            if mappings:
                yield from _mapped(path, table, _some(path, mine))
            else:
                _check_event_columns(path, table)
                yield from event_rows(table, path)
        elif _is_table(path, mappings):
            yield from _mapped(path, _text_table(path, file, _some(path, mine)), mine)
        else:
            yield from split_lines(file.chunks(), path)


def check(paths: Sequence[str], mappings: Sequence[Mapping] | None = None) -> None:
    """Raise ConfigError for what can be told before reading: missing files, folders, tables without a mapping."""
    if list(paths).count(STDIN) > 1:
        raise ConfigError("-: standard input can be read only once")
    for path in paths:
        if path != STDIN and not Path(path).is_fifo():  # what is read from a pipe is gone
            with whole(path), Path(path).open("rb"):
                pass
        if _is_table(path, mappings):
            _some(path, [mapping for mapping in mappings or () if mapping.is_for(path)])


def _suffix(path: str) -> str:
    name = PurePath(path.lower())
    return PurePath(name.stem).suffix if name.suffix in _PACKED else name.suffix


def _is_table(path: str, mappings: Sequence[Mapping] | None) -> bool:
    suffix = _suffix(path)
    return suffix in _TEXT_TABLES or (bool(mappings) and suffix not in _JSON_LINES)


def _some(path: str, mappings: list[Mapping]) -> list[Mapping]:
    if not mappings:
        raise ConfigError(
            f"{path}: is a table and no mapping says how its rows become events; give a mapping file with --map "
            "(its language: docs/mapping.md, examples: docs/maps)"
        )
    return mappings


def _text_table(path: str, file: Opened, mappings: list[Mapping]) -> Table:
    options = mappings[0].csv
    for mapping in mappings[1:]:
        if mapping.csv != options:
            raise ConfigError(
                f"{mapping.place}: csv: differs from {mappings[0].place}, and {path} is written in one way"
            )
    return read_text(file, options)


def _mapped(path: str, table: Table, mappings: list[Mapping]) -> Iterator[Line]:
    if table.columns:
        for mapping in mappings:
            mapping.check_columns(path, table.columns)
    yield from mapped(table, mappings, path)


def _check_event_columns(path: str, table: Table) -> None:
    missing = [name for name in _EVENT_COLUMNS if name not in table.columns]
    if missing:
        raise ConfigError(
            f"{path}: has no column {', '.join(missing)}; a Parquet file of events has the columns id, type, time, "
            "identifiers and data, and any other table needs a mapping file, --map"
        )
