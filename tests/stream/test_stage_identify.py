"""The live identify stage keeps the order of a part's events, whichever way they go."""

import json
from typing import Any, cast

import pytest
from confluent_kafka import Message

from schemas.settings import Settings
from stream.graph_log import input_record
from stream.graph_view import GraphView
from stream.metrics import Metrics
from stream.stage_identify import IdentifyWork
from stream.wire import decode
from tests.lake.audit_lake import connection
from tests.stream.serving import view_of

FIRST_MS = 1_770_000_000_000


class Raw:
    """A message as a consumer gives it."""

    def __init__(self, offset: int, value: bytes) -> None:
        self._offset, self._value = offset, value

    def topic(self) -> str:
        return "small.events.browse"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_780_000_000_000

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return self._value


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
        for each in messages:
            found.setdefault(topic, []).append(cast(Any, decode(each["value"])).event.id)
    return found


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
