"""The mapping file: how the rows of a table become events."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path as FilePath
from typing import Any

from ingest.csv_options import CsvOptions, read_csv_options
from ingest.mapping_event import compile_event
from ingest.mapping_values import Problems, Row, of
from schemas.errors import ConfigError
from schemas.expr import ExpressionError, compile_condition
from schemas.expr_values import equal
from schemas.yaml_places import Document, Path, parse

KEYS = ("id", "type", "source", "time", "identifiers", "data", "schema_version", "where", "group_by", "distinct")
SHARED = ("csv", "files")
PSEUDO = ("_line", "_file")

Test = Callable[[Row], bool]


@dataclass
class Mapping:
    """One kind of event of a table.

    `files` are patterns of file names it is for (none: all), `group_by` the columns whose rows make one event,
    `columns` the columns it reads with the place that names them.
    """

    place: str
    files: tuple[str, ...]
    csv: CsvOptions
    where: list[Test]
    group_by: tuple[str, ...]
    distinct: bool
    columns: dict[str, str]
    build: Callable[[Sequence[Row]], bytes] = field(repr=False)

    def wants(self, row: Row) -> bool:
        """Return whether the row is one of this mapping's."""
        return all(test(row) for test in self.where)

    def is_for(self, path: str) -> bool:
        """Return whether the file is one of this mapping's."""
        return not self.files or any(fnmatchcase(FilePath(path).name, pattern) for pattern in self.files)

    def check_columns(self, path: str, columns: Sequence[str]) -> None:
        """Raise ConfigError if the table lacks a column that the mapping reads, or has it twice."""
        for name, place in self.columns.items():
            times = list(columns).count(name)
            if times == 1 or name in PSEUDO:
                continue
            there = ", ".join(columns[:30]) + (" ..." if len(columns) > 30 else "")
            what = f"has the column {name!r} {times} times" if times else f"has no column {name!r}; it has {there}"
            raise ConfigError(f"{place}: {path} {what}")


def load(path: str) -> list[Mapping]:
    """Read a mapping file. Raises ConfigError with every mistake as `file:line: field: what`, one a line."""
    try:
        text = FilePath(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the mapping cannot be read: {error}") from None
    return loads(text, path)


def loads(text: str, path: str) -> list[Mapping]:
    """Read mappings from a YAML text: one, a list, several documents, or a list under `mappings:`."""
    found: list[Mapping] = []
    errors: list[tuple[int, str]] = []
    for document in _documents(text):
        problems = Problems(path, document)
        if not problems.found:
            found += [
                _mapping(spec, place, shared, path, document, errors)
                for spec, place, shared in _specs(document, problems)
            ]
        errors += problems.found
    if not found and not errors:
        errors.append((1, f"{path}:1: holds no mapping"))
    if errors:
        raise ConfigError("\n".join(text for _, text in sorted(errors)))
    return found


def _documents(text: str) -> Iterator[Document]:
    """Yield the documents of a text, each with the line numbers of the whole."""
    begun: list[str] = []
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.rstrip() == "---" or line.startswith("--- "):
            if "".join(begun).strip():
                yield parse("".join(begun))
            begun = ["\n"] * number + [line.replace("---", "   ", 1)]
        else:
            begun.append(line)
    if any(part.strip() and not part.lstrip().startswith("#") for part in begun):
        yield parse("".join(begun))


def _specs(document: Document, problems: Problems) -> Iterator[tuple[dict[str, Any], Path, dict[str, Any]]]:
    """Yield each mapping's object, its path and what it shares with its neighbours."""
    value = document.value
    shared: dict[str, Any] = {}
    place: Path = ()
    if isinstance(value, dict) and "mappings" in value:
        for name in value:
            if name not in (*SHARED, "mappings"):
                problems.add((name,), f"is unknown beside mappings; there are {', '.join(SHARED)}")
        shared = {name: value[name] for name in SHARED if name in value}
        value, place = value["mappings"], ("mappings",)
    specs = value if isinstance(value, list) else [value]
    for number, spec in enumerate(specs):
        at: Path = (*place, number) if isinstance(value, list) else place
        if isinstance(spec, dict):
            yield spec, at, shared
        elif spec is not None or isinstance(value, list):
            problems.add(at, "a mapping is an object with id, type, time, identifiers and data")


def _mapping(
    spec: dict[str, Any], at: Path, shared: dict[str, Any], path: str, document: Document, errors: list[tuple[int, str]]
) -> Mapping:
    problems = Problems(path, document)
    for name in spec:
        if name not in (*KEYS, *SHARED):
            problems.add((*at, name), f"is unknown; there are {', '.join((*KEYS, *SHARED))}")
    grouped = _names(spec.get("group_by"), (*at, "group_by"), problems)
    for column in grouped:
        problems.uses(column, (*at, "group_by"))
    distinct = spec.get("distinct", False)
    if not isinstance(distinct, bool):
        problems.add((*at, "distinct"), "must be true or false")
    elif distinct and not grouped:
        problems.add((*at, "distinct"), "is about the rows of a group; add group_by")
    for column in ("_line", "_file") if grouped else ():
        if column in grouped:
            problems.add((*at, "group_by"), f"{column} tells rows apart, it does not group them")
    csv = read_csv_options(spec.get("csv", shared.get("csv")), (*(at if "csv" in spec else ()), "csv"), problems)
    files = spec.get("files", shared.get("files"))
    where = _where(spec.get("where"), (*at, "where"), problems)
    build = compile_event(spec, at, bool(grouped), problems)
    errors += [(line, what) for line, what in problems.found if (line, what) not in errors]
    return Mapping(
        place=f"{path}:{document.line(at)}",
        files=_names(files, (*at, "files"), problems),
        csv=csv,
        where=where,
        group_by=grouped,
        distinct=distinct is True,
        columns=problems.columns,
        build=build,
    )


def _names(value: Any, path: Path, problems: Problems) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [] if value is None else [value]
    if all(isinstance(name, str) and name for name in names):
        return tuple(names)
    problems.add(path, "must be a name or a list of names")
    return ()


def _where(spec: Any, path: Path, problems: Problems) -> list[Test]:
    """Compile conditions: an expression, an object of column to value, or a list of these that must all hold."""
    if spec is None:
        return []
    if isinstance(spec, list):
        return [test for place, one in enumerate(spec) for test in _where(one, (*path, place), problems)]
    if isinstance(spec, str):
        try:
            expression = compile_condition(spec)
        except ExpressionError as error:
            problems.add(path, str(error))
            return []
        for name in sorted(expression.names):
            problems.uses(name, path)
        return [lambda row: expression.test(lambda name: of(row, name))]
    if not isinstance(spec, dict):
        problems.add(path, "must be an expression, or column: value")
        return []
    tests: list[Test] = []
    for column, wanted in spec.items():
        problems.uses(column, (*path, column))
        tests.append(_column_test(column, wanted, (*path, column), problems))
    return tests


def _column_test(column: str, wanted: Any, path: Path, problems: Problems) -> Test:
    if isinstance(wanted, dict):
        empty = wanted.get("not_empty")
        if list(wanted) != ["not_empty"] or not isinstance(empty, bool):
            problems.add(path, "must be a value, a list of values, or {not_empty: true}")
        return lambda row: (of(row, column) is not None) is empty
    options = wanted if isinstance(wanted, list) else [wanted]
    if any(isinstance(option, list | dict) or option is None for option in options):
        problems.add(path, "must be a value, a list of values, or {not_empty: true}")
    known = [Decimal(repr(option)) if isinstance(option, float) else option for option in options]
    return lambda row: any(equal(of(row, column), option) for option in known)
