"""The rows of a text table or a Parquet file."""

import base64
import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import IO, Any, Literal, NamedTuple, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.csv_options import CsvOptions
from ingest.opening import Opened
from schemas.errors import ConfigError

BATCH_ROWS = 2048
_LONGEST_FIELD = 1 << 30  # Python's own limit, 128 KiB, is less than a chat's text
_EXACT_FLOAT = 1 << 53


class Table(NamedTuple):
    """The columns, and each row with its number; a row with too few or too many values comes as a list."""

    columns: Sequence[str]
    rows: Iterator[tuple[int, dict[str, Any] | list[str]]]


def read_text(opened: Opened, options: CsvOptions) -> Table:
    """Read a text table. Rows are numbered by the line they begin in.

    Raises ConfigError, UnicodeDecodeError or csv.Error, also from the rows.
    """
    lines = _text_lines(opened, options)
    skipped = 0
    for _ in range(options.skip):
        skipped += next(lines, None) is not None
    records = _records(lines, options)
    columns: Sequence[str] | None = options.header
    if columns is None:
        first = next(records, None)
        if first is None:
            return Table((), iter(()))
        columns = [name.strip() if options.trim else name for name in first[1]]
    return Table(columns, _named(records, columns, options, skipped))


def _text_lines(opened: Opened, options: CsvOptions) -> Iterator[str]:
    chunks = opened.chunks()
    head = next(chunks, b"")
    encoding = options.encoding
    if encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    buffered = io.BufferedReader(_Raw(head, chunks), 1 << 16)
    return iter(io.TextIOWrapper(cast(IO[bytes], buffered), encoding, newline=""))


def _records(lines: Iterator[str], options: CsvOptions) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each record that is not blank, with the line it begins in."""
    if options.delimiter == "whitespace":
        for number, line in enumerate(lines, 1):
            if words := line.split():
                yield number, words
        return
    csv.field_size_limit(_LONGEST_FIELD)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if options.quote is None else csv.QUOTE_MINIMAL
    reader = csv.reader(lines, delimiter=options.delimiter, quotechar=options.quote, quoting=quoting, strict=True)
    number = 1
    while True:
        try:
            fields: list[str] | None = next(iter(reader), None)
        except csv.Error as error:
            hint = "" if options.quote is None else "; if quotes mean nothing here, say `csv: {quote: none}`"
            raise csv.Error(f"the record of line {number}: {error}{hint}") from None
        if fields is None:
            return
        if fields:
            yield number, fields
        number = reader.line_num + 1


def _named(
    records: Iterator[tuple[int, list[str]]], columns: Sequence[str], options: CsvOptions, skipped: int
) -> Iterator[tuple[int, dict[str, Any] | list[str]]]:
    width = len(columns)
    trim, empty = options.trim, options.empty
    for number, fields in records:
        if trim:
            fields = [field.strip() for field in fields]
        if empty:
            fields = ["" if field in empty else field for field in fields]
        if len(fields) == width:
            yield number + skipped, dict(zip(columns, fields, strict=True))
        elif any(field.strip() for field in fields):
            yield number + skipped, fields


class _Raw(io.RawIOBase):
    """Chunks as a stream for io.TextIOWrapper, whose splitting of lines runs in C."""

    def __init__(self, head: bytes, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._left = memoryview(head)
        self._chunks = chunks

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def read_parquet(opened: Opened) -> Table:
    """Read a Parquet file row by row, numbered from 1. Raises pa.ArrowException or OSError, also from the rows."""
    if opened.path == "-":
        data = b"".join(opened.chunks())  # a Parquet file is read from its end
        file = pq.ParquetFile(pa.BufferReader(data))
    else:
        file = pq.ParquetFile(opened.path)
    names = file.schema_arrow.names
    if len(set(names)) < len(names):
        raise ConfigError(f"{opened.path}: has two columns of one name")
    return Table(names, _parquet_rows(file, opened))


def _parquet_rows(file: pq.ParquetFile, opened: Opened) -> Iterator[tuple[int, dict[str, Any] | list[str]]]:
    number = 0
    for batch in file.iter_batches(BATCH_ROWS):
        names = batch.schema.names
        columns = [[_plain(value, column.type) for value in _listed(column)] for column in batch.columns]
        opened.read_rows(batch.num_rows, file.metadata.num_rows)
        for values in zip(*columns, strict=True):
            number += 1
            yield number, dict(zip(names, values, strict=True))


def _listed(column: pa.Array) -> list[Any]:
    """Return a column's Python values; instants finer than Python knows are cut to microseconds."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _plain(value: Any, kind: pa.DataType) -> Any:
    """Return a value as JSON has it: instants and dates as ISO 8601, bytes as text, maps as objects, NaN as null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        return int(value) if value.is_integer() and abs(value) < _EXACT_FLOAT else Decimal(repr(value))
    if isinstance(value, Decimal):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date | time | timedelta):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if pa.types.is_map(kind):
        return {str(key): _plain(one, kind.item_type) for key, one in value}
    if isinstance(value, dict):
        return {name: _plain(one, kind.field(name).type) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, kind.value_type) for one in value]
    return str(value)
