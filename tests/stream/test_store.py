"""The local store is a copy of the changelog up to its offset, whole after any crash, and says so when it cannot be."""

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.part import new_part
from schemas.errors import StateError
from stream.person import Person, freeze
from stream.store import META, Store
from triggers.instances import NEVER


def person(one_id: str, wake_ms: int = NEVER, unpublished: bool = False, size: int = 1) -> bytes:
    made = Person(one_id)
    made.wake_ms = wake_ms
    made.unpublished = unpublished
    made.parts = {key: new_part(key) for key in (f"phone:{n}" for n in range(size))}
    made.members = made.parts
    return freeze(made)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


def test_a_new_store_is_empty(store: Store) -> None:
    assert (store.offset, len(store), store.to_publish, store.get(b"p1")) == (0, 0, 0, None)
    assert store.due(NEVER - 1, 9) == store.unpublished(9) == list(store.people()) == []


def test_what_was_written_is_there_after_opening_it_again(store: Store, tmp_path: Path) -> None:
    records = {b"p1": person("p1", 5), b"p2": person("p2", 3, True), META + b"clock": b"7", META + b"gone": None}
    store.write(records, 42)
    store.close()
    again = Store(tmp_path / "store")
    assert (again.offset, len(again), again.to_publish) == (42, 2, 1)
    assert dict(again.people()) == {"p1": records[b"p1"], "p2": records[b"p2"]}
    assert (again.get(META + b"clock"), again.get(META + b"gone")) == (b"7", None)
    assert (again.due(4, 9), again.due(5, 9), again.due(5, 1)) == (["p2"], ["p2", "p1"], ["p2"])
    assert again.unpublished(9) == ["p2"]
    assert again.size_bytes() > 0
    again.close()


def test_a_time_that_changed_is_due_at_its_new_time_only(store: Store) -> None:
    store.write({b"p1": person("p1", 5), b"p2": person("p2", 9)})
    assert store.due(5, 9) == ["p1"]
    store.write({b"p1": person("p1", 20)})
    assert (store.due(19, 9), store.due(20, 9)) == (["p2"], ["p2", "p1"])
    store.write({b"p1": person("p1", 2), b"p2": None})
    assert store.due(NEVER - 1, 9) == ["p1"]


def test_the_unpublished_are_served_in_turn(store: Store) -> None:
    names = [f"p{n}" for n in range(5)]
    store.write({name.encode(): person(name, unpublished=True) for name in names})
    assert store.unpublished(2) + store.unpublished(2) + store.unpublished(1) == names
    assert sorted(store.unpublished(9)) == names


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.none() | st.tuples(st.integers(0, 9) | st.just(NEVER), st.booleans())),
        max_size=40,
    ),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_restored_or_written_the_store_is_what_the_log_says(
    tmp_path_factory: pytest.TempPathFactory,
    log: list[tuple[str, tuple[int, bool] | None]],
    cuts: list[int],
) -> None:
    store = Store(tmp_path_factory.mktemp("store"), memory_mb=1)
    values = [(name.encode(), None if what is None else person(name, *what)) for name, what in log]
    bounds = sorted({0, len(log), *(cut for cut in cuts if cut <= len(log))})
    for n, (begin, end) in enumerate(pairwise(bounds)):
        if n % 2:
            store.write(dict(values[begin:end]), end)
        else:
            store.restore(values[begin:end], end)
    last = {name: what for name, what in dict(log).items() if what is not None}
    assert store.offset == len(log)
    assert dict(store.people()) == {name: person(name, *what) for name, what in last.items()}
    assert list(store.one_ids()) == sorted(last)
    assert len(store) == len(last)
    assert store.to_publish == len(store.unpublished(99)) == sum(what[1] for what in last.values())
    for until_ms in range(10):
        assert store.timers(until_ms, 99) == sorted((w[0], name) for name, w in last.items() if w[0] <= until_ms)
    store.close()
    shutil.rmtree(store.path)


def test_a_store_of_another_process_is_left_alone(store: Store) -> None:
    store.write({b"p1": person("p1")}, 1)
    with pytest.raises(StateError, match="in use: stop the other worker"):
        Store(store.path)
    assert store.person("p1") is not None


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StateError, match="is closed"):
        store.get(b"p1")
    with pytest.raises(StateError, match="is closed"):
        list(store.people())
    with pytest.raises(StateError, match="is closed"):
        store.write({b"p1": person("p1")})


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mine")
    with pytest.raises(StateError, match="cannot be used"):
        Store(tmp_path / "store")
    assert (tmp_path / "store").read_text() == "mine"


def test_wiping_empties_it(store: Store) -> None:
    store.write({b"p1": person("p1", 1, True), META + b"m": b"1"}, 8)
    store.wipe()
    test_a_new_store_is_empty(store)
    assert store.get(META + b"m") is None
    store.write({b"p1": person("p1", 1)}, 9)
    assert store.due(1, 1) == ["p1"]


