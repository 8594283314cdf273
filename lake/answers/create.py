"""Making the views in a database that has the tables of a snapshot."""

from collections.abc import Iterable

import duckdb

from lake.answers.answer import Answer
from lake.database import literal


def there(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the tables of a database, and its columns as `table.column`."""
    found = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_catalog IN (current_database(), 'temp')"
    ).fetchall()
    return {name for name, _ in found} | {f"{name}.{column}" for name, column in found}


def missing(connection: duckdb.DuckDBPyConnection, answer: Answer) -> list[str]:
    """Return which of the tables and columns that an answer reads are not there."""
    found = there(connection)
    return [name for name in answer.needs if name not in found]


def query(connection: duckdb.DuckDBPyConnection, answer: Answer) -> str:
    """Return the SQL of an answer with the snapshot's currency and moment put in."""
    found = connection.execute("SELECT currency, timezone(timezone, as_of) FROM snapshot").fetchone()
    currency, now = found or (None, None)
    moment = "NULL::TIMESTAMP" if now is None else f"TIMESTAMP {literal(now.isoformat(' '))}"
    return answer.sql.format(currency=literal(currency or ""), now=moment)


def macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Make what the answers call: local time and month of an instant, in the snapshot's time zone."""
    zone = connection.execute("SELECT timezone FROM snapshot").fetchone() or ("UTC",)
    for macro in (
        f"kith_local(moment) AS timezone({literal(zone[0])}, moment)",
        f"kith_month(moment) AS date_trunc('month', timezone({literal(zone[0])}, moment))::DATE",
    ):
        connection.execute(f"CREATE OR REPLACE MACRO {macro}")


def create(connection: duckdb.DuckDBPyConnection, answers: Iterable[Answer]) -> list[str]:
    """Create the views whose tables are there, with comments in English and Chinese; return their names.

    Needs the table `snapshot`, with its row if there are people. Answers that compare two snapshots are left out. The
    two macros stay in the database; for plain DuckDB it then needs nothing else.
    """
    macros(connection)
    made = []
    for answer in answers:
        if answer.compared or missing(connection, answer):
            continue
        connection.execute(f"CREATE OR REPLACE VIEW {answer.view} AS {query(connection, answer)}")
        connection.execute(f"COMMENT ON VIEW {answer.view} IS {literal(' · '.join((*answer.title, *answer.note)))}")
        for column, words in answer.columns.items():
            connection.execute(f'COMMENT ON COLUMN {answer.view}."{column}" IS {literal(" · ".join(words))}')
        made.append(answer.view)
    return made
