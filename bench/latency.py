"""Seconds from an event's publishing to the message that it brings about, at a steady rate, by the clock of the day.

An event's time is when it was published, to the millisecond, and its profile shows the time of the last event. So the
first profile of the person with that time or a later one is the answer; a firing names its event. Publisher and reader
are processes of their own, on the same machine and so by the same clock.
"""

import multiprocessing
import random
import time
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from multiprocessing.synchronize import Event as Flag
from typing import Any

import msgspec
from confluent_kafka import OFFSET_END, TopicPartition

from bench.load import Publisher
from schemas.live_settings import KafkaSettings
from schemas.times import format_ms
from stream.broker import Broker
from stream.connection import Connection

TURN_S = 0.002
"""Seconds between two turns of the publisher."""

SCORES = 20
"""One event of so many is a low score, at which a trigger fires at once."""

PATIENCE_S = 15.0
"""Seconds without a message after which the reader goes home."""

BOUNDS_MS = (10, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000)
RULE = "low-score"

Sent = list[tuple[int, int]]
"""Person and time of publishing in epoch ms, in the order of publishing."""

Seen = list[tuple[int, int, int]]
"""Person, time of the event that it shows in epoch ms, and when it was read, in epoch ms."""


class _Profile(msgspec.Struct, gc=False):
    identifiers: list[str]
    last_seen: datetime | None


class _Firing(msgspec.Struct, gc=False):
    anchor_event_id: str


class Latency(msgspec.Struct):
    """Milliseconds of each event, sorted; `missing` were never answered. `rate` is what was really published."""

    rate: float
    profiles: list[int]
    triggers: list[int]
    missing: int
    missing_triggers: int


def measure(settings: KafkaSettings, people: int, rate: float, seconds: float) -> Latency:
    """Publish for so long at so many events a second, of people known by `introduce`."""
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    answers = context.SimpleQueue()
    sent = context.SimpleQueue()
    reader = context.Process(target=_read, args=(settings, ready, over, answers))
    reader.start()
    if not ready.wait(30):
        raise RuntimeError("the reader does not start")
    writer = context.Process(target=_write, args=(settings, people, rate, seconds, sent))
    writer.start()
    published, took_s = sent.get()
    writer.join()
    over.set()
    profiles, firings = answers.get()
    reader.join()
    return _joined(published, took_s, profiles, firings)


def introduce(connection: Connection, people: int) -> None:
    """Publish for each person an event with all identifiers and one with a consent."""
    publisher = Publisher(connection)
    for person in range(people):
        publisher.send(_event(person, int(time.time() * 1000), 0, "page.viewed", {"url": "https://shop.example.com/"}))
        consent = {"purpose": "service", "granted": True}
        publisher.send(_event(person, int(time.time() * 1000), 1, "customer.consented", consent))
        publisher.poll()
    publisher.close()


def _write(settings: KafkaSettings, people: int, rate: float, seconds: float, answer: Any) -> None:
    publisher = Publisher(Connection(settings))
    rng = random.Random(1)
    sent: Sent = []
    started = time.perf_counter()
    while (now := time.perf_counter() - started) < seconds:
        for number in range(len(sent), int(now * rate)):
            person, at_ms = rng.randrange(people), time.time_ns() // 1_000_000
            sent.append((person, at_ms))
            publisher.send(_event(person, at_ms, number, *_content(rng, number)))
        publisher.poll()
        time.sleep(TURN_S)
    publisher.close()
    answer.put((sent, time.perf_counter() - started))


def _content(rng: random.Random, number: int) -> tuple[str, dict[str, Any]]:
    sku = f"SKU{rng.randrange(5000):06d}"
    if number % SCORES == 0:
        return "survey.answered", {"survey": "nps", "score": 1, "scale": 10}
    if number % SCORES in (1, 2):
        return "cart.added", {"sku": sku, "quantity": 1, "unit_price": "59.90"}
    if number % SCORES == 3:
        item = {"sku": sku, "quantity": 1, "unit_price": "59.90"}
        return "order.paid", {"order_id": f"O{number}", "items": [item], "amount": "59.90", "currency": "CNY"}
    return "product.viewed", {"sku": sku, "category": "咖啡", "price": "59.90"}


