"""How a text table is written: delimiter, header, encoding."""

import codecs
from dataclasses import dataclass
from typing import Any

from ingest.mapping_values import Problems
from schemas.yaml_places import Path

_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "whitespace": "whitespace"}


@dataclass(frozen=True)
class CsvOptions:
    """The writing of a text table.

    `delimiter` is one character or `whitespace` (runs of blanks), `header` the columns of a file that does not name
    them itself, `encoding` None to go by the byte-order mark and else UTF-8, `quote` one character or None, `skip` the
    lines before the table, `trim` whether blanks around values are dropped, `empty` what is read as nothing.
    """

    delimiter: str = ","
    header: tuple[str, ...] | None = None
    encoding: str | None = None
    quote: str | None = '"'
    skip: int = 0
    trim: bool = False
    empty: frozenset[str] = frozenset()


def read_csv_options(spec: Any, path: Path, problems: Problems) -> CsvOptions:
    """Read the `csv:` object of a mapping; what is wrong goes to `problems`."""
    if spec is None:
        return CsvOptions()
    if not isinstance(spec, dict):
        problems.add(path, "must be an object such as {delimiter: tab}")
        return CsvOptions()
    options: dict[str, Any] = {}
    for name, value in spec.items():
        if name == "delimiter":
            options[name] = _DELIMITERS.get(value, value) if isinstance(value, str) else ""
            good, what = options[name] == "whitespace" or _one(options[name]), "must be one character or whitespace"
        elif name == "quote":
            options[name] = None if value in (None, "none", False) else value
            good, what = options[name] is None or _one(value), "must be one character or none"
        elif name in ("header", "empty"):
            good = isinstance(value, list) and all(isinstance(one, str) for one in value)
            what = "must be a list of texts; NULL and numbers go into quotes"
            if good:
                options[name] = (tuple if name == "header" else frozenset)(value)
        elif name == "encoding":
            options[name], good, what = value, _is_encoding(value), "must be an encoding such as gbk"
        elif name == "skip":
            options[name], what = value, "must be a number of lines from 0"
            good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        elif name == "trim":
            options[name], good, what = value, isinstance(value, bool), "must be true or false"
        else:
            good, what = False, "is unknown; there are delimiter, header, encoding, quote, skip, trim, empty"
        if not good:
            problems.add((*path, name), what)
            options.pop(name, None)
    return CsvOptions(**options)


def _one(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1 and value not in "\r\n\0"


def _is_encoding(value: Any) -> bool:
    try:
        return isinstance(value, str) and codecs.lookup(value)._is_text_encoding
    except (LookupError, ValueError):
        return False
