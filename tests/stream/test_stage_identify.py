"""The live identify stage keeps the order of a part's events, whichever way they go."""

import json
from itertools import pairwise
from typing import Any, cast

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from schemas.settings import Settings
from stream.graph_log import input_record
from stream.graph_view import GraphView
from stream.metrics import Metrics
from stream.stage_identify import IdentifyWork
from stream.wire import decode
from tests.lake.audit_lake import connection
from tests.stream.helpers import Raw
from tests.stream.serving import view_of

FIRST_MS = 1_770_000_000_000


def events(*told: tuple[str, str, int]) -> list[Message]:
    """Messages of events: id, member and seconds after the first sight of everybody."""
    found = []
    for offset, (event_id, member, seconds) in enumerate(told):
        event = {"id": event_id, "type": "app.opened", "time": FIRST_MS + 1_000 * seconds, "source": "test"}
        found.append(Raw(offset, json.dumps(event | {"identifiers": {"member_id": member}}).encode()))
    return cast(list[Message], found)


def sent(work: IdentifyWork, *told: tuple[str, str, int]) -> dict[str, list[str]]:
    """Ids of events by the topic they are sent to."""
    found: dict[str, list[str]] = {}
    for (topic, _), messages in work.process(events(*told), set()).messages.items():
        found.setdefault(topic, []).extend(ids(messages))
    return found


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [cast(Any, decode(each["value"])).event.id for each in messages]


ASKS, GOES = "small.identity.requests", "small.events.identified"


@pytest.fixture
def view() -> GraphView:
    return view_of({"member_id:KNOWN": "a", "member_id:OTHER": "b"}, first_ms=FIRST_MS)


@pytest.fixture
def work(view: GraphView) -> IdentifyWork:
    return IdentifyWork(Settings(), connection(), view, Metrics(), 1, live=False)


def read(view: GraphView, offset: int) -> None:
    """Let the resolver have worked off all requests before that offset."""
    view.apply(0, [input_record(offset)], 1)


def test_events_follow_the_one_of_their_part_that_tells_something_new(view: GraphView, work: IdentifyWork) -> None:
    assert sent(work, ("1", "KNOWN", 5), ("2", "KNOWN", -3), ("3", "KNOWN", 6), ("4", "OTHER", 6)) == {
        GOES: ["1", "4"],
        ASKS: ["2", "3"],  # the earlier sight is news, and what comes after it stays behind it
    }
    assert sent(work, ("5", "KNOWN", 7), ("6", "OTHER", 7)) == {ASKS: ["5"], GOES: ["6"]}  # none is committed yet
    work.committed({0: 11})
    work.committed({0: 13})
    read(view, 12)
    assert sent(work, ("7", "KNOWN", 8), ("8", "OTHER", 8)) == {ASKS: ["7"], GOES: ["8"]}  # 5 may lie there still
    work.committed({0: 14})
    read(view, 14)
    assert sent(work) == {}  # nothing of it is with the resolver but the last
    work.committed({})
    assert sent(work, ("9", "KNOWN", 9)) == {ASKS: ["9"]}
    work.committed({0: 20})
    read(view, 21)
    assert sent(work, ("a", "KNOWN", 9)) == {GOES: ["a"]}


def test_what_never_was_committed_was_not_asked(view: GraphView, work: IdentifyWork) -> None:
    sent(work, ("1", "KNOWN", -1))
    work.committed({0: 5})
    sent(work, ("2", "KNOWN", 5), ("3", "OTHER", -1))
    work.forget()
    assert sent(work, ("2", "KNOWN", 5), ("4", "OTHER", 1)) == {ASKS: ["2"], GOES: ["4"]}
    work.committed({0: 6})
    read(view, 7)
    assert sent(work, ("5", "KNOWN", 6)) == {GOES: ["5"]}


def test_requests_of_which_no_offset_was_told_are_followed_until_one_is(view: GraphView, work: IdentifyWork) -> None:
    sent(work, ("1", "KNOWN", -1))
    work.committed({})
    read(view, 100)
    assert sent(work, ("2", "KNOWN", 5), ("3", "OTHER", -1)) == {ASKS: ["2", "3"]}
    work.committed({0: 120})
    assert sent(work, ("4", "KNOWN", 6)) == {ASKS: ["4"]}
    work.committed({0: 121})
    read(view, 122)
    assert sent(work, ("5", "KNOWN", 6)) == {GOES: ["5"]}


def test_only_so_many_parts_are_remembered(
    view: GraphView, work: IdentifyWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.stage_identify.MOST_ASKED", 10)
    for number in range(50):
        sent(work, (f"e{number}", f"N{number}", 1), (f"f{number}", f"N{number}", 2))
        work.committed({0: number})
    assert len(work._asked.parts) <= 12
    assert sent(work, ("g", "N49", 3)) == {ASKS: ["g"]}


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 9)), max_size=30),
)
def test_of_events_that_arrived_at_once_the_oldest_goes_first_and_each_partition_keeps_its_order(
    told: list[tuple[int, int, int]],
) -> None:
    told.sort(key=lambda each: each[1])  # as they are merged
    view = view_of({"member_id:KNOWN": "a"}, first_ms=FIRST_MS)
    work = IdentifyWork(Settings(), connection(), view, Metrics(), 1, live=False)
    messages = []
    for offset, (partition, arrived, seconds) in enumerate(told):
        event = {"id": f"{offset}", "type": "app.opened", "time": FIRST_MS + 1_000 * seconds, "source": "test"}
        value = json.dumps(event | {"identifiers": {"member_id": "KNOWN"}}).encode()
        messages.append(Raw(offset, value, partition, 1_780_000_000_000 + arrived))
    outbox = work.process(cast(list[Message], messages), set())
    order = [int(each) for (_, _), some in outbox.messages.items() for each in ids(some)]
    assert sorted(order) == list(range(len(told)))
    for partition in range(3):
        mine = [number for number in order if told[number][0] == partition]
        assert mine == sorted(mine)
    assert [told[number][1] for number in order] == sorted(each[1] for each in told)
    for one, next_one in pairwise(order):
        if told[one][1] == told[next_one][1] and told[one][2] > told[next_one][2]:
            before = told[:next_one]  # only to stay behind one of its own partition
            assert any(each[:2] == told[next_one][:2] and each[2] >= told[one][2] for each in before)


def test_it_waits_for_a_resolver_that_gets_on_and_for_no_other(
    view: GraphView, work: IdentifyWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.stage_identify.MOST_AHEAD", 10)
    sent(work, ("1", "NEW", 1))
    work.committed({0: 99})
    assert not work.held_back()  # nobody was seen to read
    read(view, 50)
    assert work.held_back()
    read(view, 90)
    assert not work.held_back()
    sent(work, ("2", "NEW", 2))
    work.committed({0: 150})
    read(view, 100)
    assert work.held_back()
    monkeypatch.setattr("stream.stage_identify.STALLED_S", 0.0)
    assert not work.held_back()
