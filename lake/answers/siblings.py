"""The snapshots that stand side by side in one folder."""

from datetime import datetime
from pathlib import Path

import duckdb

from lake.database import DATABASE


def earlier_sibling(path: Path, as_of: datetime | None) -> Path | None:
    """Return the newest snapshot beside `path` that is earlier than `as_of`, None if there is none.

    `path` is a snapshot's folder, a link to one, or the database in it.
    """
    if as_of is None:
        return None
    own = path.resolve()
    own = own if own.is_dir() else own.parent
    found = []
    for folder in sorted(own.parent.iterdir()):
        if folder.is_symlink() or folder.name.startswith(".") or folder == own:
            continue
        moment = _moment(folder / DATABASE)
        if moment is not None and moment < as_of:
            found.append((moment, folder))
    return max(found)[1] if found else None


def _moment(file: Path) -> datetime | None:
    """Return as of when a snapshot is, None for what is no snapshot."""
    if not file.is_file():
        return None
    try:
        with duckdb.connect(str(file), read_only=True) as connection:
            found: tuple[datetime | None] = connection.execute("SELECT max(as_of) FROM snapshot").fetchall()[0]
            return found[0]
    except duckdb.Error:
        return None  # another tool's file, or one that the schedule takes away at this moment