def _event(person: int, at_ms: int, number: int, kind: str, data: dict[str, Any]) -> bytes:
    return msgspec.json.encode(
        {
            "id": f"{at_ms}-{person}-{number}",
            "type": kind,
            "time": format_ms(at_ms),
            "source": "bench",
            "identifiers": {"device_id": f"dv{person:014d}", "member_id": f"M{person:09d}"},
            "data": data,
        }
    )


def _read(settings: KafkaSettings, ready: Flag, over: Flag, answer: Any) -> None:
    connection = Connection(settings)
    names = [connection.topic("profiles"), connection.topic(f"triggers.{RULE}")]
    topics = Broker(connection).topics()
    consumer = connection.consumer(f"{connection.prefix}bench", fetch_wait_max_ms=500)
    places = [TopicPartition(name, number, OFFSET_END) for name in names for number in range(topics[name])]
    consumer.assign(places)
    for place in places:  # the end must be known before anything is published
        consumer.get_watermark_offsets(place, timeout=10)
    consumer.consume(1, 2.0)
    ready.set()
    profiles: Seen = []
    firings: Seen = []
    read_profile, read_firing = msgspec.json.Decoder(_Profile).decode, msgspec.json.Decoder(_Firing).decode
    heard = time.monotonic()
    while not over.is_set() or time.monotonic() - heard < PATIENCE_S:
        messages = consumer.consume(10_000, 0) or consumer.consume(1, 0.1)
        seen_ms = time.time_ns() // 1_000_000
        for message in messages:
            value = message.value()
            if message.error() is not None or value is None:
                continue
            if message.topic() == names[0]:
                profile = read_profile(value)
                device = next((name for name in profile.identifiers if name.startswith("device_id:")), None)
                if device is not None and profile.last_seen is not None:
                    profiles.append((int(device[-14:]), round(profile.last_seen.timestamp() * 1000), seen_ms))
            else:
                at_ms, person, _ = read_firing(value).anchor_event_id.split("-")
                firings.append((int(person), int(at_ms), seen_ms))
            heard = time.monotonic()
    consumer.close()
    answer.put((profiles, firings))


def _joined(sent: Sent, took_s: float, profiles: Seen, firings: Seen) -> Latency:
    by_person: dict[int, Seen] = defaultdict(list)
    for each in profiles:
        by_person[each[0]].append(each)
    waits = []
    for person, at_ms in sent:
        waits.append(next((seen_ms - at_ms for _, shown, seen_ms in by_person[person] if shown >= at_ms), None))
    fired = {(person, at_ms): seen_ms - at_ms for person, at_ms, seen_ms in reversed(firings)}
    scores = [fired.get(each) for each in sent[::SCORES]]
    found, decided = _known(waits), _known(scores)
    return Latency(len(sent) / took_s, found, decided, len(waits) - len(found), len(scores) - len(decided))


def _known(waits: list[int | None]) -> list[int]:
    return sorted(wait for wait in waits if wait is not None)


def histogram(waits: list[int]) -> list[str]:
    """Return the lines of a histogram."""
    if not waits:
        return ["nothing was answered"]
    found = []
    for low, high in pairwise((0, *BOUNDS_MS, 1 << 60)):
        count = sum(low <= wait < high for wait in waits)
        if count:
            share = count / len(waits)
            text = f"{low:,} to {high:,} ms" if high < 1 << 60 else f"{low:,} ms and more"
            found.append(f"  {text:>18} {count:>9,} {share:7.2%} {'#' * round(50 * share)}")
    return found


def percentiles(waits: list[int]) -> str:
    """Return the middle and the tail in words."""
    if not waits:
        return "no answers"
    p50, p95, p99 = (waits[min(len(waits) - 1, int(len(waits) * q))] for q in (0.5, 0.95, 0.99))
    return f"p50 {p50:,} ms, p95 {p95:,} ms, p99 {p99:,} ms, most {waits[-1]:,} ms"
