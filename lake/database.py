"""The DuckDB file: the tables of a folder, with comments that say what they and their columns mean."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import duckdb

from lake.tables import Table

DATABASE = "kith.duckdb"
"""Name of the file in a folder of tables."""

MEMORY = "2GB"
"""What a database may use while it is made."""

VIEWS = {"people": "profiles", "identifiers": "identities"}
"""The tables of a replay or export by the names that they have in a snapshot."""


def write_database(
    folder: Path,
    path: Path,
    tables: Iterable[Table],
    views: Mapping[str, str] | None = None,
    scratch: Path | None = None,
    finish: Callable[[duckdb.DuckDBPyConnection], object] = lambda connection: None,
) -> None:
    """Make a DuckDB file at `path` from the Parquet files `folder/NAME.parquet`, one table each.

    `views` are further names of these tables. `finish` adds what else the file is to hold. `scratch` is a folder for
    what memory does not hold.
    """
    tables = list(tables)
    connection = duckdb.connect(str(path), config={"threads": 2, "memory_limit": MEMORY})
    try:
        if scratch is not None:
            connection.execute(f"SET temp_directory = {literal(str(scratch))}")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("BEGIN")  # one commit for all: each costs a sync of the disk
        for table in tables:
            file = literal(str(folder / f"{table.name}.parquet"))
            connection.execute(f"CREATE TABLE {table.name} AS SELECT * FROM read_parquet({file})")  # noqa: S608
            connection.execute(f"COMMENT ON TABLE {table.name} IS {literal(table.comment)}")
            for column in table.columns:
                connection.execute(f'COMMENT ON COLUMN {table.name}."{column.name}" IS {literal(column.comment)}')
        by_name = {table.name: table for table in tables}
        for name, table_name in (views or {}).items():
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {table_name}")  # noqa: S608
            connection.execute(f"COMMENT ON VIEW {name} IS {literal(by_name[table_name].comment)}")
            for column in by_name[table_name].columns:
                connection.execute(f'COMMENT ON COLUMN {name}."{column.name}" IS {literal(column.comment)}')
        finish(connection)
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")
    finally:
        connection.close()


def literal(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
