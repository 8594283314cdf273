"""A person to whom parts come that another one had: what is known of them counts from then on."""

import pytest

from identity.changes import Move
from ingest.admit import Admission
from schemas.event import Event
from schemas.settings import Settings
from stream.messages import PartChange, PartTransfer, Request, Routed
from stream.people import People
from stream.profile import ProfileStage
from triggers.engine import Engine
from triggers.rules import RuleSet

SETTINGS = Settings()
PART = "member_id:M1"
BEGIN_MS = 1_780_000_000_000
HOUR_MS = 3_600_000


class Two:
    """Two partitions with one person each, `giver` and `taker`; `said` is what they sent."""

    def __init__(self) -> None:
        self.said: list[PartTransfer | Request] = []
        engine = Engine(RuleSet.from_settings(SETTINGS), SETTINGS)
        self.giving, self.taking = (
            ProfileStage(SETTINGS, engine, People(), self.said.append, lambda firing: None, owns=name.__eq__)
            for name in ("giver", "taker")
        )

    def change(self, step: int, at_ms: int, from_one_id: str | None, to_one_id: str) -> None:
        message = PartChange(step, at_ms, [Move(PART, from_one_id, to_one_id)])
        for name, stage in (("giver", self.giving), ("taker", self.taking)):
            if name in (from_one_id, to_one_id):
                stage.change(message)


@pytest.fixture
def two() -> Two:
    """The giver's part has an event that is newer than the change which takes it away: it overtook that."""
    two = Two()
    two.change(1, BEGIN_MS, None, "giver")
    two.giving.event(Routed("giver", seen("a", BEGIN_MS + HOUR_MS)))
    two.change(2, BEGIN_MS, "giver", "taker")
    return two


def seen(event_id: str, at_ms: int) -> Event:
    return Admission(SETTINGS).admit(
        b'{"id":"%s","type":"app.opened","time":%d,"identifiers":{"member_id":"M1"}}' % (event_id.encode(), at_ms)
    )


def test_the_profile_is_published_when_the_last_part_has_come(two: Two) -> None:
    two.taking.news.clear()  # who waits for all parts has nothing to publish
    [transfer] = two.said
    assert isinstance(transfer, PartTransfer)
    two.taking.transfer(transfer)
    assert list(two.taking.news) == ["taker"]


def test_the_clock_is_not_behind_the_newest_event_of_a_part_that_came(two: Two) -> None:
    person = two.taking.people.get("taker")
    assert person is not None
    assert (person.clock_ms, two.taking.frozen()) == (BEGIN_MS, ["taker"])
    [transfer] = two.said
    assert isinstance(transfer, PartTransfer)
    two.taking.transfer(transfer)
    assert (person.clock_ms, two.taking.frozen()) == (BEGIN_MS + HOUR_MS, [])
