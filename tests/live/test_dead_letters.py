"""Dead letters keep bytes, key and place; each is sent again once, unless it is asked for again."""

import pytest

from schemas.messages import DeadLetter
from schemas.settings import Settings
from stream import topics
from stream.connection import Connection
from stream.dead_letters import MAX_RAW_BYTES, TOPIC, dead_letter, decode
from stream.reading import read_topics
from stream.redrive import letters, redrive
from triggers.rules import RuleSet

OTHERS = ("events.order", "events.customer")


@pytest.fixture
def ready(connection: Connection, settings: Settings) -> Connection:
    topics.create(connection, settings, RuleSet.from_settings(settings))
    return connection


def bury(connection: Connection, *values: bytes) -> None:
    producer = connection.producer(message_max_bytes=16 << 20)
    for value in values:
        producer.produce(connection.topic(TOPIC), value, b"the key")
    assert producer.flush(10) == 0


def sent(connection: Connection) -> list[tuple[str, bytes | None, bytes | None]]:
    found = [message for messages in read_topics(connection, OTHERS) for message in messages]
    return sorted((connection.bare(str(m.topic())), m.key(), m.value()) for m in found)


INVALID = dead_letter("invalid", "time: is missing", "events.order", 2, 17, b"\xff{")
NOT_JSON = dead_letter("not_json", "what is this?", "events.customer", 0, 3, b"what?")


def test_a_dead_letter_is_what_its_model_says() -> None:
    model = DeadLetter.model_validate_json(INVALID)
    assert (model.reason, model.source, model.partition, model.offset) == ("invalid", "events.order", 2, 17)
    assert decode(INVALID).raw == b"\xff{"
    long = decode(dead_letter("too_large", "", "events.order", 0, 0, b"x" * (MAX_RAW_BYTES + 1)))
    assert (len(long.raw), long.size) == (MAX_RAW_BYTES, MAX_RAW_BYTES + 1)


def test_the_list_has_place_key_and_bytes(ready: Connection) -> None:
    bury(ready, INVALID, b"no letter", NOT_JSON)
    found = list(letters(ready))
    assert [(each.offset, each.key, each.letter) for each in found] == [
        (0, b"the key", decode(INVALID)),
        (2, b"the key", decode(NOT_JSON)),
    ]
    assert [each.offset for each in letters(ready, {"not_json"})] == [2]
    newer = found[-1].time_ms + 1
    assert list(letters(ready, since_ms=newer)) == []
    assert len(list(letters(ready, since_ms=found[0].time_ms))) == 2


def test_each_is_sent_again_once_by_its_reason(ready: Connection) -> None:
    bury(ready, INVALID, NOT_JSON)
    assert redrive(ready, {"invalid"}, dry_run=True).sent == {"events.order": 1}
    assert sent(ready) == []
    assert redrive(ready, {"invalid"}).sent == {"events.order": 1}
    assert sent(ready) == [("events.order", b"the key", b"\xff{")]
    again = redrive(ready)
    assert (again.sent, again.left) == ({"events.customer": 1}, {"sent before": 1})
    assert redrive(ready).left == {"sent before": 2}
    bury(ready, INVALID)
    assert redrive(ready).sent == {"events.order": 1}
    assert len(sent(ready)) == 3
    assert redrive(ready, again=True).sent == {"events.order": 2, "events.customer": 1}
    assert redrive(ready, offsets={1}).sent == {"events.customer": 1}
    assert len(sent(ready)) == 7


def test_what_cannot_be_sent_is_left_and_said(ready: Connection) -> None:
    cut = dead_letter("too_large", "", "events.order", 0, 0, b"x" * (MAX_RAW_BYTES + 1))
    elsewhere = dead_letter("failed", "", "events.identified", 0, 0, b"x")
    bury(ready, cut, elsewhere)
    done = redrive(ready)
    assert (done.sent, done.left) == ({}, {"cut": 1, "no such topic": 1})
    assert sent(ready) == []


def test_a_letter_that_was_cut_is_sent_whole_as_long_as_the_original_is_there(ready: Connection) -> None:
    original = b"x" * (MAX_RAW_BYTES + 1)
    producer = ready.producer(message_max_bytes=16 << 20)
    producer.produce(ready.topic("events.order"), original, b"the key", partition=1)
    producer.flush(10)
    bury(ready, dead_letter("too_large", "", "events.order", 1, 0, original))
    assert redrive(ready).sent == {"events.order": 1}
    assert sent(ready) == [("events.order", b"the key", original)] * 2
