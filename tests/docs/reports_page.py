"""The answers as they stand in docs/reports.md; `python -m tests.docs.reports_page` writes them into it."""

from pathlib import Path

from lake.answers import ANSWERS

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"
MARK = "Names, views and columns, as `kith report` and the comments of the views tell them.\n\n"


def answers() -> str:
    parts = []
    for answer in ANSWERS:
        where = "compares two snapshots" if answer.compared else f"view `{answer.view}`"
        rows = [f"| `{column}` | {en} | {zh} |" for column, (en, zh) in answer.columns.items()]
        parts.append(
            f"### `{answer.name}`\n\n{answer.title[0]} · {answer.title[1]} ({where})\n\n{answer.note[0]}\n\n"
            f"{answer.note[1]}\n\n| column | label | 名称 |\n|---|---|---|\n" + "\n".join(rows)
        )
    return "\n\n".join(parts) + "\n"


def page() -> str:
    """The page as it should be."""
    return PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + answers()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
