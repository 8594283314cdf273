"""The audit finds each kind of planted fault, and nothing where nothing is wrong."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lake import catalogue
from lake.store import LakeStore
from profiles import part as parts
from profiles.fold import Folder
from profiles.part import Part
from schemas.event import Event
from schemas.settings import Settings
from schemas.times import parse_rfc3339
from stream.audit import Verdict, verify
from stream.audit_live import mark_id
from stream.person import Person, freeze, thaw
from stream.store import META
from stream.wire import decode_data
from tests.lake.audit_lake import SmallLake, change, rows
from tests.live.test_equal import lines_of, shuffled, time_of

DAY_MS = 86_400_000
SETTINGS = Settings.model_validate({"kafka": {"partitions": 3}})
Fault = Callable[[LakeStore], str]


def small(lines: list[bytes], folder: Path, every: int = 60) -> LakeStore:
    """A lake of these lines, whose profiles are published every so many of them."""
    lake = SmallLake(SETTINGS)
    for start in range(0, len(lines), every):
        lake.publish(lines[start : start + every])
        lake.profiles()
    lake.advance(max(filter(None, map(time_of, lines))) + 40 * DAY_MS)
    return lake.write(folder)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = sorted((line for line in lines_of(30, 120, seed=4)), key=lambda line: time_of(line) or 0)
    folder = tmp_path_factory.mktemp("lake") / "clean"
    small(lines, folder)
    return folder


@pytest.fixture
def lake(clean: Path, tmp_path: Path) -> LakeStore:
    shutil.copytree(clean, tmp_path / "lake")
    return LakeStore(str(tmp_path / "lake"))


def found(verdict: Verdict) -> dict[tuple[str, str | None], set[str]]:
    """Fields by kind and person."""
    every: dict[tuple[str, str | None], set[str]] = {}
    for each in verdict.found.kept:
        every.setdefault((each.kind, each.one_id), set()).add(each.field)
    return every


def test_nothing_is_found_where_nothing_is_wrong(clean: Path) -> None:
    verdict = verify(LakeStore(str(clean)), SETTINGS)
    assert [each.text for each in verdict.found.kept] == []
    compared = verdict.found.compared
    assert compared["people"] > 25
    assert compared["events"] > 500
    assert compared["fields"] == compared["people"] * 57
    assert compared["triggers"] == compared["marks"] > 100
    assert compared["published profiles"] == compared["people"]
    assert not verdict.found.explained["triggers across a late event"]


def test_late_events_are_named_and_are_no_difference(tmp_path: Path) -> None:
    store = small(shuffled(lines_of(30, 120, seed=3), 7 * DAY_MS - 1, seed=1), tmp_path / "lake")
    verdict = verify(store, SETTINGS)
    assert [each.text for each in verdict.found.kept] == []
    assert verdict.found.explained["triggers across a late event"] > 10


def line(event_id: str, kind: str, time: str, **data: object) -> bytes:
    """An event of the member M1."""
    event = {"id": event_id, "type": kind, "time": time, "source": "test", "data": data}
    return json.dumps(event | {"identifiers": {"member_id": "M1"}}).encode()


def test_a_year_that_was_decided_for_another_birthday_across_a_late_event_is_no_difference(tmp_path: Path) -> None:
    lake = SmallLake(SETTINGS)
    lake.publish(
        [
            line("e1", "customer.consented", "2026-03-01T10:00:00+08:00", purpose="marketing", granted=True),
            line("e2", "customer.identified", "2026-03-01T10:00:00+08:00", traits={"birthday": "1990-03-10"}),
        ]
    )
    lake.publish([line("e3", "app.opened", "2026-03-12T10:00:00+08:00")])  # the tenth has been decided
    lake.publish([line("e4", "customer.identified", "2026-03-09T10:00:00+08:00", traits={"birthday": "1990-06-01"})])
    lake.profiles()
    lake.advance(parse_rfc3339("2026-07-01T00:00:00+08:00"))
    store = lake.write(tmp_path / "lake")
    days = [str(row["due_at"])[:10] for row in rows(store, "triggers") if row["rule"] == "birthday"]
    assert days == ["2026-03-10"]
    verdict = verify(store, SETTINGS)
    assert [each.text for each in verdict.found.kept] == []
    assert verdict.found.explained["triggers across a late event"] == 2

    change(store, "triggers", lambda each: [row for row in each if row["rule"] != "birthday"])
    assert any("birthday" in each.field for each in verify(store, SETTINGS).found.kept)  # nothing stands in its place


def test_a_late_view_that_fell_on_another_day_of_a_new_time_zone_is_no_difference(tmp_path: Path) -> None:
    lake = SmallLake(SETTINGS)
    lake.publish(
        [
            line("known", "customer.identified", "2026-04-12T09:00:00+08:00"),
            line("second", "product.viewed", "2026-04-13T22:04:00+08:00", sku="A"),
            line("moved", "customer.identified", "2026-04-13T22:05:00+08:00", traits={"timezone": "Asia/Tokyo"}),
            line("first", "product.viewed", "2026-04-12T23:38:00+08:00", sku="A"),  # in Tokyo of the same day
        ]
    )
    lake.profiles()
    lake.advance(parse_rfc3339("2026-04-15T00:00:00+08:00"))
    store = lake.write(tmp_path / "lake")
    viewed = [row["anchor_event_id"] for row in rows(store, "triggers") if row["rule"] == "browse-no-order"]
    assert viewed == ["first"]
    verdict = verify(store, SETTINGS)
    assert [each.text for each in verdict.found.kept] == []
    assert verdict.found.explained["triggers across a late event"] == 3

    change(store, "triggers", lambda each: [row for row in each if row["rule"] != "browse-no-order"])
    assert any("second" in each.events for each in verify(store, SETTINGS).found.kept)


# Faults: each is planted by changing rows of the lake, and returns whose it is


def events_of(store: LakeStore, part: str) -> list[Event]:
    """The events of a part, each once, by time."""
    found = {}
    for row in rows(store, "events"):
        if row["part"] == part:
            ms = int(row["time"].timestamp() * 1000)
            data = decode_data(row["type"], row["data"].encode())
            found[row["event_id"]] = Event(row["event_id"], row["type"], ms, tuple(row["identifiers"]), data)
    return sorted(found.values(), key=lambda event: (event.time_ms, event.id))


def states(store: LakeStore) -> Iterator[Person]:
    for row in rows(store, "state"):
        if not row["key"].startswith(META) and row["value"] is not None:
            yield thaw(row["key"].decode(), row["value"])


def put(store: LakeStore, *people: Person, gone: str = "") -> None:
    """Store people as they are now, in the place of their records."""
    by_key = {person.one_id.encode(): freeze(person) for person in people}

    def edit(each: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in each:
            if row["key"] != gone.encode():
                yield {**row, "value": by_key.get(row["key"], row["value"])}

    change(store, "state", edit)


def buyer(store: LakeStore, seen: str = "order.paid") -> tuple[Person, Part]:
    """Somebody with a counted order and an event of a type in one part."""
    for person in states(store):
        for part in person.parts.values():
            if seen in part.tallies and any(order.part == part.key for order in person.facts(SETTINGS).orders().list):
                return person, part
    raise AssertionError("there is nobody like that")


def again(part: Part, events: list[Event]) -> Part:
    """A part as it is after the events, with the marks of the one there was."""
    fresh = parts.new_part(part.key)
    for event in events:
        Folder(SETTINGS).fold(fresh, event)
    fresh.marks = part.marks
    return fresh


def an_event_doubled(store: LakeStore) -> str:
    person, part = buyer(store, "cart.added")
    event = [event for event in events_of(store, part.key) if event.type == "cart.added"][-1]
    part.recent.pop(event.id, None)
    Folder(SETTINGS).fold(part, event)
    put(store, person)
    return person.one_id


def test_an_event_doubled_in_the_state_is_found(lake: LakeStore) -> None:
    one_id = an_event_doubled(lake)
    verdict = verify(lake, SETTINGS)
    assert {who for _, who in found(verdict)} == {one_id}
    assert "events" in found(verdict)["profile", one_id]
    assert "events" in found(verdict)["published", one_id]


def test_an_event_lost_is_found_and_named(lake: LakeStore) -> None:
    person, part = buyer(lake, "product.viewed")
    events = events_of(lake, part.key)
    lost = events[-1]
    person.parts[part.key] = again(part, events[:-1])
    put(lake, person)
    verdict = verify(lake, SETTINGS)
    assert {who for _, who in found(verdict)} == {person.one_id}
    [wrong] = [each for each in verdict.found.kept if (each.kind, each.field) == ("profile", "events")]
    assert wrong.events == (lost.id,)


def test_a_wrong_sum_in_the_state_is_found_with_its_orders(lake: LakeStore) -> None:
    person, part = buyer(lake)
    assert part.orders is not None
    [order, *_] = [order for order in part.orders.values() if order.whole_body is not None]
    body = msgspec.structs.replace(order.whole_body, amount_minor=(order.whole_body.amount_minor or 0) + 100)
    order.paid_as_placed, order.paid_body = False, body
    put(lake, person)
    verdict = verify(lake, SETTINGS)
    assert {who for _, who in found(verdict)} == {person.one_id}
    [wrong] = [each for each in verdict.found.kept if each.kind == "profile" and each.field == "revenue_minor"]
    assert int(wrong.live or 0) - int(wrong.expected or 0) == 100
    assert wrong.events
    assert found(verdict)["profile", person.one_id] >= {"revenue_minor", "aov_minor"}


def test_an_order_of_another_person_is_found_at_both(lake: LakeStore) -> None:
    person, part = buyer(lake)
    other, beside = next(
        (other, next(iter(other.parts.values()))) for other in states(lake) if other.one_id != person.one_id
    )
    assert part.orders is not None
    order_id = next(order.order_id for order in person.facts(SETTINGS).orders().list if order.part == part.key)
    order = part.orders.pop(order_id)
    beside.orders = {**(beside.orders or {}), order_id: order}
    put(lake, person, other)
    verdict = verify(lake, SETTINGS)
    assert {who for _, who in found(verdict)} == {person.one_id, other.one_id}
    assert all("orders" in found(verdict)["profile", who] for who in (person.one_id, other.one_id))


def test_a_wrong_merge_is_found(lake: LakeStore) -> None:
    one, other, *_ = sorted(states(lake), key=lambda person: len(person.parts))
    moved = set(other.parts)
    one.parts.update(other.parts)
    put(lake, one, gone=other.one_id)

    def edit(each: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in each:
            if row["key"].decode() in moved:
                value = {**msgspec.json.decode(row["value"]), "one_id": one.one_id}
                row = {**row, "value": msgspec.json.encode(value)}
            yield row

    change(lake, "graph", edit)
    verdict = verify(lake, SETTINGS)
    assert {who for _, who in found(verdict)} == {one.one_id, other.one_id}
    assert found(verdict)["identity", other.one_id] == moved
    assert found(verdict)["part", other.one_id] == moved
    assert ("person", other.one_id) in found(verdict)


def test_a_trigger_fired_twice_is_found(lake: LakeStore) -> None:
    twice = rows(lake, "triggers")[7]
    beyond = 1_000_000

    def edit(each: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        yield from each
        if any(row["trigger_id"] == twice["trigger_id"] for row in each):
            yield {**twice, "offset": beyond}

    change(lake, "triggers", edit)
    verdict = verify(lake, SETTINGS)
    [difference] = verdict.found.kept
    assert difference.kind == "trigger_twice"
    assert twice["trigger_id"] in difference.field
    assert difference.events == (twice["anchor_event_id"],)


def test_a_trigger_not_fired_is_found(lake: LakeStore) -> None:
    lost = rows(lake, "triggers")[11]
    change(lake, "triggers", lambda each: [row for row in each if row["trigger_id"] != lost["trigger_id"]])
    person = next(person for person in states(lake) if lost["part"] in person.parts)
    marks = person.parts[lost["part"]].marks
    del marks[next(key for key in marks if mark_id(key, lost["part"]) == lost["trigger_id"])]
    put(lake, person)
    [difference] = verify(lake, SETTINGS).found.kept
    assert difference.kind == "trigger_missing"
    assert difference.one_id == person.one_id
    assert lost["trigger_id"] in difference.field


def test_a_firing_that_was_decided_but_not_published_is_found_twice_over(lake: LakeStore) -> None:
    lost = rows(lake, "triggers")[3]
    change(lake, "triggers", lambda each: [row for row in each if row["trigger_id"] != lost["trigger_id"]])
    verdict = verify(lake, SETTINGS)
    assert {each.kind for each in verdict.found.kept} == {"trigger_missing", "mark"}


def test_a_trigger_without_ground_is_found(lake: LakeStore) -> None:
    like = rows(lake, "triggers")[5]
    made_up = {**like, "trigger_id": "00000000-0000-5000-8000-000000000000", "offset": 1_000_000}

    def edit(each: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        yield from each
        if any(row["trigger_id"] == like["trigger_id"] for row in each):
            yield made_up

    change(lake, "triggers", edit)
    assert {each.kind for each in verify(lake, SETTINGS).found.kept} == {"trigger_groundless", "mark"}


def test_another_outcome_of_a_trigger_is_found(lake: LakeStore) -> None:
    wrong = next(row for row in rows(lake, "triggers") if row["outcome"] == "fired")

    def edit(each: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in each:
            yield {**row, "outcome": "expired"} if row["trigger_id"] == wrong["trigger_id"] else row

    change(lake, "triggers", edit)
    assert {each.kind for each in verify(lake, SETTINGS).found.kept} == {"trigger_outcome", "mark"}


def test_a_stale_profile_is_found(lake: LakeStore) -> None:
    versions: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows(lake, "profiles"), key=lambda row: row["offset"]):
        versions.setdefault(row["one_id"], []).append(row)
    one_id = next(
        one_id
        for one_id, each in versions.items()
        if len(each) > 2 and not each[-1]["gone"] and each[-1]["tags"] == each[-2]["tags"]
    )
    newest = versions[one_id][-1]["offset"]
    change(lake, "profiles", lambda each: [row for row in each if (row["one_id"], row["offset"]) != (one_id, newest)])
    verdict = verify(lake, SETTINGS)
    assert set(found(verdict)) == {("published", one_id)}
    assert "events" in found(verdict)["published", one_id]


def test_a_profile_that_is_as_of_another_time_than_when_it_was_published_is_found(lake: LakeStore) -> None:
    newest = {row["one_id"]: row for row in sorted(rows(lake, "profiles"), key=lambda row: row["offset"])}
    by_day = [person for person in states(lake) if not newest[person.one_id]["gone"]]
    for person in by_day:
        person.published_ms = int(newest[person.one_id]["written_at"].timestamp() * 1000)
    behind = by_day[5]
    behind.published_ms -= 121_000
    put(lake, *by_day)
    verdict = verify(lake, SETTINGS, clock="live")
    assert [each.one_id for each in verdict.found.kept if each.field == "as of"] == [behind.one_id]


def test_a_wrong_sum_in_a_published_profile_is_found(lake: LakeStore) -> None:
    row = max((row for row in rows(lake, "profiles") if row["orders"]), key=lambda row: row["written_at"])

    def edit(each: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for one in each:
            same = (one["partition"], one["offset"]) == (row["partition"], row["offset"])
            yield {**one, "revenue_minor": one["revenue_minor"] + 1} if same else one

    change(lake, "profiles", edit)
    assert found(verify(lake, SETTINGS)) == {("published", row["one_id"]): {"revenue_minor"}}


def test_a_profile_that_was_not_withdrawn_is_found(lake: LakeStore) -> None:
    every = rows(lake, "profiles")
    shown = {row["one_id"] for row in every if not row["gone"]}
    gone = next(row for row in every if row["gone"] and row["one_id"] in shown)
    change(
        lake, "profiles", lambda each: [row for row in each if not (row["gone"] and row["one_id"] == gone["one_id"])]
    )
    kinds = found(verify(lake, SETTINGS))
    assert kinds["published", gone["one_id"]] == {"profile"}
    assert {who for _, who in kinds} == {gone["one_id"]}


def test_a_tag_that_was_not_announced_is_found(lake: LakeStore) -> None:
    entered: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows(lake, "tags"):
        entered.setdefault((row["one_id"], row["tag"]), []).append(row)
    (one_id, tag), [_] = next((key, each) for key, each in entered.items() if len(each) == 1)
    change(lake, "tags", lambda each: [row for row in each if (row["one_id"], row["tag"]) != (one_id, tag)])
    assert found(verify(lake, SETTINGS)) == {("tag", one_id): {tag}}


def test_a_lost_identifier_is_found(lake: LakeStore) -> None:
    key = next(row["key"] for row in rows(lake, "graph") if b"\0" not in row["key"] and b"device_id" in row["key"])
    change(lake, "graph", lambda each: [row for row in each if row["key"] != key])
    [difference] = verify(lake, SETTINGS).found.kept
    assert (difference.kind, difference.field, difference.live) == ("identity", key.decode(), None)
    assert difference.events


def test_lost_evidence_is_found(lake: LakeStore) -> None:
    key = next(row["key"] for row in rows(lake, "graph") if b"\0" in row["key"][1:] and not row["key"].startswith(META))
    change(lake, "graph", lambda each: [row for row in each if row["key"] != key])
    [difference] = verify(lake, SETTINGS).found.kept
    assert (difference.kind, difference.live) == ("evidence", None)


def test_a_change_of_people_that_was_not_announced_is_found(lake: LakeStore) -> None:
    lost = next(row for row in rows(lake, "identity_changes") if row["change"] == "merged")
    change(lake, "identity_changes", lambda each: [row for row in each if row != lost])
    [difference] = verify(lake, SETTINGS).found.kept
    assert (difference.kind, difference.one_id) == ("identity_change", lost["one_id"])


def test_a_word_of_consent_that_was_turned_around_is_found(lake: LakeStore) -> None:
    person, part = next(
        (person, part) for person in states(lake) for part in person.parts.values() if part.consent is not None
    )
    assert part.consent is not None
    purpose, words = next(iter(part.consent.items()))
    part.consent[purpose] = {channel: (at, not denied, event_id) for channel, (at, denied, event_id) in words.items()}
    put(lake, person)
    verdict = verify(lake, SETTINGS)
    assert found(verdict)["profile", person.one_id] == {"consent"}
    assert found(verdict)["published", person.one_id] == {"consent"}


def test_a_person_who_is_lost_is_found(lake: LakeStore) -> None:
    person, _ = buyer(lake)
    put(lake, gone=person.one_id)
    kinds = found(verify(lake, SETTINGS))
    assert {who for _, who in kinds} == {person.one_id}
    assert ("person", person.one_id) in kinds
    assert kinds["part", person.one_id] == set(person.parts)


def test_a_cut_can_be_asked_for(lake: LakeStore) -> None:
    newest = verify(lake, SETTINGS)
    offsets = {int(place.rpartition("/")[2]): offset for place, offset in newest.offsets.items()}
    assert verify(lake, SETTINGS, at=offsets).clean
    assert len(catalogue.read_all(lake)) > 5
