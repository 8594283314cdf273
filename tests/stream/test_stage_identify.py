"""The live identify stage keeps the order of a part's events, whichever way they go."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Message

from schemas.settings import Settings
from stream import stage_identify
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


def test_events_follow_the_one_of_their_part_that_tells_something_new(monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of({"member_id:KNOWN": "a", "member_id:OTHER": "b"}, first_ms=FIRST_MS)
    clock = SimpleNamespace(time=lambda: FIRST_MS / 1000, monotonic=lambda: now)
    monkeypatch.setattr(stage_identify, "time", clock)
    now = 100.0
    work = IdentifyWork(Settings(), connection(), view, Metrics(), 1, live=False)
    asks, goes = "small.identity.requests", "small.events.identified"
    assert sent(work, ("1", "KNOWN", 5), ("2", "KNOWN", -3), ("3", "KNOWN", 6), ("4", "OTHER", 6)) == {
        goes: ["1", "4"],
        asks: ["2", "3"],  # the earlier sight is news, and what comes after it stays behind it
    }
    now += 0.9
    assert sent(work, ("5", "KNOWN", 7), ("6", "OTHER", 7)) == {asks: ["5"], goes: ["6"]}
    now += 0.9
    assert sent(work, ("7", "KNOWN", 8)) == {asks: ["7"]}
    now += 1.1
    assert sent(work, ("8", "KNOWN", 9), ("9", "OTHER", 9)) == {goes: ["8", "9"]}
