"""The import rules of docs/architecture.md, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = {"identity", "profiles", "triggers"}
ALLOWED = {
    "schemas": set(),
    "identity": {"schemas"},
    "profiles": {"schemas"},
    "triggers": {"schemas"},
    "ingest": {"schemas", *CORE},
    "lake": {"schemas", *CORE},
    "stream": {"schemas", "ingest", "lake", *CORE},
    "deploy": {"schemas"},
    "cli": {"schemas", "deploy", "ingest", "lake", "stream", *CORE},
}
ONLY_IN = {"faust": {"stream"}, "confluent_kafka": {"ingest", "stream"}}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and first name of every import, also those inside functions and of relative ones."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            own = path.relative_to(ROOT).parts[0]
            yield node.lineno, own if node.level else (node.module or "").partition(".")[0]


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_the_rules_allow(package: str) -> None:
    forbidden = set(ALLOWED) | {"bench", "tests", "console"}
    forbidden -= ALLOWED[package] | {package}
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        for line, name in imported(path)
        if name in forbidden
    ]
    assert not found


def test_every_top_level_package_has_rules() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert packages <= set(ALLOWED)


@pytest.mark.parametrize(("library", "homes"), ONLY_IN.items())
def test_a_library_of_the_edge_stays_at_the_edge(library: str, homes: set[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in set(ALLOWED) - homes
        for path in modules(package)
        for line, name in imported(path)
        if name == library
    ]
    assert not found


@pytest.mark.parametrize("package", sorted(CORE))
def test_the_core_reads_no_clock_and_does_no_io(package: str) -> None:
    """Time and facts are arguments: what could give them otherwise is neither imported nor called."""
    imports = {"time", "os", "random", "secrets", "socket", "subprocess", "threading", "asyncio"}
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        for line, name in imported(path)
        if name in imports
    ]
    found += [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {name}"
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and (name := called(node)) in {"now", "utcnow", "today", "open", "print", "uuid4"}
    ]
    assert not found


def called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""
