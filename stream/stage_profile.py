"""The profile stage, live: people in local stores, their changelog, public profiles, tags, firings.

One worker has some of the partitions. Of each it keeps the people in a store that holds what is committed, and the
offset of the changelog that this reflects; what it lacks it reads from the changelog when the partition comes.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Message, TopicPartition

from profiles import part as parts
from profiles.fold import TOO_LATE
from schemas.errors import Reason
from schemas.event import Event, Source
from schemas.firing import Firing
from schemas.settings import Settings
from stream.batches import Place
from stream.changelog import read_to_end
from stream.connection import Connection
from stream.dead_letters import dead_letter
from stream.live_people import LivePeople
from stream.messages import Advance, PartChange, PartTransfer, Request, Routed
from stream.metrics import Metrics
from stream.originals import Originals
from stream.person import Person
from stream.profile import ProfileStage
from stream.public import Public, firing_message, left_segments, ticket_message
from stream.runner import Spot
from stream.store import Store
from stream.transaction import Outbox
from stream.wire import decode, encode, encode_event, partition_of
from triggers.engine import Engine
from triggers.instances import NEVER

log = logging.getLogger(__name__)

DUE = 2_000
"""People with something due, or a profile to publish, that are served in one transaction."""

DUE_S = 0.2
"""Seconds between two looks at the clock while batches follow each other."""

CLOCK = "clock"
INBOX = "inbox"
INPUT = "input"
"""The record that ends each batch's records of a partition: up to which offset of `events.identified`, exclusive, they
reflect the partition's messages. So a copy of the changelog that ends with it is the state at a known place."""

_pack = msgspec.msgpack.Encoder().encode
_unpack_inbox = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode
_unpack_int = msgspec.msgpack.Decoder(int).decode


class Partition:
    """One partition: its store, its people, and the stage that works on them."""

    def __init__(self, number: int, store: Store, people: LivePeople, stage: ProfileStage) -> None:
        self.number = number
        self.store = store
        self.people = people
        self.stage = stage
        self.inbox_was: bytes | None = None
        self.input = 0
        self.input_was = 0

    def load(self) -> None:
        """Take the clock and the inbox from the store."""
        clock = self.people.meta_get(CLOCK)
        self.stage.now_ms = 0 if clock is None else _unpack_int(clock)
        self.inbox_was = self.people.meta_get(INBOX)
        read = self.people.meta_get(INPUT)
        self.input = self.input_was = 0 if read is None else _unpack_int(read)
        self.stage.inbox.clear()
        for step, state in [] if self.inbox_was is None else _unpack_inbox(self.inbox_was):
            part = parts.decode(state)
            self.stage.inbox[step, part.key] = part
        self.stage.news.clear()
        self.stage.waiting.clear()

    def save_inbox(self) -> None:
        """Put the inbox into the records of the batch, if it changed."""
        inbox = self.stage.inbox
        if not inbox and self.inbox_was is None:
            return
        value = _pack([(step, parts.encode(part)) for (step, _), part in inbox.items()]) if inbox else None
        if value != self.inbox_was:
            self.people.meta_put(INBOX, value)
            self.inbox_was = value

    def save_input(self) -> None:
        """Put how far the input was read behind all other records of the batch, if there are any or it was read."""
        if self.people.changed or self.input != self.input_was:
            self.people.meta_put(INPUT, _pack(self.input))
            self.input_was = self.input


