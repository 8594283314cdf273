"""Whatever is done to them, live people are what a plain dictionary with snapshots would say."""

import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.events import lines
from ingest.admit import Admission
from profiles.part import Part, new_part
from schemas.errors import StateError
from schemas.event import Event, Link, Source
from schemas.firing import Firing
from schemas.settings import Settings
from stream.live_people import LivePeople
from stream.person import ABSENT, MoveItem, Person, clock_of, entry_of, freeze, thaw
from stream.store import META, Store
from tests.profiles.support import event_lists, fold_all
from tests.stream.helpers import pipeline
from triggers.instances import NEVER

TIMES = st.integers(0, 20) | st.just(NEVER)
NAMES = st.sampled_from([f"p{n}" for n in range(12)])
LOOKS = st.fixed_dictionaries(
    {
        "wake_ms": TIMES,
        "refresh_ms": TIMES,
        "unpublished": st.booleans(),
        "clock_ms": st.integers(0, 9),
        "published_ms": st.integers(0, 9),
        "tags": st.none() | st.just(()) | st.just(("vip", "新客")),
        "wait": st.none() | st.just((3, {"email:a@x.cn"})),
    }
)
OPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), NAMES, LOOKS),
        st.tuples(st.just("put"), NAMES, LOOKS),
        st.tuples(st.sampled_from(["get", "remove"]), NAMES, st.none()),
        st.tuples(st.just("meta"), st.sampled_from(["clock", "inbox"]), st.none() | st.just(b"x") | st.just(b"y")),
        st.tuples(st.sampled_from(["collect", "written", "collect", "written", "forget", "reopen"]), NAMES, st.none()),
    ),
    max_size=60,
)


def look(person: Person, looks: dict[str, Any]) -> Person:
    for name, value in looks.items():
        setattr(person, name, value)
    person.parts["phone:+861"] = new_part("phone:+861")
    return person


