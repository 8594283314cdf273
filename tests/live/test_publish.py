"""Lines reach the raw topic of their type as they are, in their order; what is invalid is told, and not lost."""

import gzip
import json
from pathlib import Path

import pytest
from confluent_kafka import Message

from ingest.mapping import load as load_mappings
from schemas.errors import ConfigError, StateError
from schemas.settings import Settings
from stream import topics
from stream.connection import Connection
from stream.publish import probable_topic, publish
from stream.reading import read_topics
from triggers.rules import RuleSet

RAW = ("events.order", "events.browse", "events.chat", "events.ticket", "events.customer")


@pytest.fixture
def ready(connection: Connection, settings: Settings) -> Connection:
    topics.create(connection, settings, RuleSet.from_settings(settings))
    return connection


def event(number: int, kind: str = "ticket.opened", **fields: object) -> bytes:
    content = {
        "id": f"e{number}",
        "type": kind,
        "time": 1_750_000_000_000 + number,
        "identifiers": {"member_id": f"m{number % 3}"},
        "data": {"ticket_id": f"t{number}", "category": "other"},
        **fields,
    }
    return json.dumps(content).encode()


def published(connection: Connection) -> list[Message]:
    return [message for messages in read_topics(connection, RAW) for message in messages]


def test_every_line_is_published_as_it_is_and_a_customers_events_keep_their_order(
    ready: Connection, settings: Settings, tmp_path: Path
) -> None:
    lines = [event(number) for number in range(3000)]
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    seen: list[tuple[int, int, int]] = []
    done = publish(ready, settings, [str(path)], report=lambda *numbers: seen.append(numbers))
    assert (done.lines, done.topics, done.refused) == (3000, {"events.ticket": 3000}, {})
    messages = published(ready)
    assert sorted(m.value() for m in messages) == sorted(lines)
    assert seen[-1][0] == seen[-1][1]
    for member in range(3):
        mine = [m for m in messages if m.key() == f"member_id:m{member}".encode()]
        assert [m.value() for m in mine] == [event(number) for number in range(member, 3000, 3)]
        times = [m.timestamp()[1] for m in mine]
        assert times == sorted(times)
        assert times[0] > 1_750_000_003_000  # the time of publishing


def test_what_is_invalid_goes_where_its_type_belongs(ready: Connection, settings: Settings, tmp_path: Path) -> None:
    lines = [event(1), event(2, time="yesterday"), b'{"no": "event"}', b"what?", event(3, kind="nobody.knows")]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines))
    done = publish(ready, settings, [str(path)])
    assert done.lines == 5
    assert done.refused == {"invalid": 2, "not_json": 1, "unknown_type": 1}
    assert done.first_refused is not None
    assert done.first_refused.startswith(f"{path}:2: invalid: time: ")
    assert done.topics == {"events.ticket": 2, "events.customer": 3}
    assert sorted(m.value() for m in published(ready)) == sorted(lines)


def test_strict_publishes_nothing_unless_all_is_valid(ready: Connection, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join([event(1), b"what?"]))
    with pytest.raises(ConfigError, match=r"events\.jsonl:2: not_json"):
        publish(ready, settings, [str(path)], strict=True)
    assert published(ready) == []
    path.write_bytes(event(1))
    assert publish(ready, settings, [str(path)], strict=True).lines == 1
    with pytest.raises(ConfigError, match="read only once"):
        publish(ready, settings, ["-"], strict=True)


def test_a_table_becomes_events(ready: Connection, settings: Settings, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("who,what,when\nm1,t1,2026-01-02T03:04:05Z\nm2,t2,never\n", encoding="utf-8")
    mapping = tmp_path / "map.yaml"
    mapping.write_text(
        "id: {template: 'ticket-{what}'}\ntype: ticket.opened\ntime: {column: when}\n"
        "identifiers: {member_id: {column: who}}\ndata: {ticket_id: {column: what}, category: other}\n",
        encoding="utf-8",
    )
    done = publish(ready, settings, [str(table)], load_mappings(str(mapping)))
    assert done.lines == 2
    assert done.refused.total() == 1
    first = next(m for m in published(ready) if m.topic() == ready.topic("events.ticket"))
    assert json.loads(first.value() or b"")["identifiers"] == {"member_id": "m1"}


def test_missing_topics_are_named(connection: Connection, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(event(1))
    with pytest.raises(StateError, match="kith topics create"):
        publish(connection, settings, [str(path)])


def test_a_line_too_long_for_kafka_fails_and_the_others_are_published(
    ready: Connection, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join([event(1), b'{"long": "' + b"x" * (17 << 20) + b'"}', event(2)]))
    with pytest.raises(StateError, match=r"1 of 3 not published: .*events\.jsonl:2: "):
        publish(ready, settings, [str(path)])
    assert sorted(m.value() for m in published(ready)) == [event(1), event(2)]


def test_the_topic_of_a_broken_line_is_guessed_by_its_type() -> None:
    assert probable_topic(b'{"type": "order.paid", "time": ').name == "events.order"
    assert probable_topic(b'{"type":"page.viewed"').name == "events.browse"
    assert probable_topic(b'{"type": "x"}').name == "events.customer"
    assert probable_topic(b"\xff").name == "events.customer"
