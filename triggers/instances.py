"""One instance of a rule, and the marks that tell what became of it."""

from typing import Any

import msgspec

from schemas.errors import StateError
from schemas.mark import Mark
from triggers.facts import Facts

Found = tuple[str, str, int, str, int, Any]
"""(instance, anchor_id, anchor_ms, part, due_ms, subject) of an instance that nothing has called off."""


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


def escaped(instance: str) -> str:
    """Return the instance as it stands in a mark key: free of the key's separator, and still one to one."""
    return instance.replace("%", "%25").replace("|", "%7C") if "|" in instance or "%" in instance else instance