class Model:
    """Everything as a plain dictionary: the newest state, the collected ones that are not written, the written one."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = {}
        self.collected: list[dict[str, Any]] = []
        self.stored: dict[str, Any] = {}

    def forget(self) -> None:
        self.now = dict(self.stored)
        self.collected = []

    def due(self, until_ms: int) -> list[str]:
        due = [
            (min(w["wake_ms"], w["refresh_ms"]), name)
            for name, w in self.now.items()
            if isinstance(w, dict) and w["wait"] is None and min(w["wake_ms"], w["refresh_ms"]) <= until_ms
        ]
        return [name for _, name in sorted(due)]

    def unpublished(self) -> list[str]:
        return sorted(
            name for name, w in self.now.items() if isinstance(w, dict) and w["unpublished"] and w["wait"] is None
        )

    def people(self) -> dict[str, dict[str, Any]]:
        return {name: w for name, w in self.now.items() if isinstance(w, dict)}


@settings(max_examples=150, deadline=None)
@given(OPS, st.integers(1, 8))
def test_live_people_are_what_a_dictionary_with_snapshots_says(
    tmp_path_factory: pytest.TempPathFactory, ops: list[tuple[str, str, Any]], max_decoded: int
) -> None:
    path = tmp_path_factory.mktemp("people") / "store"
    store = Store(path, memory_mb=1)
    people, model, batches = LivePeople(store, max_decoded), Model(), []
    offset = 0
    for kind, name, what in ops:
        if kind == "change":
            look(people.create(name), what)
            model.now[name] = what
        elif kind == "put":
            people.put(look(people.peek(name) or Person(name), what))
            model.now[name] = what
        elif kind == "get":
            assert (people.get(name) is None) == (name not in model.now)
        elif kind == "remove":
            people.remove(name)
            model.now.pop(name, None)
        elif kind == "meta":
            people.meta_put(name, what)
            model.now[name] = what
        elif kind == "collect" and len(batches) < 2:
            batches.append(people.collect())
            model.collected.append(dict(model.now))
        elif kind == "written" and batches:
            offset += 1
            people.written(batches.pop(0), offset)
            model.stored = model.collected.pop(0)
        elif kind in ("forget", "reopen"):
            people.forget()
            if kind == "reopen":
                store.close()
                store = Store(path, memory_mb=1)
                people = LivePeople(store, max_decoded)
            model.forget()
            batches = []
        _check(people, model, batches)
        assert len(people._hot) <= 2 * max_decoded + 2
    people.forget()
    model.forget()
    _check(people, model, [])
    assert len(store) == len(model.people())
    store.close()
    shutil.rmtree(path)


def _check(people: LivePeople, model: Model, batches: list[Any]) -> None:
    expected = model.people()
    assert people.one_ids() == sorted(expected)
    assert len(people) == len(expected)
    assert {each.one_id: freeze(each) for each in people.each()} == {
        name: freeze(look(Person(name), looks)) for name, looks in expected.items()
    }
    assert people.meta_get("clock") == model.now.get("clock")
    for until_ms in (0, 10, 20):
        assert people.due(until_ms, 99) == model.due(until_ms)
    assert people.due(20, 3) == model.due(20)[:3]
    assert sorted(people.unpublished(99)) == model.unpublished()
    assert len(people.unpublished(2)) == min(2, len(model.unpublished()))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


def test_the_changelog_alone_gives_the_same_store(store: Store, tmp_path: Path) -> None:
    people = LivePeople(store, 3)
    log: list[tuple[bytes, bytes | None]] = []
    for n in range(50):
        look(people.create(f"p{n % 9}"), {"wake_ms": n, "unpublished": n % 3 == 0})
        if n % 7 == 0:
            people.remove(f"p{(n + 4) % 9}")
            people.meta_put("clock", b"%d" % n)
            records = people.collect()
            log.extend(records.items())
            people.written(records, len(log))
    other = Store(tmp_path / "other")
    LivePeople.restore_into(other, log[:20], 20)
    again = LivePeople(other)
    again.restore(iter(log[20:]), len(log))
    people.forget()
    assert dict(other.people()) == dict(store.people())
    assert again.meta_get("clock") == people.meta_get("clock") == b"49"
    assert other.timers(99, 99) == store.timers(99, 99)
    assert (other.offset, len(other), other.to_publish) == (store.offset, len(store), store.to_publish)
    other.close()


def test_reading_changes_nothing(store: Store) -> None:
    people = LivePeople(store)
    people.create("p1")
    people.written(people.collect())
    assert people.peek("p1") is not None
    assert [each.one_id for each in people.each()] == ["p1"]
    assert people.collect() == {}
    people.written({})


def test_batches_are_written_in_their_order_and_once(store: Store) -> None:
    people = LivePeople(store)
    people.create("p1")
    first = people.collect()
    people.create("p2")
    second = people.collect()
    with pytest.raises(StateError, match="in the order"):
        people.written(second)
    people.written(first)
    people.written(second)
    with pytest.raises(StateError, match="in the order"):
        people.written(second)
    assert people.one_ids() == ["p1", "p2"]


@settings(max_examples=100, deadline=None)
@given(event_lists(days=20, size=20, keys=3), LOOKS, st.data())
def test_a_person_loses_nothing_at_rest(events: list[Event], looks: dict[str, Any], data: st.DataObject) -> None:
    person = look(Person("p1"), looks)
    for part in fold_all(events):
        person.parts[part.key] = part
    if data.draw(st.booleans()):
        person.moving_members().add("email:a@x.cn")
    person.checks = data.draw(st.lists(TIMES, max_size=12))
    again = thaw("p1", freeze(person))
    for name in ("one_id", "checks", "members", "parts", "queue", *looks):
        assert getattr(again, name) == getattr(person, name), name
    assert list(again.parts) == list(person.parts)
    assert again.at_rest == person.at_rest
    assert (again.members is again.parts) == (person.members is person.parts)
    assert entry_of(freeze(person)) == person.entry == again.entry != ABSENT
    assert clock_of(freeze(person)) == person.clock_ms


def test_what_waits_in_the_queue_survives_in_its_order() -> None:
    source = Source("t.events.customer", 2, 77, 1_700_000_000_123, 5)
    event = Event(
        "e1", "custom.note", 1_700_000_000_000, ("phone:+861", "email:a@x.cn"), {"甲": [1, 2.5, None]}, source
    )
    link = Event("e2", "customer.linked", 5, (), Link("phone:+861", "email:a@x.cn", "same"))
    move = MoveItem(4, 9, [("phone:+861", "p2")], [("email:a@x.cn", None), ("phone:+862", "p3")])
    person = Person("p1")
    person.moving_members().add("phone:+862")
    person.queue = deque()
    person.queue.extend([event, move, link])
    person.wait = (4, {"phone:+862"})
    again = thaw("p1", freeze(person))
    assert again.queue == person.queue
    assert again.wait == person.wait
    assert again.members == {"phone:+862"}
    assert not again.at_rest


@pytest.mark.parametrize("stored", [b"", b"\0" * 40, freeze(Person("p1"))[:26], b"\x10" + b"\xff" * 60])
def test_what_is_no_person_is_refused(stored: bytes) -> None:
    with pytest.raises(StateError, match="wipe the store"):
        thaw("p1", stored)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_the_stage_does_the_same_on_live_people_as_on_people_in_memory(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    conf = Settings()
    admit = Admission(conf).admit
    events = sorted((admit(line) for line in lines(12)), key=lambda event: event.time_ms)
    fired: list[list[Firing]] = [[], []]
    plain = pipeline(conf, fired[0].append, partitions=3)
    live = pipeline(conf, fired[1].append, partitions=3)
    folder = tmp_path_factory.mktemp("stores")
    stores = [Store(folder / str(number), memory_mb=1) for number in range(3)]
    waiting: list[list[Any]] = [[], [], []]
    most = data.draw(st.integers(1, 6))

    def use(number: int) -> None:
        live.stages[number].people = LivePeople(stores[number], most)  # type: ignore[assignment]

    for number in range(3):
        use(number)
    for event in events:
        plain.send(event)
        live.send(event)
        number, what = data.draw(st.tuples(st.integers(0, 2), st.sampled_from(["", "collect", "written", "reopen"])))
        people: Any = live.stages[number].people
        if what == "collect" and len(waiting[number]) < 2:
            waiting[number].append(people.collect())
        elif what == "written" and waiting[number]:
            people.written(waiting[number].pop(0), 1)
        elif what == "reopen":
            for records in [*waiting[number], people.collect()]:
                people.written(records, 1)
            waiting[number] = []
            stores[number].close()
            stores[number] = Store(folder / str(number), memory_mb=1)
            use(number)
    end_ms = events[-1].time_ms + 40 * 86_400_000
    plain.advance(end_ms)
    for stage in live.stages:
        due: Any = stage.people
        stage.fire(due.due(end_ms, 1 << 40), end_ms)
    assert sorted(map(repr, fired[1])) == sorted(map(repr, fired[0])) != []
    for one, other in zip(plain.stages, live.stages, strict=True):
        assert [freeze(person) for person in other.people.each()] == [freeze(person) for person in one.people.each()]
    for store in stores:
        store.close()
    shutil.rmtree(folder)


def test_meta_records_never_meet_people(store: Store) -> None:
    people = LivePeople(store)
    people.create("clock")
    people.meta_put("clock", b"1")
    records = people.collect()
    assert set(records) == {b"clock", META + b"clock"}
    people.written(records)
    assert people.one_ids() == ["clock"]
    assert isinstance(people.peek("clock"), Person)


def test_a_part_changed_after_collecting_is_in_the_next_batch(store: Store) -> None:
    people = LivePeople(store)
    people.create("p1").parts["phone:+861"] = Part("phone:+861")
    first = people.collect()
    person = people.get("p1")
    assert person is not None
    person.parts["phone:+861"].events = 7
    people.written(first)
    stored = store.person("p1")
    assert stored is not None
    assert thaw("p1", stored).parts["phone:+861"].events == 0
    people.written(people.collect())
    stored = store.person("p1")
    assert stored is not None
    assert thaw("p1", stored).parts["phone:+861"].events == 7
