"""The profile stage: folds events into parts, carries out moves of parts, fires what is due.

The rules of the chain of custody, which keep every part with exactly one person and every event in its part once:

- Only a `PartChange` creates, moves or drops a part; an event for a part that is not here bounces to the resolver.
- A change is read in two steps: at once all parts that leave stop being members and all that come become members;
  then the moves wait in each person's queue behind what came before.
- A person works its queue in order. Parts that leave go first (waiting for one's own before giving away another's
  could lock two people in a ring), then the person waits, frozen as a whole, until all that come are in.
- Before an event or a change counts, what was due before its time fires, with the people as they were until then.

There are two clocks. Without a wall clock (`wall_ms` 0: replay, backfill) a trigger fires at its own time, when an
event or `advance` shows that this time has come. With one, it fires at `wall_ms`, the time of day: what is late because
of an outage is judged by how late it really is.
"""

from collections import deque
from collections.abc import Callable, Iterable

from profiles.fold import DUPLICATE, FOLDED, Folder
from profiles.part import Part, new_part
from schemas.errors import StateError
from schemas.event import Event
from schemas.firing import Firing
from schemas.settings import Settings
from stream.messages import PartChange, PartTransfer, Request, Routed
from stream.people import People
from stream.person import MoveItem, Person
from triggers.engine import Engine
from triggers.instances import NEVER


