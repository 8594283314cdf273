"""Whether the lake is what its catalogue says: every listed file there, whole, with its rows and columns."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from lake.catalogue import DataFile, Listing
from lake.lake_tables import BY_NAME
from lake.store import LakeStore


def faults(
    store: LakeStore, listings: Sequence[Listing], progress: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[str]:
    """Yield what is wrong, in words. The offsets of each file are read, not its other columns."""
    total = sum(len(listing.files) for listing in listings)
    done = 0
    for listing in listings:
        seen: dict[tuple[str, int, int], str] = {}
        for file in listing.files:
            progress(done, total)
            done += 1
            if not 0 <= file.first <= file.last < listing.end:
                yield f"{file.path}: is said to hold offsets {file.first} to {file.last}, of {listing.end}"
            wrong = _wrong(store, listing, file, seen)
            if wrong:
                yield f"{file.path}: {wrong}"
    progress(total, total)


def _wrong(store: LakeStore, listing: Listing, file: DataFile, seen: dict[tuple[str, int, int], str]) -> str | None:
    """Return what is wrong with a file; `seen` collects the ranges of offsets of the files before."""
    table = BY_NAME.get(file.table)
    if table is None:
        return f"there is no table {file.table}"
    for (name, first, last), path in seen.items():
        if name == file.table and first <= file.last and file.first <= last and _date(path) == _date(file.path):
            return f"covers the same offsets as {path}"
    seen[file.table, file.first, file.last] = file.path
    try:
        with store.filesystem.open_input_file(store.full(file.path)) as source, pq.ParquetFile(source) as parquet:
            foreign = [field for field in parquet.schema_arrow if not _fits(field, table.schema)]
            if foreign:
                return f"column {foreign[0].name} is {foreign[0].type}, which the table {file.table} does not have"
            offsets = parquet.read(columns=["topic", "partition", "offset"])
    except FileNotFoundError:
        return "is listed and not there"
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read: {error}"
    if offsets.num_rows != file.rows:
        return f"has {offsets.num_rows} rows and is said to have {file.rows}"
    numbers = offsets.column("offset").to_pylist()
    if len(set(numbers)) != len(numbers):
        return "has an offset twice"
    if numbers and not (file.first <= min(numbers) and max(numbers) <= file.last):
        return f"has offsets {min(numbers)} to {max(numbers)} and is said to have {file.first} to {file.last}"
    if set(offsets.column("topic").to_pylist()) - {listing.topic} or set(offsets.column("partition").to_pylist()) - {
        listing.partition
    }:
        return "has rows of another topic or partition"
    return None


def _fits(field: pa.Field, schema: pa.Schema) -> bool:
    return field.name in schema.names and schema.field(field.name).type.equals(field.type)


def _date(path: str) -> str:
    return path.split("/")[1]
