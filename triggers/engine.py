"""Firing: what is due is checked, decided and marked, and comes out as rows.

When an instance's time has come, in this order: consent (else suppressed), `when` (else passed, without a row), caps
(else suppressed), quiet hours (else held to their end, and then all of it again), expiry (else expired), holdout (then
held out), and it fires. The decision is a mark in the part of the anchor event, so it moves with the part. Caps are
counted from the marks of all parts. No clock is read: `now_ms` is handed in.
"""

from hashlib import sha1, sha256
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from schemas.firing import Firing
from schemas.mark import EXPIRED, FIRED, HELD, HELD_OUT, OUTCOMES, PASSED, SUPPRESSED, Mark
from schemas.settings import Settings
from triggers.clock import is_quiet, quiet_end, zone
from triggers.due import Watch, watch
from triggers.facts import Facts
from triggers.instances import NEVER, Instance, marks_of
from triggers.rules import RuleSet
from triggers.scope import plain
from triggers.terms import Cap

NAMESPACE = uuid5(NAMESPACE_URL, "kith:trigger")


class Engine:
    """All rules of a configuration, over the facts of one person at a time; it holds nothing about anyone."""

    def __init__(self, ruleset: RuleSet, settings: Settings) -> None:
        self.ruleset = ruleset
        self.watches: tuple[Watch, ...] = tuple(watch(rule, settings, ruleset.timezone) for rule in ruleset.rules)
        self._by_type: dict[str, tuple[tuple[int, Watch], ...]] = {}
        for event_type in sorted({each for ready in self.watches for each in ready.reads}):
            self._by_type[event_type] = tuple(
                (place, ready) for place, ready in enumerate(self.watches) if event_type in ready.reads
            )

    def affected(self, event_type: str) -> tuple[Watch, ...]:
        """Return the rules whose next time an event of the type can change."""
        return tuple(ready for _, ready in self._by_type.get(event_type, ()))

    def checks(self, facts: Facts) -> list[int]:
        """Return for each rule, by its place in `watches`, the instant in ms at which it is to be looked at next.

        NEVER where there is nothing. A stage keeps the list beside a person, wakes at its minimum, and hands it to
        `after_event` and `fire_at`; after parts came or left it is made anew.
        """
        return [
            NEVER if check_ms is None else check_ms for check_ms in [ready.next_check(facts) for ready in self.watches]
        ]

    def after_event(self, checks: list[int], facts: Facts, event_type: str, time_ms: int) -> bool:
        """Bring a person's checks up to date after an event was folded; return whether they can have changed.

        A check may come out too early, where what it stood for was called off, but never too late.
        """
        affected = self._by_type.get(event_type)
        if affected is None:
            return False
        for place, ready in affected:
            checks[place] = ready.check_after(facts, event_type, time_ms, checks[place])
        return True

    def fire_at(self, facts: Facts, now_ms: int, one_id: str, checks: list[int]) -> list[Firing]:
        """Decide all that is to be looked at by `now_ms`, by rule, instance and anchor id, and mark it.

        `checks` says which rules to look at, and is brought up to date. The OneID is made of the person's oldest
        identifier and decides about holdouts. Returns the rows; what is held or passed gives none. A second call at
        the same instant gives nothing.
        """
        came: list[tuple[Instance, int]] = []
        for place, check_ms in enumerate(checks):
            if check_ms <= now_ms:
                ready = self.watches[place]
                checks[place] = ready.beyond_pending(facts, now_ms)
                for instance in ready.pending(facts, now_ms):
                    if instance.check_ms <= now_ms:
                        came.append((instance, place))
                    elif instance.check_ms < checks[place]:
                        checks[place] = instance.check_ms
        if not came:
            return []
        came.sort(key=lambda each: each[0].order)
        fired = _Fired(facts)
        rows: list[Firing] = []
        for instance, place in came:
            outcome, row = self._decide(facts, now_ms, one_id, instance, self.watches[place], fired)
            if row is not None:
                rows.append(row)
            if outcome.outcome == HELD:
                checks[place] = min(checks[place], outcome.at_ms)
        return rows

    def _decide(
        self,
        facts: Facts,
        now_ms: int,
        one_id: str,
        instance: Instance,
        ready: Watch,
        fired: "_Fired",
    ) -> tuple[Mark, Firing | None]:
        """Decide one instance and mark it; return the mark, and the row unless it is held or passed."""
        rule = ready.rule
        names = ready.scope

        def lookup(name: str) -> Any:
            take = names.get(name)
            return facts.lookup(name, now_ms) if take is None else take(instance.instance, instance.subject)

        reason: Any = None
        at_ms = now_ms
        quiet = self.ruleset.quiet_hours(rule)
        where = zone(facts.timezone or self.ruleset.timezone)
        if not facts.consent(rule.purpose, rule.channel):
            outcome, reason = SUPPRESSED, "consent"
        elif rule.when is not None and not rule.when.test(lookup):
            outcome = PASSED
        elif self._capped(ready, now_ms, fired):
            outcome, reason = SUPPRESSED, "cap"
        elif quiet is not None and is_quiet(where, quiet.start, quiet.end, now_ms):
            outcome, at_ms = HELD, quiet_end(where, quiet.start, quiet.end, now_ms)
        elif rule.expires_after is not None and now_ms >= instance.due_ms + rule.expires_after:
            outcome = EXPIRED
        elif in_holdout(rule.name, one_id, self.ruleset.held_out(rule).threshold):
            outcome = HELD_OUT
        else:
            outcome = FIRED
            fired.add(rule.name, rule.purpose, now_ms)
        mark = marks_of(facts, instance.part)[instance.mark_key] = Mark(outcome, at_ms, rule.purpose)
        if outcome in (HELD, PASSED):
            return mark, None
        goes = outcome == FIRED
        channels = () if not goes else facts.channels(rule.purpose) if rule.channel is None else (rule.channel,)
        return mark, Firing(
            trigger_id=trigger_id(instance.identity),
            rule=rule.name,
            rule_version=rule.version,
            one_id=one_id,
            instance=instance.instance or None,
            anchor_event_id=instance.anchor_id,
            anchor_ms=instance.anchor_ms,
            part=instance.part,
            due_ms=instance.due_ms,
            decided_ms=now_ms,
            fired_ms=now_ms if outcome in (FIRED, HELD_OUT) else None,
            outcome=OUTCOMES[outcome],
            reason=reason,
            purpose=rule.purpose,
            channels=tuple(channels),
            identifiers=tuple(facts.identifiers()) if goes else (),
            payload={name: plain(expression.evaluate(lookup)) for name, expression in rule.emit.items()},
        )

    def _capped(self, ready: Watch, now_ms: int, fired: "_Fired") -> bool:
        """Return whether the rule's own cap or the general one of its purpose leaves no room in (now - d, now]."""
        rule = ready.rule
        own = rule.cap if isinstance(rule.cap, Cap) else None
        if own is not None and fired.of_rule(rule.name, now_ms - own.window_ms, now_ms) >= own.count:
            return True
        general = self.ruleset.general_cap(rule)
        if general is None:
            return False
        return fired.of_purpose(rule.purpose, now_ms - general.window_ms, now_ms) >= general.count


