"""YAML read into plain values that remember where each stood.

Only the scalars that a settings file needs are recognised: null, true, false, `off` (false), whole and decimal
numbers. Everything else is a text, so that a time of day (22:00), a date or a country code (NO) stays what was written.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

MAX_DEPTH = 50
NULLS = frozenset(("", "~", "null", "Null", "NULL"))
BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
OFF = frozenset(("off", "Off", "OFF"))
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")  # 007 is a text: its zeros mean something
DECIMAL = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


@dataclass
class Document:
    """A parsed YAML text: its value, the line (from 1) of each key and item by path, and what was wrong with it."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[tuple[int, Path, str]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of the innermost part of `path` that stands in the text; 1 if none does."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1


def parse(text: str) -> Document:
    """Read one YAML document. Never raises: syntax errors and repeated keys are among the problems."""
    document = Document()
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        document.problems.append((mark.line + 1 if mark else 1, (), f"not valid YAML: {what}"))
        return document
    except yaml.YAMLError as error:
        document.problems.append((1, (), f"not valid YAML: {str(error).splitlines()[0]}"))
        return document
    if node is not None:
        document.value = _value(node, (), document)
    return document


def _value(node: yaml.Node, path: Path, document: Document) -> Any:
    if len(path) > MAX_DEPTH:  # also what a node that holds itself comes to
        document.problems.append((node.start_mark.line + 1, path[:1], f"is nested deeper than {MAX_DEPTH} levels"))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        values = []
        for index, item in enumerate(node.value):
            document.lines[(*path, index)] = item.start_mark.line + 1
            values.append(_value(item, (*path, index), document))
        return values
    return scalar(node.value, plain=isinstance(node, yaml.ScalarNode) and node.style is None)


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            document.problems.append((line, path, "a key must be a plain word"))
            continue
        inner = (*path, key.value)
        if key.value in values:
            document.problems.append((line, inner, f"stands twice; first in line {document.lines[inner]}"))
            continue
        document.lines[inner] = line
        values[key.value] = _value(item, inner, document)
    return values


def scalar(text: str, *, plain: bool = True) -> Any:
    """Return the value of one scalar: of a quoted one its text, of a plain one what it spells."""
    if not plain:
        return text
    if text in NULLS:
        return None
    if text in OFF:
        return False
    if text in BOOLEANS:
        return BOOLEANS[text]
    if INTEGER.fullmatch(text) and len(text) < 100:
        return int(text)
    if DECIMAL.fullmatch(text):
        return float(text)
    return text
