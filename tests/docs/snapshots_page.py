"""The tables of a snapshot as they stand in docs/snapshots.md; `python -m tests.docs.snapshots_page` writes them."""

from pathlib import Path

from lake.snapshot_tables import PEOPLE, SNAPSHOT_TABLES
from tests.docs.lake_page import column_rows

PAGE = Path(__file__).parents[2] / "docs" / "snapshots.md"
MARK = "Money is in minor units, times are UTC with milliseconds.\n\n"


def tables() -> str:
    parts = []
    for table in SNAPSHOT_TABLES:
        text = f"### `{table.name}`\n\n{table.en}. {table.zh}。\n\n"
        if table is PEOPLE:
            text += "The columns are those of [`profiles` in the lake](lake.md#profiles) without `gone`, `identifiers` "
            text += "and where the row comes from; [profiles.md](profiles.md) says exactly what they mean."
        else:
            text += "| column | type | meaning | 含义 |\n|---|---|---|---|\n" + "\n".join(column_rows(table.columns))
        parts.append(text)
    return "\n\n".join(parts) + "\n"


def page() -> str:
    """The page as it should be."""
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    return head + MARK + tables()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
