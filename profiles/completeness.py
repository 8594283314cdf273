"""How much of a profile is known: the weights of the known fields over the weights of all, 0 to 1, to 4 places.

A field is `order` (a counted order), `consent` (any word on marketing), or a name: known if an identifier of that kind
was seen or a trait of that name (or of one of its other names) holds something.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiles.facts import Facts

DEFAULT_WEIGHTS: dict[str, float] = {
    "phone": 2,
    "email": 1,
    "name": 1,
    "birthday": 1,
    "gender": 1,
    "city": 1,
    "order": 2,
    "consent": 1,
}

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "name": ("full_name", "first_name", "last_name", "nickname"),
    "birthday": ("birth_date", "birthdate"),
    "city": ("address",),
}

MARKETING = "marketing"


Field = tuple[str, tuple[str, ...], float]
"""Name, the traits that stand for it, weight."""


def fields(weights: Mapping[str, float]) -> list[Field]:
    """Return the fields of a configuration of weights, or of the built-in one if that is empty."""
    return [(name, (name, *OTHER_NAMES.get(name, ())), weight) for name, weight in (weights or DEFAULT_WEIGHTS).items()]


def completeness(facts: "Facts", fields: Sequence[Field]) -> float:
    """Return sum(weight of known fields) / sum(weight of all fields), rounded to 4 places; 0 without weights."""
    traits: set[str] = set()
    kinds: set[str] = set()
    for part in facts.parts:
        kinds.add(part.key.partition(":")[0])
        for ident in part.sightings:
            kinds.add(ident.partition(":")[0])
        if part.traits is not None:
            traits.update(part.traits)
    known = total = 0.0
    for field, names, weight in fields:
        total += weight
        if field == "order":
            has = len(facts.orders().list) > 0
        elif field == "consent":
            has = MARKETING in facts.words()
        elif field in kinds:
            has = True
        else:
            has = False
            for name in names if traits else ():
                if name in traits and _holds(facts, name):
                    has = True
                    break
        if has:
            known += weight
    return round(known / total, 4) if total > 0 else 0.0


def _holds(facts: "Facts", trait: str) -> bool:
    stated = facts.trait(trait)
    return stated is not None and stated[0] not in ("", [], {})
