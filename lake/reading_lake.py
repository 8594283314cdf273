"""Reading a table of the lake in DuckDB: of all its files those that count.

A column that came later reads as null in the files before it, and a table without files is an empty one.
"""

from collections.abc import Mapping, Sequence

import duckdb
from pyarrow import dataset

from lake import catalogue
from lake.catalogue import Listing, Place
from lake.database import literal
from lake.lake_tables import LakeTable
from lake.store import LakeStore


def relation(
    connection: duckdb.DuckDBPyConnection,
    store: LakeStore,
    listings: Sequence[Listing],
    table: LakeTable,
    below: Mapping[Place, int] | None = None,
) -> duckdb.DuckDBPyRelation:
    """Return the rows of a table, in the columns of the table and no certain order.

    With `below` only of messages before these offsets, by (topic, partition); of a partition that it does not name
    none. The relation depends on `connection`, which must stay open.
    """
    paths = [file.path for _, file in catalogue.files(listings, table.name, below)]
    name = f"lake_files_{table.name}"
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    if not paths:
        connection.register(name, table.schema.empty_table())
        return connection.sql(f"SELECT {columns} FROM {name}")  # noqa: S608  our own names
    if store.local is None:
        # DuckDB's own way to object stores is an extension that would have to be fetched.
        files = [store.full(path) for path in paths]
        connection.register(
            name, dataset.dataset(files, schema=table.schema, format="parquet", filesystem=store.filesystem)
        )
        source = name
    else:
        connection.register(f"{name}_none", table.schema.empty_table())
        files = [str(store.local / path) for path in paths]
        listed = ", ".join(map(literal, files))
        # By name and with an empty table, so that columns that no file has are there too, with their types.
        source = (
            f"(FROM {name}_none UNION ALL BY NAME "
            f"FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false))"
        )
    if below is None:
        return connection.sql(f"SELECT {columns} FROM {source}")  # noqa: S608
    limits = [(topic, partition, offset) for (topic, partition), offset in below.items()]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name}_below (topic VARCHAR, place INTEGER, until BIGINT)")
    if limits:
        connection.executemany(f"INSERT INTO {name}_below VALUES (?, ?, ?)", limits)  # noqa: S608
    return connection.sql(
        f"SELECT {columns} FROM {source} AS found SEMI JOIN {name}_below AS bounds "  # noqa: S608
        'ON found.topic = bounds.topic AND found."partition" = bounds.place AND found."offset" < bounds.until'
    )
