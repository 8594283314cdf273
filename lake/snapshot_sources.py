"""The lake's tables as a scratch database shows them: what a snapshot is gathered from, in SQL.

The database lies in the scratch folder, sorts there, and has a firm bound on its memory.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow.dataset as ds

from lake.catalogue import Listing
from lake.database import literal
from lake.lake_tables import BY_NAME, LakeTable
from lake.reading_lake import relation
from lake.store import LakeStore
from lake.tables import Table
from lake.writer import write_rows

MEMORY = "2GB"
THREADS = 2


class Sources:
    """A scratch database in the folder `scratch`; its views `lake_TABLE` show what the listings name."""

    def __init__(self, store: LakeStore, listings: Sequence[Listing], scratch: Path, memory: str = MEMORY) -> None:
        self._store = store
        self._listings = listings
        (scratch / "sort").mkdir(exist_ok=True)
        self.sql = duckdb.connect(
            str(scratch / "scratch.duckdb"),
            config={"temp_directory": str(scratch / "sort"), "threads": THREADS, "memory_limit": memory},
        )
        self.sql.execute("SET TimeZone = 'UTC'")
        self.sql.execute("SET preserve_insertion_order = false")
        for table in BY_NAME.values():
            shown = relation(self.sql, store, listings, table).sql_query()
            self.sql.execute(f"CREATE TEMP VIEW lake_{table.name} AS {shown}")

    def close(self) -> None:
        """Close the database; again is no harm."""
        self.sql.close()

    def partition(self, name: str, topic: str, number: int, end: int | None = None) -> str:
        """Return a relation with a table's rows of one partition; of the files with messages before offset `end`."""
        table = BY_NAME[name]
        paths = [
            self._store.full(file.path)
            for listing in self._listings
            if (listing.topic, listing.partition) == (topic, number)
            for file in listing.files
            if file.table == name and (end is None or file.first < end)
        ]
        if not paths or self._store.local is None:
            return self._registered(table, paths)
        files = ", ".join(literal(path) for path in paths)
        return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)"

    def _registered(self, table: LakeTable, paths: Sequence[str]) -> str:
        name = f"some_{table.name}"
        if paths:
            found = ds.dataset(list(paths), schema=table.schema, filesystem=self._store.filesystem, format="parquet")
            self.sql.register(name, found)
        else:
            self.sql.register(name, table.schema.empty_table())
        return name

    def write(self, query: str, path: Path, table: Table) -> int:
        """Write what a query gives to a Parquet file with the table's columns; return the number of rows."""
        return write_rows(self.sql.sql(query), path, table)