def test_a_store_last_written_long_ago_begins_anew(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.write({b"p1": person("p1")}, 5)
    store.close()
    with caplog.at_level(logging.WARNING):
        again = Store(store.path, max_age_s=-1)
    assert (again.offset, len(again)) == (0, 0)
    assert "long ago" in caplog.text
    again.close()


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST-*", "*.sst"])
def test_a_store_that_is_damaged_is_wiped_when_opened(
    store: Store, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.write({b"p1": person("p1")}, 5)
    store.close()
    for path in store.path.glob(name):
        if name == "*.sst":
            path.unlink()
        else:
            path.write_bytes(b"rubbish")
    with caplog.at_level(logging.WARNING):
        again = Store(store.path)
    assert (again.offset, again.get(b"p1")) == (0, None)
    assert "is damaged" in caplog.text
    again.write({b"p1": person("p1")}, 6)
    again.close()


def test_damage_found_while_reading_stops_and_the_next_start_is_from_the_changelog(store: Store) -> None:
    store.write({f"p{n}".encode(): person(f"p{n}", size=20) for n in range(500)}, 5)
    store.close()
    for path in store.path.glob("*.sst"):
        data = bytearray(path.read_bytes())
        data[100:2000] = os.urandom(1900)
        path.write_bytes(data)
    again = Store(store.path)
    with pytest.raises(StateError, match=r"damaged.*start again, it is then restored"):
        list(again.people())
    again.close()
    fresh = Store(store.path)
    assert (fresh.offset, len(fresh)) == (0, 0)
    fresh.close()


WRITER = """
import os, resource, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.stream.test_store import person
from stream.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = {limit}
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
store = Store(Path({path!r}), memory_mb=1)
for batch in range(1, {batches} + 1):
    store.write({{f"p{{n}}".encode(): person(f"p{{n}}", batch, size=20) for n in range(batch % 7, 400, 7)}}, batch)
    print(batch, flush=True)
    if batch == {flush_at}:
        store.flush()
os._exit(9)
"""


def _run(path: Path, batches: int, limit: int = 0, flush_at: int = 0) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    code = WRITER.format(root=root, path=str(path), batches=batches, limit=limit, flush_at=flush_at)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def _check_prefix(store: Store) -> None:
    """The store is as it was right after the batch that its offset names."""
    expected: dict[str, int] = {}
    for batch in range(1, store.offset + 1):
        expected.update((f"p{n}", batch) for n in range(batch % 7, 400, 7))
    assert dict(store.people()) == {name: person(name, at, size=20) for name, at in expected.items()}
    assert len(store) == len(expected)
    assert store.timers(NEVER - 1, 999) == sorted((at, name) for name, at in expected.items())


@pytest.mark.parametrize("flush_at", [0, 20])
def test_after_a_crash_the_store_is_older_but_whole(tmp_path: Path, flush_at: int) -> None:
    done = _run(tmp_path / "store", batches=60, flush_at=flush_at)
    assert done.returncode == 9, done.stderr
    store = Store(tmp_path / "store")
    assert flush_at <= store.offset < 60
    _check_prefix(store)
    store.close()


def test_when_the_disk_is_full_it_stops_with_what_to_do_and_nothing_by_halves(tmp_path: Path) -> None:
    done = _run(tmp_path / "store", batches=5000, limit=60_000)
    assert done.returncode == 1
    assert "StateError: the disk of the store" in done.stderr
    assert "make room and start again" in done.stderr
    store = Store(tmp_path / "store")
    assert store.offset <= int(done.stdout.split()[-1])
    _check_prefix(store)
    store.write({b"p1": person("p1")}, store.offset + 1)
    store.close()


@pytest.mark.parametrize(
    ("free", "message"), [(0, "is full.*make room and start again"), (1 << 40, "a write waited for 2 s")]
)
def test_a_store_that_cannot_get_on_says_so_instead_of_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, message: str
) -> None:
    """RocksDB stops all writes here at so many files, as it does when a full disk lets it compact nothing."""
    store = Store(tmp_path / "store", memory_mb=1)
    store._db._db.set_options({"level0_file_num_compaction_trigger": "1000", "level0_stop_writes_trigger": "5"})
    for batch in range(5):
        store.write({b"p1": person("p1", batch)}, batch)
        store.flush()
    monkeypatch.setattr("stream.database.STALL_S", 2)
    monkeypatch.setattr("stream.database.shutil.disk_usage", lambda path: SimpleNamespace(free=free))
    with pytest.raises(StateError, match=message):
        store.write({b"p1": person("p1", 99)}, 99)
    with pytest.raises(StateError, match=message):
        store.write({}, 100)
    assert (store.offset, store.person("p1")) == (4, person("p1", 4))
    store.close()
    store.close()
    with pytest.raises(StateError, match="is closed"):
        store.person("p1")


def test_other_threads_may_read_while_one_writes(store: Store) -> None:
    stop = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not stop.is_set():
            value = store.person("p1")
            if value is not None and value not in values:
                wrong.append(value)

    values = [person("p1", n) for n in range(50)]
    thread = threading.Thread(target=read)
    thread.start()
    for n in range(2000):
        store.write({b"p1": values[n % 50]}, n)
    stop.set()
    thread.join()
    assert not wrong