class _Fired:
    """What fired for a person, read from the marks when a cap first asks."""

    __slots__ = ("_facts", "_rows")

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._rows: list[tuple[str, str, int]] | None = None

    def add(self, rule: str, purpose: str, at_ms: int) -> None:
        """Take in what fires now."""
        self._read().append((rule, purpose, at_ms))

    def of_rule(self, rule: str, after_ms: int, upto_ms: int) -> int:
        """Return how often a rule fired in (after, upto]."""
        return sum([name == rule and after_ms < at_ms <= upto_ms for name, _, at_ms in self._read()])

    def of_purpose(self, purpose: str, after_ms: int, upto_ms: int) -> int:
        """Return how often rules of a purpose fired in (after, upto]."""
        return sum([each == purpose and after_ms < at_ms <= upto_ms for _, each, at_ms in self._read()])

    def _read(self) -> list[tuple[str, str, int]]:
        if self._rows is None:
            self._rows = [
                (key[: key.index("|")], mark.purpose, mark.at_ms)
                for part in self._facts.parts
                for key, mark in part.marks.items()
                if mark.outcome == FIRED
            ]
        return self._rows


def trigger_id(identity: tuple[str, str, str]) -> str:
    """Return the id of a firing: a UUIDv5 of rule, instance and anchor event; of a calendar date rule, date, part.

    The same as `str(uuid.uuid5(NAMESPACE, ...))` (RFC 9562), at a third of its cost.
    """
    name = "\0".join(identity)  # no identifier, id or name can hold a NUL
    digest = bytearray(sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def in_holdout(rule: str, one_id: str, threshold: int) -> bool:
    """Return whether a person is held out from a rule: the first 64 bits of a SHA-256 below the threshold.

    The OneID stands for the person's oldest identifier, of which it is made.
    """
    if threshold == 0:
        return False
    return int.from_bytes(sha256(f"{rule}\0{one_id}".encode()).digest()[:8], "big") < threshold