class ProfileStage:
    """The people of one partition.

    `owns(one_id)` tells which people live here. What the stage has to say goes to `send` (transfers of parts and
    bounced events), to `publish` (firings), to `refuse` (events that came too late, or with the id of another one; the
    number is that of `fold`), to `gone` (people who have no part any more) and to `ticket` (a ticket was opened).
    `news` gathers the OneIDs of those whose facts changed, for the caller to publish and clear. `inbox` holds parts
    that came before their change. What is due by `now_ms` may fire without any event.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        people: People,
        send: Callable[[PartTransfer | Request], None],
        publish: Callable[[Firing], None],
        owns: Callable[[str], bool] = lambda one_id: True,
        refuse: Callable[[Event, int], None] = lambda event, outcome: None,
        gone: Callable[[Person], None] = lambda person: None,
        ticket: Callable[[Person, Event], None] | None = None,
    ) -> None:
        self.people = people
        self.duplicates = 0
        self.wall_ms = 0
        self.now_ms = 0
        self.news: dict[str, None] = {}
        self.waiting: dict[str, None] = {}
        self.inbox: dict[tuple[int, str], Part] = {}
        self._refuse = refuse
        self._gone = gone
        self._ticket = ticket
        self._settings = settings
        self._engine = engine
        self._fold = Folder(settings).fold
        self._send = send
        self._publish = publish
        self._owns = owns
        self._after_event = engine.after_event

    def event(self, message: Routed) -> None:
        """Fold the event into its part, now or when the person is no longer frozen; or bounce it."""
        event = message.event
        person = self.people.get(message.one_id)
        if person is None or event.idents[0] not in person.members:
            self._send(Request(event))
        elif person.queue is None:
            self._count(person, event)
        else:
            person.queue.append(event)
            self._work(person)

    def change(self, message: PartChange) -> None:
        """Take part in a decision of the resolver: drop and add members at once, then queue the moves."""
        items: dict[str, MoveItem] = {}

        def item(one_id: str) -> MoveItem:
            if one_id not in items:
                items[one_id] = MoveItem(message.step, message.at_ms, [], [])
            return items[one_id]

        for move in message.moves:
            if move.from_one_id is not None and self._owns(move.from_one_id):
                giver = self.people.create(move.from_one_id)
                giver.moving_members().discard(move.part)
                item(giver.one_id).outs.append((move.part, move.to_one_id))
        for move in message.moves:
            if self._owns(move.to_one_id):
                taker = self.people.create(move.to_one_id)
                taker.moving_members().add(move.part)
                item(taker.one_id).ins.append((move.part, move.from_one_id))
        for one_id, moves in items.items():
            person = self.people.create(one_id)
            if person.queue is None:
                person.queue = deque()
            person.queue.append(moves)
            self._work(person)

    def transfer(self, message: PartTransfer) -> None:
        """Take in a part; it may come before or after its change is reached."""
        key = (message.step, message.part.key)
        if key in self.inbox:
            raise StateError(f"part {message.part.key} came twice with step {message.step}: restore from the changelog")
        self.inbox[key] = message.part
        person = self.people.get(message.one_id)
        if person is not None:
            self._work(person)

    def advance(self, to_ms: int) -> None:
        """Move everybody's clock on to `to_ms`, firing what is due by then, that instant included."""
        for person in self.people.each():
            if person.wake_ms <= to_ms and person.wait is None:
                self._fire_before(person, to_ms + 1)
                self.people.put(person)

    def fire(self, one_ids: Iterable[str], until_ms: int) -> None:
        """Fire what these people have due by `until_ms`, that instant included; who is frozen fires later."""
        for one_id in one_ids:
            person = self.people.get(one_id)
            if person is not None and person.wake_ms <= until_ms and person.wait is None:
                self._fire_before(person, until_ms + 1)

    def fire_news(self) -> None:
        """With a wall clock: fire at once what is due by a person's newest event, without waiting for the next one."""
        for one_id in self.news:
            person = self.people.get(one_id)
            if person is not None and person.wait is None:
                until_ms = max(self.now_ms, person.clock_ms)
                if person.wake_ms <= until_ms:
                    self._fire_before(person, until_ms + 1)

    def frozen(self) -> list[str]:
        """Return the OneIDs of people who wait for parts, sorted."""
        return [person.one_id for person in self.people.each() if person.wait is not None]

    def _work(self, person: Person) -> None:
        """Work the queue of a person as far as it goes."""
        queue = person.queue
        while True:
            if person.wait is not None:
                step, missing = person.wait
                for key in sorted(missing):
                    part = self.inbox.pop((step, key), None)
                    if part is not None:
                        person.parts[key] = part
                        missing.discard(key)
                        if part.last_ms > person.clock_ms:
                            person.clock_ms = part.last_ms
                if missing:
                    self.waiting[person.one_id] = None
                    return
                person.wait = None
                self.waiting.pop(person.one_id, None)
                self.news[person.one_id] = None  # what was to be told when the move began could not be
                self._parts_changed(person)
            if not queue:
                break
            step_or_event = queue.popleft()
            if isinstance(step_or_event, Event):
                self._count(person, step_or_event)
            else:
                self._move(person, step_or_event)
        if person.parts:
            person.settle()
            if person.wake_ms <= self.now_ms:  # the clock went on while the person was frozen
                self._fire_before(person, self.now_ms + 1)
        else:
            self._gone(person)
            self.news.pop(person.one_id, None)
            self.people.remove(person.one_id)

    def _move(self, person: Person, item: MoveItem) -> None:
        """Give the parts that leave, then take those that come."""
        self._fire_before(person, item.at_ms)
        person.clock_ms = max(person.clock_ms, item.at_ms)
        self.news[person.one_id] = None
        for key, to_one_id in item.outs:
            self._send(PartTransfer(item.step, to_one_id, person.parts.pop(key)))
        missing = set()
        for key, from_one_id in item.ins:
            if from_one_id is None:
                person.parts[key] = new_part(key)
            else:
                missing.add(key)
        if missing:
            person.wait = (item.step, missing)
        if item.outs:
            self._parts_changed(person)
        else:
            person.parts_changed()  # an empty part says nothing yet, and a person who waits is not looked at
            if not person.checks:
                person.checks = [NEVER] * len(self._engine.watches)

    def _parts_changed(self, person: Person) -> None:
        person.parts_changed()
        person.checks = self._engine.checks(person.facts(self._settings))
        person.wake_ms = min(person.checks, default=NEVER)

    def _count(self, person: Person, event: Event) -> None:
        """Fold the event into its part; wake no later than what it made due."""
        time_ms = event.time_ms
        if person.wake_ms < time_ms:
            self._fire_before(person, time_ms)
        outcome = self._fold(person.parts[event.idents[0]], event)
        if outcome != FOLDED:
            if outcome == DUPLICATE:
                self.duplicates += 1
            else:
                self._refuse(event, outcome)
            return
        self.news[person.one_id] = None
        if time_ms > person.clock_ms:
            person.clock_ms = time_ms
        facts = person.facts(self._settings)
        facts.folded(event)
        if event.type == "ticket.opened" and self._ticket is not None:
            self._ticket(person, event)
        if self._after_event(person.checks, facts, event.type, time_ms):
            person.wake_ms = min(person.checks, default=NEVER)

    def _fire_before(self, person: Person, before_ms: int) -> None:
        """Fire what is due before the instant, each at its time.

        What became known only after its due time counts from the person's clock: it fires there, once every event
        of that instant is in. With a wall clock everything fires now.
        """
        while person.wake_ms < before_ms:
            now_ms = max(person.wake_ms, person.clock_ms, self.wall_ms)
            if now_ms >= before_ms and not self.wall_ms:
                return
            facts = person.facts(self._settings)
            for firing in self._engine.fire_at(facts, now_ms, person.one_id, person.checks):
                self._publish(firing)
            person.clock_ms = now_ms
            person.wake_ms = min(person.checks)
            if person.wake_ms <= now_ms:
                raise StateError(f"a timer of {person.one_id} stands still at {now_ms}: report the rule and the event")
