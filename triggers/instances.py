"""One instance of a rule, and the marks that tell what became of it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.errors import StateError
from schemas.mark import HELD, Mark
from triggers.facts import Facts

Found = tuple[str, str, int, str, int, Any]
"""(instance, anchor_id, anchor_ms, part, due_ms, subject) of an instance that nothing has called off."""


NEVER = 1 << 62
"""A check that does not come, in ms: later than any time, and still a number, so that a minimum is cheap."""


class Instance(msgspec.Struct, frozen=True):
    """An instance without a final mark. `check_ms` is when it is looked at: due, or the end of the hold if later.

    `identity` is what its id is made of, `mark_key` where its mark stands in the anchor's part.
    """

    rule: str
    instance: str
    anchor_id: str
    anchor_ms: int
    part: str
    due_ms: int
    check_ms: int
    subject: Any
    mark_key: str
    identity: tuple[str, str, str]

    @property
    def order(self) -> tuple[str, str, str]:
        """The order of what is due at one instant."""
        return self.rule, self.instance, self.anchor_id


def marks_of(facts: Facts, key: str) -> dict[str, Mark]:
    """Return the marks of a person's part. Raises StateError if the person has no such part."""
    for part in facts.parts:
        if part.key == key:
            return part.marks
    raise StateError(f"a fact names the part {key!r}, which the person does not hold: rebuild the state by a replay")


def _mark(prefix: str, facts: Facts, found: Found) -> tuple[str, Mark | None]:
    instance = found[0]
    if "|" in instance:  # a key is split at its first two separators
        instance = instance.replace("|", "%7C")
    key = f"{prefix}{instance}|{found[1]}"
    parts = facts.parts
    if parts[0].key == found[3]:
        return key, parts[0].marks.get(key)
    return key, marks_of(facts, found[3]).get(key)


def earliest(prefix: str, facts: Facts, every: Sequence[Found]) -> int | None:
    """Return the earliest check of the instances without a final mark; `prefix` is that of the rule's mark keys."""
    best: int | None = None
    for found in every:
        due_ms = found[4]
        if best is not None and due_ms >= best:
            continue
        mark = _mark(prefix, facts, found)[1]
        if mark is not None:
            if mark.outcome != HELD:
                continue
            if mark.at_ms > due_ms:
                due_ms = mark.at_ms
        if best is None or due_ms < best:
            best = due_ms
    return best


def still_open(name: str, facts: Facts, every: Sequence[Found]) -> list[Instance]:
    """Return the instances without a final mark."""
    listed: list[Instance] = []
    for found in every:
        instance, anchor_id, anchor_ms, part, due_ms, subject = found
        key, mark = _mark(f"{name}|", facts, found)
        if mark is not None and mark.outcome != HELD:
            continue
        check_ms = due_ms if mark is None else max(due_ms, mark.at_ms)
        identity = (name, instance, anchor_id)
        listed.append(Instance(name, instance, anchor_id, anchor_ms, part, due_ms, check_ms, subject, key, identity))
    return listed
