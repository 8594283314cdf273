"""Many customers' tickets about one product raise one alarm, which a restart neither forgets nor repeats."""

import json
from pathlib import Path
from typing import Any

import faust
from hypothesis import given
from hypothesis import strategies as st

from schemas import messages
from schemas.settings import Settings
from stream import alarms
from stream.alarms import DAY_MS, Alarm, Ticket, Tickets
from stream.broker import Broker
from stream.connection import Connection
from stream.faust_app import make_app
from stream.metrics import Metrics
from tests.live.running import create, publish, read, running, wait

T0 = 1_790_000_000_000


def ticket(number: int, day: float = 0, customer: str | None = None) -> Ticket:
    return Ticket(customer or f"p{number}", f"t{number}", T0 + int(day * DAY_MS), False, [])


def raised(tickets: list[Ticket], customers: int = 3, within: float = 7) -> list[Alarm]:
    state = Tickets()
    found = [state.add("s", each, int(within * DAY_MS), customers) for each in tickets]
    return [alarm for alarm in found if alarm is not None]


def test_an_alarm_names_the_customers_within_the_window() -> None:
    (alarm,) = raised([ticket(0), ticket(1, 2), ticket(2, 7), ticket(3, 8)])
    assert (alarm.from_ms, alarm.to_ms, alarm.count) == (T0 + 2 * DAY_MS, T0 + 8 * DAY_MS, 3)
    assert [each.one_id for each in alarm.customers] == [
        "p1",
        "p2",
        "p3",
    ]  # the first was opened the window's length ago
    assert alarm.alarm_id == alarms.alarm_id("s", "t1")


def test_one_customer_with_many_tickets_is_one_customer() -> None:
    assert raised([ticket(number, customer="p") for number in range(9)]) == []


def test_a_burst_raises_one_alarm_and_the_next_one_another() -> None:
    burst = [ticket(number, number / 10) for number in range(8)]
    later = [ticket(100 + number, 30 + number / 10) for number in range(5)]
    assert [alarm.count for alarm in raised([*burst, *later])] == [3, 3]


def test_the_same_ticket_counts_once() -> None:
    assert raised([ticket(0), ticket(1), ticket(0), ticket(1), ticket(1)]) == []


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 20), st.sampled_from("abcd")), max_size=12))
def test_an_alarm_is_due_when_the_window_says_so(rows: list[tuple[int, int, str]]) -> None:
    state, seen, was = Tickets(), dict[str, Ticket](), False
    for number, day, customer in rows:
        new = ticket(number, day, customer)
        alarm = state.add("s", new, 7 * DAY_MS, 3)
        if new.ticket_id in {each.ticket_id for each in seen.values()} and new.ticket_id in seen:
            continue
        newest = max([each.at_ms for each in seen.values()] + [new.at_ms])
        seen[new.ticket_id] = new
        seen = {name: each for name, each in seen.items() if each.at_ms > newest - 7 * DAY_MS}
        enough = len({each.one_id for each in seen.values()}) >= 3
        assert (alarm is not None) == (enough and not was)
        was = enough


def value(number: int, sku: str, day: float = 0) -> bytes:
    message = {"one_id": f"p{number}", "ticket_id": f"t{number}", "sku": sku, "at_ms": T0 + int(day * DAY_MS)}
    return json.dumps({**message, "bought": number % 2 == 0, "order_ids": ["o1"] if number % 2 == 0 else []}).encode()


def worker(settings: Settings, connection: Connection, name: str = "a") -> faust.App:
    app = make_app(settings, connection, name, Path(settings.worker.data) / name)
    alarms.register(app, settings, connection, Metrics())
    return app


def found(connection: Connection) -> list[dict[str, Any]]:
    values = [message.value() or b"" for message in read(connection, "alarms.quality")]
    for each in values:
        messages.QualityAlarm.model_validate_json(each)
    return [json.loads(each) for each in values]


def behind(connection: Connection) -> bool:
    place = (connection.topic("quality.tickets"), 0)
    committed = Broker(connection).committed(connection.group("control")).get(place, 0)
    return committed < Broker(connection).ends([place])[place] - 1  # the last offset is the mark of a transaction


def test_alarms_are_published_and_survive_restarts(settings: Settings, connection: Connection) -> None:
    create(connection, quality_tickets=1, alarms_quality=1, alarms_state=1)
    settings = Settings.model_validate({**settings.model_dump(exclude_unset=True), "quality_alarm": {"customers": 3}})
    with running(lambda: worker(settings, connection)):
        publish(connection, "quality.tickets", value(0, "鞋"), value(1, "b"), b"no json", value(2, "鞋", 1))
        wait(lambda: not behind(connection))
    assert found(connection) == []
    with running(lambda: worker(settings, connection, "b")):
        publish(connection, "quality.tickets", value(2, "鞋", 1), value(4, "鞋", 2))
        wait(lambda: not behind(connection))
    with running(lambda: worker(settings, connection)):
        publish(connection, "quality.tickets", value(5, "鞋", 3), value(6, "b", 30))
        wait(lambda: not behind(connection))
    (alarm,) = found(connection)
    assert alarm["alarm_id"] == alarms.alarm_id("鞋", "t0")
    assert (alarm["sku"], alarm["count"]) == ("鞋", 3)
    assert [(each["one_id"], each["bought"], each["order_ids"]) for each in alarm["customers"]] == [
        ("p0", True, ["o1"]),
        ("p2", True, ["o1"]),
        ("p4", True, ["o1"]),
    ]
    states = {message.key(): message.value() for message in read(connection, "alarms.state")}
    assert states["鞋".encode()] is None  # swept: the last ticket was a month later
    assert json.loads(states[b"b"] or b"")["tickets"][0]["ticket_id"] == "t6"
    messages.AlarmState.model_validate_json(states[b"b"] or b"")
