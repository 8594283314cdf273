"""A snapshot, or any other folder of tables, opened to be asked."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from lake.answers.answer import Answer, Words
from lake.answers.create import macros, missing, query, there
from lake.answers.siblings import earlier_sibling
from lake.database import DATABASE, VIEWS, literal
from lake.snapshot_tables import SNAPSHOT, SURVEYS
from lake.writer import FINISHED
from schemas.errors import ConfigError
from schemas.money import exponent
from schemas.settings import Settings

MEMORY = "2GB"
_OTHER_NAMES = {name: view for view, name in VIEWS.items()}


class Opened:
    """The answers over one snapshot; `before` is as of when the earlier one is, if there is one.

    `why_not` names the answers that cannot be given, each with the reason in English and Chinese.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, answers: tuple[Answer, ...], before: datetime | None
    ) -> None:
        self._connection = connection
        self.before = before
        self.why_not: dict[Answer, Words] = {}
        for answer in answers:
            lacking = missing(connection, answer)
            if lacking:
                self.why_not[answer] = _lacking(lacking[0])
            elif answer.compared and before is None:
                self.why_not[answer] = (
                    "compares with an earlier snapshot, and there is none beside this one: name it with --before",
                    "需与较早快照对比，而同一目录下没有更早的快照：请用 --before 指定",
                )
        if SURVEYS.name not in there(connection):
            connection.register(SURVEYS.name, SURVEYS.schema.empty_table())
        macros(connection)
        found = connection.execute("SELECT as_of, currency, timezone FROM snapshot").fetchone()
        self.as_of: datetime | None = None
        self.currency, self.zone = Settings().currency, Settings().timezone
        if found is not None:
            self.as_of, self.currency, self.zone = found
        self.scale = int(10 ** (exponent(self.currency) or 0))

    def local(self, moment: datetime | None) -> datetime | None:
        """Return a moment in the snapshot's time zone."""
        return None if moment is None else moment.astimezone(ZoneInfo(self.zone))

    def rows(self, answer: Answer) -> list[tuple[Any, ...]]:
        """Return the rows of an answer, in its columns."""
        return self._connection.execute(query(self._connection, answer)).fetchall()


def _lacking(needed: str) -> Words:
    table, _, column = needed.partition(".")
    if column:
        return (
            f"needs the column {column} of {table}, which only a snapshot has",
            f"需要 {table} 表的 {column} 列，仅快照中有",
        )
    return f"needs the table {table}, which only a snapshot has", f"需要 {table} 表，仅快照中有"


@contextmanager
def opened(path: Path, answers: tuple[Answer, ...], before: Path | None = None) -> Iterator[Opened]:
    """Yield the answers over a folder with a `kith.duckdb`, or over such a file, compared with an earlier one.

    That is `before`, or the newest of the snapshots beside `path` that are earlier. The files are only read. Raises
    ConfigError if one is none, or if `before` is not earlier.
    """
    with tempfile.TemporaryDirectory(prefix="kith-report-") as scratch:
        config: dict[str, Any] = {"memory_limit": MEMORY, "threads": 2, "temp_directory": scratch}
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET preserve_insertion_order = false")  # costs memory, and every answer is sorted
            as_of = _attach(connection, path, "this", "")
            earlier: datetime | None = None
            if before is not None or any(answer.compared for answer in answers):
                earlier = _attach_earlier(connection, path, as_of, before)
            yield Opened(connection, answers, earlier)


def _attach_earlier(
    connection: duckdb.DuckDBPyConnection, path: Path, as_of: datetime | None, before: Path | None
) -> datetime | None:
    """Show the people of the earlier snapshot as `earlier_people`; return as of when it is, None if there is none."""
    chosen = before or earlier_sibling(path, as_of)
    if chosen is None:
        return None
    earlier = _attach(connection, chosen, "former", "earlier_")
    if earlier is None or as_of is None or earlier >= as_of:
        raise ConfigError(f"--before {chosen}: it is not earlier than {path}: {_said(earlier)} and {_said(as_of)}")
    return earlier


def _said(moment: datetime | None) -> str:
    return "without people" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, alias: str, prefix: str) -> datetime | None:
    """Show the tables of a file under their names with a prefix; return as of when they are, None without people."""
    file = path / DATABASE if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"{path}: there is no {DATABASE}; name a folder that kith snapshot, replay or export wrote")
    try:
        connection.execute(f"ATTACH {literal(str(file))} AS {alias} (READ_ONLY)")
    except duckdb.Error as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND NOT internal", [alias]
    ).fetchall()
    shown = {_OTHER_NAMES.get(name, name): name for (name,) in rows}
    if "people" not in shown:
        raise ConfigError(f"{file}: has no table of people; name a folder that kith snapshot, replay or export wrote")
    for name, table in shown.items():
        connection.execute(f'CREATE VIEW {prefix}{name} AS FROM {alias}."{table}"')
    if SNAPSHOT.name not in shown:
        made = pa.Table.from_pylist(_about(connection, prefix, file.parent), schema=SNAPSHOT.schema)
        connection.register(prefix + SNAPSHOT.name, made)
    found: tuple[datetime | None] = connection.execute(f"SELECT max(as_of) FROM {prefix}snapshot").fetchall()[0]  # noqa: S608
    return found[0]


def _about(connection: duckdb.DuckDBPyConnection, prefix: str, folder: Path) -> list[dict[str, Any]]:
    """Return the row about itself that a snapshot has, of a folder that is none: from the summary beside the file.

    Without a summary it is as of its last event, under the settings out of the box.
    """
    summary: dict[str, Any] = {}
    if (folder / FINISHED).is_file():
        summary = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
    [(last,)] = connection.execute(f"SELECT max(last_seen) FROM {prefix}people").fetchall()  # noqa: S608
    until = summary.get("until")
    if last is None:
        return []
    settings = {**Settings().model_dump(include={"currency", "timezone"}), **summary.get("settings", {})}
    return [
        {
            **dict.fromkeys(SNAPSHOT.schema.names),
            "as_of": last if until is None else datetime.fromisoformat(until),
            "currency": settings["currency"],
            "timezone": settings["timezone"],
        }
    ]
