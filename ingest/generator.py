"""A generated year of a Chinese retailer that looks like life, as JSON Lines in the order they arrive.

People browse anonymously before they sign in, own several identifiers in several spellings, share tablets in a
family, and are served by clerks who type the shop's own phone number. Visits follow the hours, the week, 11.11,
6.18 and the New Year's lull; some people stay, most drift away. Lines arrive twice, late, or broken. Everything
follows from the seed: no clock is read.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

from ingest.generator_life import Calendar, live
from ingest.generator_orders import World
from ingest.generator_people import Town
from ingest.generator_relations import stewards
from ingest.generator_tape import DAY_MS, Tape
from ingest.generator_truth import Agreement, Truth, pairwise

__all__ = ["END_MS", "Agreement", "Counts", "Generated", "Truth", "generate", "pairwise", "write"]

END_MS = 1_782_835_200_000
"""The end of the year: 2026-07-01T00:00 in Shanghai, 2026-06-30T16:00:00Z. A year back holds 11.11 and 6.18."""

# People are generated in blocks, so that memory does not grow with their number; households and shops stay within
# one. Lines are in order of arrival within a block.
_BLOCK = 5_000


class Counts(msgspec.Struct):
    """What was written: good events (without repeats), lines that repeat one, lines that are broken."""

    events: int = 0
    duplicates: int = 0
    broken: int = 0


class Generated(Iterator[bytes]):
    """The lines, each with its line end; `truth` and `counts` are complete when the iteration is."""

    def __init__(self, customers: int, days: int, seed: int) -> None:
        if customers < 1 or days < 1:
            raise ValueError("customers and days must be at least 1")
        self.truth = Truth()
        self.counts = Counts()
        self._lines = self._generate(customers, days, seed)

    def __next__(self) -> bytes:
        return next(self._lines)

    def _generate(self, customers: int, days: int, seed: int) -> Iterator[bytes]:
        start_ms = END_MS - days * DAY_MS
        calendar = Calendar(start_ms, days)
        for block, first in enumerate(range(0, customers, _BLOCK)):
            rng = Random(f"kith:{seed}:{block}")  # noqa: S311  a repeatable story, not a secret
            town = Town(rng, first, min(_BLOCK, customers - first), days, self.truth)
            world = World(rng, town, Tape(rng, block, END_MS), start_ms)
            for person in town.people:
                live(world, person, calendar)
            stewards(world)
            tape = world.tape
            tape.add_oversized()
            self.counts.events += tape.events
            self.counts.duplicates += tape.duplicates
            self.counts.broken += tape.broken
            tape.lines.sort()
            for _, _, line in tape.lines:
                yield line + b"\n"


def generate(customers: int = 3000, days: int = 365, seed: int = 1) -> Generated:
    """Return the lines of `customers` people over `days` days up to `END_MS`; the same arguments give the same bytes.

    Raises ValueError for fewer than one customer or day.
    """
    return Generated(customers, days, seed)


def write(path: Path, truth_path: Path | None = None, customers: int = 3000, days: int = 365, seed: int = 1) -> Counts:
    """Write the lines to `path` and, when asked, who is who to `truth_path` (Parquet); return how many there are."""
    lines = generate(customers, days, seed)
    with path.open("wb", buffering=1 << 20) as file:
        file.writelines(lines)
    if truth_path is not None:
        lines.truth.save(truth_path)
    return lines.counts