class ProfileWork:
    """The partitions of one worker. `clock_ms()` is the wall clock's watermark (see `live_clock`), None for backfills.

    `view` of partitions and stores is read by the API's thread, which sees what is committed.
    """

    name = "profile"
    merged = False
    pipelined = True
    ticks = True

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        engine: Engine,
        metrics: Metrics,
        partitions: int,
        data: Path,
        clock_ms: Callable[[], int] | None,
    ) -> None:
        self.topics = ["events.identified"]
        self.at: Message | None = None
        self.partitions = partitions
        self.open_partitions: dict[int, Partition] = {}  # replaced, never changed: other threads go through it
        self._settings = settings
        self._connection = connection
        self._engine = engine
        self._metrics = metrics
        self._data = data
        self._clock_ms = clock_ms
        self._public = Public(settings)
        self._originals = Originals(connection)
        self._max_people = settings.worker.people_in_memory
        self._outbox = Outbox(None)
        self._refused: list[tuple[Event, Reason, str]] = []
        self._collected: list[list[tuple[Partition, Any]]] = []
        self._due_at = 0.0
        self._identified = connection.topic("events.identified")
        self._requests = connection.topic("identity.requests")
        self._state = connection.topic("profiles.state")
        self._profiles = connection.topic("profiles")
        self._segments = connection.topic("segments.changes")
        self._tickets = connection.topic("quality.tickets")
        self._deadletter = connection.topic("events.deadletter")
        self._bare = connection.bare
        self._triggers = {ready.rule.name: connection.topic(f"triggers.{ready.rule.name}") for ready in engine.watches}
        self._space = settings.space

    # Partitions come and go

    def open(self, places: list[TopicPartition]) -> None:
        """Open the stores and bring them up to date from the changelog."""
        started = time.perf_counter()
        fresh = []
        for place in places:
            store = Store(self._data / f"profile-{place.partition}")
            fresh.append((place.partition, store))
        restored = self._restore(dict(fresh))
        offsets = {place.partition: place.offset for place in places}
        for number, store in fresh:
            people = LivePeople(store, max(100, self._max_people // max(1, len(fresh) + len(self.open_partitions))))
            stage = ProfileStage(
                self._settings,
                self._engine,
                people,  # type: ignore[arg-type]  # the same methods
                self._send,
                self._publish,
                owns=lambda one_id, number=number: partition_of(one_id, self.partitions) == number,  # type: ignore[misc]
                refuse=self._refuse,
                gone=self._gone,
                ticket=self._ticket,
            )
            partition = Partition(number, store, people, stage)
            partition.load()
            partition.input = max(partition.input, offsets[number])
            self.open_partitions = {**self.open_partitions, number: partition}
        seconds = time.perf_counter() - started
        self._metrics.restored("profile", restored, seconds)
        log.info("profile: %d records of the changelog read in %.1f s", restored, seconds)

    def close(self, places: list[Place]) -> None:
        """Close the stores; what is in them stays for the next time."""
        for _, number in places:
            left = dict(self.open_partitions)
            partition = left.pop(number, None)
            self.open_partitions = left
            if partition is not None:
                partition.store.flush()
                partition.store.close()

    def _restore(self, stores: dict[int, Store]) -> int:
        restored = 0
        starts = {(self._state, number): store.offset for number, store in stores.items()}
        for (_, number), records, offset in read_to_end(self._connection, starts):
            LivePeople.restore_into(stores[number], records, offset)
            restored += len(records)
        return restored

    # Batches

    def held_back(self) -> bool:
        """Return False: it waits for nobody."""
        return False

    def process(self, messages: list[Message], broken: set[Spot]) -> Outbox:
        """Work messages off; return what is to be written."""
        self._outbox = Outbox(self._state)
        self._begin()
        partitions = self.open_partitions
        for message in messages:
            self.at = message
            partition = partitions[message.partition() or 0]
            partition.input = (message.offset() or 0) + 1
            stage = partition.stage
            try:
                said = decode(message.value() or b"")
            except (msgspec.MsgspecError, TypeError) as error:
                self._refuse_bytes(message, str(error))
                continue
            if type(said) is Routed:
                if broken and (message.topic(), message.partition(), message.offset()) in broken:
                    self._refused.append((said.event, "failed", "the event broke the profile stage"))
                    continue
                stage.event(said)
            elif type(said) is PartChange:
                stage.change(said)
            elif type(said) is PartTransfer:
                stage.transfer(said)
            elif type(said) is Advance:
                self._advance(partition, said.to_ms)
            else:
                self._refuse_bytes(message, "an event without a person")
        self.at = None
        if time.monotonic() - self._due_at > DUE_S:
            self._due()
        self._finish(busy=len(messages) >= self._settings.worker.batch)
        return self._outbox

    def tick(self) -> Outbox | None:
        """Fire what is due by the clock, and publish profiles that were put off or change by themselves."""
        self._outbox = Outbox(self._state)
        self._begin()
        self._due()
        for partition in self.open_partitions.values():
            for one_id in partition.people.unpublished(DUE):
                partition.stage.news[one_id] = None
        self._finish(busy=False)
        if len(self._outbox):
            return self._outbox
        self._collected.pop()
        return None

    def committed(self, delivered: Mapping[int, int]) -> None:
        """Write the oldest batch that awaited its commit into the stores; `delivered` are offsets of the changelog."""
        for partition, records in self._collected.pop(0):
            offset = delivered.get(partition.number)
            partition.people.written(records, None if offset is None else offset + 1)

    def forget(self) -> None:
        """Go back to what the stores have."""
        self._collected.clear()
        self._refused.clear()
        for partition in self.open_partitions.values():
            partition.people.forget()
            partition.load()

    def _begin(self) -> None:
        if self._clock_ms is not None:
            now_ms, wall_ms = self._clock_ms(), int(time.time() * 1000)
            for partition in self.open_partitions.values():
                partition.stage.now_ms = now_ms
                partition.stage.wall_ms = wall_ms

    def _due(self) -> None:
        """Fire what is due by the wall clock; note whose profile changes by itself."""
        self._due_at = time.monotonic()
        if self._clock_ms is None:
            return
        for partition in self.open_partitions.values():
            stage, people = partition.stage, partition.people
            due = people.due(stage.now_ms, DUE)
            stage.fire(due, stage.now_ms)
            for one_id in due:
                person = people.get(one_id)
                if person is not None and person.refresh_ms <= stage.now_ms:
                    stage.news[one_id] = None

    def _finish(self, busy: bool) -> None:
        """Publish what changed, and gather the records of the changelog."""
        collected = []
        wall_ms = int(time.time() * 1000)
        duplicates = 0
        late = sum(reason == "too_late" for _, reason, _ in self._refused)
        for partition in self.open_partitions.values():
            stage = partition.stage
            if self._clock_ms is not None:
                stage.fire_news()
            if stage.news:
                self._publish_news(partition, wall_ms, busy)
            partition.save_inbox()
            partition.save_input()
            records = partition.people.collect()
            if records:
                number = partition.number
                self._outbox.messages[self._state, number] = [
                    {"key": key, "value": value} for key, value in records.items()
                ]
            collected.append((partition, records))
            duplicates += stage.duplicates
            stage.duplicates = 0
        if self._refused:
            self._write_refused()
        self._metrics.folded(late, duplicates)
        self._collected.append(collected)

    def _publish_news(self, partition: Partition, wall_ms: int, busy: bool) -> None:
        """Publish the profiles of people with news; while there is more to do than time, those are put off."""
        stage, people = partition.stage, partition.people
        profiles = changes = 0
        for one_id in stage.news:
            person = people.get(one_id)
            if person is None or not person.parts:
                continue
            if busy or person.wait is not None:
                person.unpublished = True
                continue
            now_ms = wall_ms if self._clock_ms is not None else max(stage.now_ms, person.clock_ms)
            rendered = self._public.render(person, now_ms)
            self._outbox.add(self._profiles, one_id, rendered.value)
            for change in rendered.changes:
                self._outbox.add(self._segments, one_id, change)
            profiles += 1
            changes += len(rendered.changes)
            person.tags = rendered.tags
            person.published_ms = now_ms
            person.refresh_ms = rendered.refresh_ms if self._clock_ms is not None else NEVER
            person.unpublished = False
        stage.news.clear()
        if profiles:
            self._metrics.published(profiles, changes)

    def _advance(self, partition: Partition, to_ms: int) -> None:
        if self._clock_ms is not None:
            log.warning("a command to set the clock was ignored: it goes by the time of day")
            return
        stage = partition.stage
        if to_ms > stage.now_ms:
            stage.now_ms = to_ms
            partition.people.meta_put(CLOCK, _pack(to_ms))
        # Decided at their own time each, so it does not matter that not all fire in one go.
        due = partition.people.due(to_ms, 1 << 40)
        stage.fire(due, to_ms)

    # What the stages say

    def _send(self, message: PartTransfer | Request) -> None:
        if isinstance(message, Request):
            self._outbox.add(self._requests, self._space, encode_event(message.event, None), 0)
            self._metrics.bounced()
        else:
            one_id = message.one_id
            self._outbox.add(self._identified, one_id, encode(message), partition_of(one_id, self.partitions))
            self._metrics.part_moved()

    def _publish(self, firing: Firing) -> None:
        self._outbox.add(self._triggers[firing.rule], firing.one_id, firing_message(firing))
        self._metrics.fired(firing.rule, firing.outcome)

    def _ticket(self, person: Person, event: Event) -> None:
        said = ticket_message(person, event, self._settings)
        if said is not None:
            self._outbox.add(self._tickets, *said)

    def _gone(self, person: Person) -> None:
        """A person without parts: another one's identifiers now. Its tags are left, its profile is withdrawn."""
        self._outbox.add(self._profiles, person.one_id, None)
        for change in left_segments(person, int(time.time() * 1000)):
            self._outbox.add(self._segments, person.one_id, change)

    def _refuse(self, event: Event, outcome: int) -> None:
        if outcome == TOO_LATE:
            days = self._settings.horizon_days
            why: tuple[Reason, str] = (
                "too_late",
                f"time: older than the newest event of {event.idents[0]} by more than {days} days",
            )
        else:
            why = ("id_conflict", f"id: {event.id!r} belongs to an earlier event with other content")
        self._refused.append((event, *why))

    def _refuse_bytes(self, message: Message, why: str) -> None:
        place = message.partition() or 0, message.offset() or 0
        detail = f"a message of events.identified: {why}"
        value = dead_letter("failed", detail, "events.identified", *place, message.value() or b"")
        self._outbox.add(self._deadletter, message.key(), value)
        self._metrics.refused("failed")

    def _write_refused(self) -> None:
        """Make dead letters of refused events, with their bytes from the topic they came from."""
        refused, self._refused = self._refused, []
        originals = self._originals.fetch([event.source for event, _, _ in refused if event.source is not None])
        for event, reason, detail in refused:
            source = event.source or Source("", 0, 0, 0, 1)
            key, raw = originals.get((source.topic, source.partition, source.offset), (None, None))
            if raw is None:
                detail += "; its bytes are no longer in Kafka, this is what was left of it"
                raw = encode_event(event, None)
            topic = self._bare(source.topic)
            value = dead_letter(reason, detail, topic, source.partition, source.offset, raw)
            self._outbox.add(self._deadletter, key, value)
            self._metrics.refused(reason)


def each_store(work: ProfileWork) -> Iterator[Store]:
    """Yield the open stores."""
    for partition in list(work.open_partitions.values()):
        yield partition.store
