"""Reading back what a replay wrote: who holds an identifier, a profile, the evidence around a person."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from identity.evidence import Row
from lake.writer import FINISHED
from schemas.errors import ConfigError
from schemas.settings import Settings


class Folder:
    """A folder that `kith replay` wrote. Raises ConfigError if it is none, or not finished."""

    def __init__(self, path: Path) -> None:
        self.path = path
        finished = path / FINISHED
        if not finished.is_file():
            raise ConfigError(
                f"{path}: is no result of kith replay (it has no {FINISHED}); name the folder of its --out"
            )
        self.summary: dict[str, Any] = json.loads(finished.read_text(encoding="utf-8"))
        self._connection = duckdb.connect()
        self._connection.execute("SET TimeZone = 'UTC'")

    @property
    def settings(self) -> Settings:
        """The settings the folder was made with."""
        return Settings.model_validate(self.summary["settings"])

    def one_id(self, ident: str) -> str | None:
        """Return the person who holds the identifier `kind:value`, None if no event carried it."""
        kind, _, value = ident.partition(":")
        rows = self.rows("SELECT one_id FROM identities WHERE kind = ? AND value = ?", [kind, value])
        return None if not rows else rows[0]["one_id"]

    def identifiers(self, one_id: str) -> list[dict[str, Any]]:
        """Return the person's rows of the identities table."""
        return self.rows("SELECT * FROM identities WHERE one_id = ?", [one_id])

    def profile(self, one_id: str) -> dict[str, Any]:
        """Return the person's row of the profiles table."""
        return self.rows("SELECT * FROM profiles WHERE one_id = ?", [one_id])[0]

    def triggers(self, one_id: str) -> list[dict[str, Any]]:
        """Return the person's triggers in order of time."""
        return self.rows(
            "SELECT * FROM triggers WHERE one_id = ? ORDER BY coalesce(fired_at, due_at), rule, trigger_id", [one_id]
        )

    def evidence(self, idents: Sequence[str]) -> list[Row]:
        """Return every piece of evidence that names one of the identifiers."""
        found = self.rows(
            "SELECT kind, a, b, epoch_ms(time) AS ms, event_id FROM evidence"
            " WHERE a IN (SELECT unnest(?)) OR b IN (SELECT unnest(?))",
            [list(idents), list(idents)],
        )
        return [Row(row["kind"], row["a"], row["b"], row["ms"], row["event_id"]) for row in found]

    def members(self, idents: Sequence[str]) -> list[str]:
        """Return all identifiers of the people who hold some of these."""
        found = self.rows(
            "SELECT kind || ':' || value AS ident FROM identities WHERE one_id IN"
            " (SELECT one_id FROM identities WHERE kind || ':' || value IN (SELECT unnest(?)))",
            [list(idents)],
        )
        return [row["ident"] for row in found]

    def rows(self, query: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Run a query over the tables, by their names, and return its rows."""
        for name in ("identities", "profiles", "triggers", "evidence"):
            file = str(self.path / f"{name}.parquet").replace("'", "''")
            self._connection.execute(f"CREATE VIEW IF NOT EXISTS {name} AS SELECT * FROM read_parquet('{file}')")  # noqa: S608
        found = self._connection.sql(query, params=list(values)).to_arrow_table()
        rows: list[dict[str, Any]] = found.to_pylist(maps_as_pydicts="strict")
        return rows
