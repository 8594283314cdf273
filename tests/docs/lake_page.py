"""The tables of the lake as they stand in docs/lake.md; `python -m tests.docs.lake_page` writes them into it."""

from collections.abc import Iterable
from pathlib import Path

from lake.lake_tables import LAKE_TABLES, PLACE
from lake.tables import Column

PAGE = Path(__file__).parents[2] / "docs" / "lake.md"
MARK = "The last four columns are in every table and name the message a row comes from.\n\n"


def tables() -> str:
    parts = []
    for table in LAKE_TABLES:
        if table.internal:
            continue
        rows = column_rows(c for c in table.columns if c not in PLACE)
        parts.append(
            f"### `{table.name}`\n\n{table.en}. {table.zh}。\n\n| column | type | meaning | 含义 |\n|---|---|---|---|\n"
            + "\n".join(rows)
        )
    rows = column_rows(PLACE)
    parts.append("### In every table\n\n| column | type | meaning | 含义 |\n|---|---|---|---|\n" + "\n".join(rows))
    names = ", ".join(f"`{table.name}`" for table in LAKE_TABLES if table.internal)
    parts.append(f"### Internal\n\n{names}: for snapshots and the audit. They can change with any release.")
    return "\n\n".join(parts) + "\n"


def page() -> str:
    """The page as it should be."""
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    return head + MARK + tables()


def column_rows(columns: Iterable[Column]) -> list[str]:
    """A row of Markdown for each column: name, type, meaning in both languages."""
    return [f"| `{c.name}` | {_type(str(c.type))} | {c.en} | {c.zh} |" for c in columns]


def _type(name: str) -> str:
    return name.replace("timestamp[ms, tz=UTC]", "time").replace("list<item: ", "list<").replace("element: ", "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
