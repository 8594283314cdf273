"""Firing: what is due is checked, decided and marked, and comes out as rows.

When an instance's time has come, in this order: consent (else suppressed), `when` (else passed, without a row), caps
(else suppressed), quiet hours (else held to their end, and then all of it again), expiry (else expired), holdout (then
held out), and it fires. The decision is a mark in the part of the anchor event, so it moves with the part. Caps are
counted from the marks of all parts. No clock is read: `now_ms` is handed in.
"""

from hashlib import sha256
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from schemas.firing import Firing
from schemas.mark import EXPIRED, FIRED, HELD, HELD_OUT, OUTCOMES, PASSED, SUPPRESSED, Mark
from schemas.settings import Settings
from triggers.anchors import DayFirst, LowScore
from triggers.clock import day_number, is_quiet, quiet_end, zone
from triggers.due import Watch, watch
from triggers.facts import Facts, PartLike
from triggers.instances import Instance, marks_of
from triggers.rules import RuleSet
from triggers.scope import plain
from triggers.terms import Cap

DAY_MS = 86_400_000
NAMESPACE = uuid5(NAMESPACE_URL, "kith:trigger")
LOOKED_BACK_DAYS = 11  # with the horizon: well beyond the days for which scores stay readable


class Engine:
    """All rules of a configuration, over the facts of one person at a time; it holds nothing about anyone."""

    def __init__(self, ruleset: RuleSet, settings: Settings) -> None:
        self.ruleset = ruleset
        self.watches: tuple[Watch, ...] = tuple(watch(rule, settings, ruleset.timezone) for rule in ruleset.rules)
        self._by_type: dict[str, tuple[Watch, ...]] = {}
        for event_type in sorted({each for ready in self.watches for each in ready.reads}):
            self._by_type[event_type] = tuple(ready for ready in self.watches if event_type in ready.reads)
        self._days = self._prefixes(DayFirst)
        self._scores = self._prefixes(LowScore)
        self._scores_ms = (settings.horizon_days + LOOKED_BACK_DAYS) * DAY_MS
        windows = [rule.cap.window_ms for rule in ruleset.rules if isinstance(rule.cap, Cap)]
        self._caps_ms = max([0, *windows, *(cap.window_ms for cap in ruleset.caps.values())])

    def _prefixes(self, kind: type) -> tuple[str, ...]:
        return tuple(f"{rule.name}|" for rule in self.ruleset.rules if isinstance(rule.since, kind))

    def affected(self, event_type: str) -> tuple[Watch, ...]:
        """Return the rules whose next time an event of the type can change."""
        return self._by_type.get(event_type, ())

    def next_wake(self, facts: Facts) -> int | None:
        """Return the earliest instant in ms at which anything is to be looked at, None if there is nothing."""
        earliest: int | None = None
        for ready in self.watches:
            check_ms = ready.next_check(facts)
            if check_ms is not None and (earliest is None or check_ms < earliest):
                earliest = check_ms
        return earliest

    def wake_after(self, facts: Facts, event_type: str, time_ms: int, wake_ms: int | None) -> int | None:
        """Return when to wake after an event, given when it was to be before the event; the lean form per event.

        Never later than `next_wake`; earlier if what `wake_ms` stood for is called off. Waking too early is harmless:
        `fire_at` then gives nothing, and `next_wake` the exact time.
        """
        for ready in self._by_type.get(event_type, ()):
            check_ms = ready.next_after(facts, event_type, time_ms)
            if check_ms is not None and (wake_ms is None or check_ms < wake_ms):
                wake_ms = check_ms
        return wake_ms

    def fire_at(self, facts: Facts, now_ms: int, one_id: str, oldest_ident: str) -> list[Firing]:
        """Decide all that is to be looked at by `now_ms`, by rule, instance and anchor id, and mark it.

        `oldest_ident` is the person's oldest identifier, which decides about holdouts; `one_id` is only handed on.
        Returns the rows; what is held or passed gives none. A second call at the same instant gives nothing.
        """
        came: list[tuple[Instance, Watch]] = []
        for ready in self.watches:
            check_ms = ready.next_check(facts)
            if check_ms is not None and check_ms <= now_ms:
                came += [(each, ready) for each in ready.pending(facts, now_ms) if each.check_ms <= now_ms]
        if not came:
            return []
        came.sort(key=lambda each: each[0].order)
        fired = _fired(facts)
        rows: list[Firing] = []
        for instance, ready in came:
            row = self._decide(facts, now_ms, one_id, oldest_ident, instance, ready, fired)
            if row is not None:
                rows.append(row)
        return rows

    def _decide(
        self,
        facts: Facts,
        now_ms: int,
        one_id: str,
        oldest_ident: str,
        instance: Instance,
        ready: Watch,
        fired: list[tuple[str, str, int]],
    ) -> Firing | None:
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
        elif in_holdout(rule.name, oldest_ident, self.ruleset.held_out(rule).threshold):
            outcome = HELD_OUT
        else:
            outcome = FIRED
            fired.append((rule.name, rule.purpose, now_ms))
        marks_of(facts, instance.part)[instance.mark_key] = Mark(outcome, at_ms, rule.purpose)
        if outcome in (HELD, PASSED):
            return None
        goes = outcome == FIRED
        channels = () if not goes else facts.channels(rule.purpose) if rule.channel is None else (rule.channel,)
        return Firing(
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

    def _capped(self, ready: Watch, now_ms: int, fired: list[tuple[str, str, int]]) -> bool:
        """Return whether the rule's own cap or the general one of its purpose leaves no room in (now - d, now]."""
        rule = ready.rule
        own = rule.cap if isinstance(rule.cap, Cap) else None
        if own is not None:
            used = sum(name == rule.name and now_ms - own.window_ms < at_ms <= now_ms for name, _, at_ms in fired)
            if used >= own.count:
                return True
        general = self.ruleset.general_cap(rule)
        if general is None:
            return False
        used = sum(
            purpose == rule.purpose and now_ms - general.window_ms < at_ms <= now_ms for _, purpose, at_ms in fired
        )
        return used >= general.count

    def prune(self, part: PartLike, now_ms: int, views_from_ms: int = 0) -> int:
        """Drop the marks of views and scores that a part can no longer give as facts; return how many went.

        Scores are among the facts for a time after the part's newest event. Views are kept by number: the oldest that
        the part still holds is `views_from_ms` (0: none has been dropped yet), and days well before it are over. What
        a cap can count stays as long as it can; marks of orders, carts, tickets and calendar dates stay for good.
        """
        last_ms = min(now_ms, part.last_ms)
        marks = part.marks
        old = [key for key, mark in marks.items() if mark.at_ms < last_ms - self._caps_ms]
        gone = [
            key
            for key in old
            if (key.startswith(self._scores) and marks[key].at_ms < last_ms - self._scores_ms)
            or (key.startswith(self._days) and _day_end(key) < views_from_ms)
        ]
        for key in gone:
            del marks[key]
        return len(gone)


def _day_end(key: str) -> int:
    """Return an instant by which the local day of a view's mark was over in every time zone."""
    return (day_number(key.split("|", 2)[1]) + 2) * DAY_MS


def _fired(facts: Facts) -> list[tuple[str, str, int]]:
    """Return (rule, purpose, fired time) of all that fired for a person."""
    return [
        (key[: key.index("|")], mark.purpose, mark.at_ms)
        for part in facts.parts
        for key, mark in part.marks.items()
        if mark.outcome == FIRED
    ]


def trigger_id(identity: tuple[str, str, str]) -> str:
    """Return the id of a firing: a UUIDv5 of rule, instance and anchor event; of a calendar date rule, date, part."""
    return str(uuid5(NAMESPACE, "\0".join(identity)))  # no identifier, id or name can hold a NUL


def in_holdout(rule: str, oldest_ident: str, threshold: int) -> bool:
    """Return whether a person is held out from a rule: the first 64 bits of a SHA-256 below the threshold."""
    if threshold == 0:
        return False
    return int.from_bytes(sha256(f"{rule}\0{oldest_ident}".encode()).digest()[:8], "big") < threshold
