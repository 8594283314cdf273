"""Whose profile is to be told: also of those who had to wait for their parts."""

from collections.abc import Callable

from identity.changes import Move
from profiles.part import new_part
from schemas.settings import Settings
from stream.messages import PartChange, PartTransfer
from stream.people import People
from stream.profile import ProfileStage
from triggers.engine import Engine
from triggers.rules import RuleSet

GIVER, TAKER, PART = "giver", "taker", "phone:+8613912345678"


def stage(owns: Callable[[str], bool], send: Callable[[object], None] = lambda message: None) -> ProfileStage:
    settings = Settings()
    engine = Engine(RuleSet.from_settings(settings), settings)
    return ProfileStage(settings, engine, People(), send, lambda firing: None, owns=owns)


def test_who_gets_a_part_after_the_batch_of_the_move_is_told_of_in_that_of_the_part() -> None:
    taking = stage(lambda one_id: one_id == TAKER)
    taking.change(PartChange(1, 1_000, [Move(PART, GIVER, TAKER)]))
    taking.news.clear()  # the batch ends; nothing could be published of somebody without parts
    taking.transfer(PartTransfer(1, TAKER, new_part(PART)))
    assert list(taking.news) == [TAKER]


def test_who_gives_the_last_part_away_is_told_of_no_more() -> None:
    giving = stage(lambda one_id: one_id == GIVER)
    giving.change(PartChange(1, 1_000, [Move(PART, None, GIVER)]))
    assert list(giving.news) == [GIVER]
    giving.change(PartChange(2, 2_000, [Move(PART, GIVER, TAKER)]))
    assert list(giving.news) == []
