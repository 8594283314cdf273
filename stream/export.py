"""The state of the live pipeline as the tables that a replay writes.

What is committed at the start is what is exported; nothing is stopped and nothing is marked. Topics are read in an
order in which each can only know more than those before it: how far the profile stage has read, then its state, then
all others. So a part that travels is found where it was or on its way. What was not yet worked off is named in the
summary; for an export in which all is worked off, wait with `kith lag --wait`.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from confluent_kafka import Message

from identity.policy import Policy
from lake import tables as lake_tables
from lake.database import DATABASE, VIEWS, write_database
from lake.dead_letters import DeadLetters
from lake.late_person import LateTriggers
from lake.live_tables import LiveChanges, LiveEvents, fired_twice
from lake.profile_table import PROFILES
from lake.writer import FINISHED, check_target, whole_folder
from profiles import part as parts
from schemas.errors import ConfigError, StateError
from schemas.event import Source
from schemas.settings import Settings
from schemas.times import format_ms
from stream import dead_letters
from stream.batches import Place
from stream.broker import Broker
from stream.connection import Connection
from stream.exported_people import ExportedPeople
from stream.lag import LAKE, lag
from stream.live_graph import LiveGraph
from stream.reading import Span, read, read_topics, settle, spans
from stream.replay import nested, seldom_collected
from stream.results import Progress, write_evidence, write_people
from stream.wire import ChangeMessage, ClockMessage, PartMessage

TABLES = (*lake_tables.TABLES, PROFILES, lake_tables.LATE_EVENTS)

STATE = "profiles.state"
GRAPH = "identity.graph"
OTHERS = ("events.identified", "identity.requests", "events.deadletter", "identity.changes")
TRIGGERS = "triggers."

READ_HERE = {"resolve": "identity.requests", "profile": "events.identified"}
"""Stages whose input is read here, so that what is left to them can be counted."""

NOT_COUNTED = (*READ_HERE, LAKE)
"""Stages whose lag is not asked for: nothing that is exported follows from the lake."""

SETTLE_S = 2.0
"""Seconds to wait for an instant without open transactions, so that all topics say the same; under load none comes."""

ATTEMPTS = 5
"""Times the graph is read: its partitions may be met in the middle of a commit, which fits together a moment later."""


class EventHead(msgspec.Struct, tag_field="message", tag="event", gc=False):
    """Of an event what the tables need."""

    id: str
    type: str
    time_ms: int
    idents: list[str]
    source: Source | None = None


class Trigger(msgspec.Struct, gc=False):
    """Of a `TriggerMessage` what the table needs."""

    trigger_id: str
    rule: str
    rule_version: int
    instance: str | None
    anchor_event_id: str
    anchor_ms: int
    due_ms: int
    fired_ms: int | None
    outcome: str
    reason: str | None
    payload: msgspec.Raw
    part: str


class IdentityChange(msgspec.Struct, gc=False):
    """An `IdentityChange` of `schemas.messages`."""

    change: str
    one_id: str
    other_one_id: str | None
    reason: str | None
    at_ms: int
    evidence_event_id: str


_read_identified = msgspec.json.Decoder(EventHead | ChangeMessage | PartMessage | ClockMessage).decode
_read_trigger = msgspec.json.Decoder(Trigger).decode
_read_change = msgspec.json.Decoder(IdentityChange).decode


def export(
    connection: Connection,
    settings: Settings,
    out: Path,
    until_ms: int | None = None,
    progress: Progress = lambda phase, done, total: None,
) -> dict[str, Any]:
    """Write the live state into the folder `out` and return the summary that is also written there.

    Profiles are as of `until_ms`, by default the clock: of a backfill where it stands, else the time of day. Raises
    ConfigError for a wrong folder or an instant before the last event, TransientError if Kafka does not answer,
    StateError if topics are missing or contradict each other; then nothing is written.
    """
    check_target(out)
    with whole_folder(out) as folder, TemporaryDirectory(prefix=".scratch-", dir=folder) as scratch:
        job = _Export(connection, settings, folder, Path(scratch), progress)
        with seldom_collected():
            try:
                job.read()
                return job.write(until_ms)
            finally:
                job.close()


class _Export:
    """One run: what was gathered of each topic."""

    def __init__(
        self, connection: Connection, settings: Settings, folder: Path, scratch: Path, progress: Progress
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._folder = folder
        self._scratch = scratch
        self._progress = progress
        self._unread: Counter[str] = Counter()
        self._done: dict[Place, int] = {}
        self._gone: dict[str, int] = {}
        self._clocks: dict[int, int] = {}
        self._reasons: Counter[str] = Counter()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._announced: Counter[str] = Counter()
        self._sources: dict[str, int] = {}
        self._events = LiveEvents(scratch)
        self._changes = LiveChanges(scratch)
        self._triggers = LateTriggers(scratch)
        self._deadletters = DeadLetters(scratch)
        self._people = ExportedPeople(scratch / "people")
        self._graph = LiveGraph(Policy.from_settings(settings), settings.space)

    def read(self) -> None:
        """Gather the topics, each up to what is committed when its turn comes to be asked."""
        connection = self._connection
        broker = Broker(connection)
        topics = broker.topics()
        there = sorted(connection.bare(name) for name in topics if name.startswith(connection.prefix))
        # All places that dead letters can come from, so that their order does not depend on that of the reading.
        for name in there:
            for partition in range(topics[connection.topic(name)]):
                self._sources[f"{name}/{partition}"] = len(self._sources)
        triggers = [name for name in there if name.startswith(TRIGGERS)]
        for stage in lag(connection):
            if stage.lag and stage.stage not in NOT_COUNTED:
                self._unread[stage.stage] += stage.lag
        settle(connection, [STATE, GRAPH, *OTHERS, *triggers], SETTLE_S)
        for name, bare in READ_HERE.items():
            topic = connection.topic(bare)
            places = [(topic, partition) for partition in range(topics.get(topic, 0))]
            self._done.update(broker.committed(connection.group(name), places))
        broker.close()
        state = spans(connection, [STATE])
        others = spans(connection, [*OTHERS, *triggers])
        graph = spans(connection, [GRAPH])
        self._note_gone(others)
        takers: dict[str, Callable[[list[Message]], None]] = {
            STATE: self._state,
            GRAPH: self._graph_rows,
            "events.identified": self._identified,
            "identity.requests": self._requests,
            "events.deadletter": self._dead,
            "identity.changes": self._identity_changes,
            **dict.fromkeys(triggers, self._fired),
        }
        for messages in read(connection, {**state, **others, **graph}, partial(self._progress, "messages")):
            for (topic, _), some in groupby(messages, lambda message: (message.topic(), message.partition())):
                takers[connection.bare(topic or "")](list(some))
        self._build()

    def close(self) -> None:
        """Close the scratch files."""
        for file in (self._events, self._changes, self._triggers, self._deadletters, self._people):
            file.close()

    def write(self, until_ms: int | None) -> dict[str, Any]:
        """Write the tables, the database and the summary; return the summary."""
        folder, graph = self._folder, self._graph.graph
        owners = ((ident, one_id) for one_id, idents in graph.people() for ident in idents if graph.has_part(ident))
        types, late, last_ms = self._events.complete(folder, owners)
        now_ms = self._instant(until_ms, last_ms)
        owned = sum(graph.has_part(ident) for _, idents in graph.people() for ident in idents)
        self._people.place(graph.one_id, owned, scattered=bool(self._unread["profile"]))
        totals = write_people(folder, graph, [self._people], self._settings, now_ms, self._progress)
        write_evidence(folder, graph)
        self._changes.complete(folder)
        self._triggers.complete(folder, graph.one_id)
        twice = fired_twice(folder)
        if twice:
            raise StateError(f"triggers stand twice in Kafka, which must never be: {', '.join(twice)}; report it")
        self._deadletters.complete(folder, list(self._sources))
        self._progress("tables", 1, 2)
        write_database(folder, folder / DATABASE, TABLES, VIEWS)
        under_way = self._people.under_way()
        summary = {
            "events": sum(types.values()),
            "late_events": late,
            "deadletters": sum(self._reasons.values()),
            **totals,
            **{change: self._announced[change] for change in ("merged", "split", "refused", "hub")},
            "triggers": sum(self._outcomes.values()),
            "until": format_ms(now_ms),
            "complete": not any(self._unread.values()) and not any(under_way.values()),
            "unread": dict(sorted(self._unread.items())),
            **under_way,
            "no_longer_in_kafka": self._gone,
            "events_by_type": types,
            "deadletters_by_reason": dict(sorted(self._reasons.items())),
            "triggers_by_rule": nested(self._outcomes),
            "settings": self._settings.model_dump(mode="json", exclude={"kafka": {"options"}}),
        }
        text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        (folder / FINISHED).write_bytes(text + b"\n")
        self._progress("tables", 2, 2)
        return summary

    # One topic each

    def _state(self, messages: list[Message]) -> None:
        put = self._people.put
        for message in messages:
            put(int(message.partition() or 0), message.key() or b"", message.value())

    def _identified(self, messages: list[Message]) -> None:
        self._count_unread("profile", messages)
        add, bare, clocks = self._events.add, self._connection.bare, self._clocks
        for message in messages:
            said = _said(message)
            partition, offset = int(message.partition() or 0), int(message.offset() or 0)
            if type(said) is EventHead:
                add((partition, offset, message.timestamp()[1], clocks.get(partition), *_columns(said, bare)))
            elif type(said) is ChangeMessage:
                for move in said.moves:
                    custody = move.part, move.from_one_id, move.to_one_id
                    self._events.move((partition, offset, said.step, said.at_ms, *custody))
            elif type(said) is PartMessage:
                if offset >= self._done.get((str(message.topic()), partition), 0):
                    self._people.travels(said.one_id, parts.decode(said.state))
            elif type(said) is ClockMessage:
                clocks[partition] = max(said.to_ms, clocks.get(partition, 0))

    def _requests(self, messages: list[Message]) -> None:
        """Take stewards' commands, which are addressed to nobody and so stand here only."""
        self._count_unread("resolve", messages)
        add, bare = self._events.add, self._connection.bare
        for message in messages:
            said = _said(message)
            if type(said) is EventHead and not said.idents:
                add((-1, message.offset(), message.timestamp()[1], None, *_columns(said, bare)))

    def _count_unread(self, stage: str, messages: list[Message]) -> None:
        """Count the messages that a stage had before it; its offsets are from before the ends of the topics."""
        done = self._done
        last = messages[-1]
        if int(last.offset() or 0) < done.get((str(last.topic()), int(last.partition() or 0)), 0):
            return
        for message in messages:
            if int(message.offset() or 0) >= done.get((str(message.topic()), int(message.partition() or 0)), 0):
                self._unread[stage] += 1

    def _dead(self, messages: list[Message]) -> None:
        for message in messages:
            letter = _decoded(dead_letters.decode, message)
            self._reasons[letter.reason] += 1
            self._events.refuse(letter.source, letter.partition, letter.offset)
            source = f"{letter.source}/{letter.partition}"
            place = self._sources.setdefault(source, len(self._sources))
            self._deadletters.add(place, (letter.offset + 1, letter.reason, letter.detail, letter.raw))

    def _identity_changes(self, messages: list[Message]) -> None:
        for message in messages:
            said = _decoded(_read_change, message)
            self._announced[said.change] += 1
            self._changes.add(
                (said.at_ms, said.change, said.one_id, said.other_one_id, said.reason, said.evidence_event_id)
            )

    def _fired(self, messages: list[Message]) -> None:
        add = self._triggers.add
        for message in messages:
            said = _decoded(_read_trigger, message)
            self._outcomes[said.rule, said.outcome] += 1
            add(
                (
                    said.trigger_id,
                    said.rule,
                    said.rule_version,
                    said.instance,
                    said.anchor_event_id,
                    said.anchor_ms,
                    said.due_ms,
                    said.fired_ms,
                    said.outcome,
                    said.reason,
                    bytes(said.payload).decode(),
                    said.part,
                )
            )

    def _graph_rows(self, messages: list[Message]) -> None:
        apply = self._graph.apply
        for message in messages:
            apply(message.key() or b"", message.value())

    def _build(self) -> None:
        """Build the graph; if it was met in the middle of a commit, read it again."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._graph.verify()
            except StateError:
                if attempt == ATTEMPTS:
                    raise
            else:
                return
            time.sleep(0.5 * attempt)
            self._graph = LiveGraph(Policy.from_settings(self._settings), self._settings.space)
            for messages in read_topics(self._connection, [GRAPH]):
                self._graph_rows(messages)

    # What follows from all of them

    def _instant(self, until_ms: int | None, last_ms: int | None) -> int:
        """Return as of when profiles are derived."""
        if until_ms is not None:
            if last_ms is not None and until_ms < last_ms:
                raise ConfigError(f"--until: before the last event, {format_ms(last_ms)}; what counts cannot be undone")
            return until_ms
        clock_ms = self._people.clock_ms
        return int(time.time() * 1000) if clock_ms is None else max(clock_ms, last_ms or 0)

    def _note_gone(self, others: dict[Place, Span]) -> None:
        """Note how many messages Kafka has let go of: the tables of events and triggers begin after them."""
        for (topic, _), span in others.items():
            if span.begin:
                name = self._connection.bare(topic)
                self._gone[name] = self._gone.get(name, 0) + span.begin


def _columns(event: EventHead, bare: Callable[[str], str]) -> Sequence[Any]:
    source = event.source
    part = event.idents[0] if event.idents else None
    where = (None, None, None) if source is None else (bare(source.topic), source.partition, source.offset)
    return (event.id, event.type, event.time_ms, part, *where)


def _said(message: Message) -> Any:
    """Return what a message between the stages says, None if it is none: it is a dead letter, or will be."""
    try:
        return _read_identified(message.value() or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _decoded(decode: Callable[[bytes], Any], message: Message) -> Any:
    """Return what a message says. Raises StateError that names the message if it cannot be read."""
    try:
        return decode(message.value() or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        where = f"{message.topic()} [{message.partition()}] at {message.offset()}"
        raise StateError(f"{where}: is no message of Kith: {error}") from error
