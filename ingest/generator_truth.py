"""Who the generated people really are, and how well the people found agree with that."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_SCHEMA = pa.schema([("identifier", pa.string()), ("person", pa.int32())])


@dataclass
class Truth:
    """The owner of each identifier.

    `owners` maps a normalised identifier `kind:value` to the index of its person. `shared` holds those that stand
    for nobody in particular (a shop's phone, a kiosk, a family's tablet): they are left out of any comparison.
    """

    owners: dict[str, int] = field(default_factory=dict)
    shared: dict[str, None] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write as Parquet: columns identifier and person (null for a shared one), sorted by identifier."""
        rows: list[tuple[str, int | None]] = [*self.owners.items(), *((ident, None) for ident in self.shared)]
        rows.sort(key=lambda row: row[0])
        columns = {"identifier": [ident for ident, _ in rows], "person": [person for _, person in rows]}
        pq.write_table(pa.table(columns, schema=_SCHEMA), path, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> "Truth":
        """Read what `save` wrote."""
        table = pq.read_table(path)
        truth = cls()
        for ident, person in zip(table["identifier"].to_pylist(), table["person"].to_pylist(), strict=True):
            if person is None:
                truth.shared[ident] = None
            else:
                truth.owners[ident] = person
        return truth


@dataclass(frozen=True)
class Agreement:
    """How well people found agree with the true ones, over pairs of identifiers that both know.

    `precision`: of the pairs put together, the share that belongs together; `recall`: of the pairs that belong
    together, the share that was put together; `f1` their harmonic mean; each 1 where there is no pair to judge.
    `exact` counts people found with exactly the identifiers of one true person. `found_sizes` and `true_sizes` count
    people by their number of identifiers. `left_out` counts identifiers that are shared or unknown to the truth.
    """

    precision: float
    recall: float
    f1: float
    people_found: int
    people_true: int
    exact: int
    identifiers: int
    left_out: int
    found_sizes: Mapping[int, int]
    true_sizes: Mapping[int, int]


def _pairs(sizes: Iterable[int]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes)


def pairwise(truth: Truth, identities: Iterable[tuple[str, str]], kinds: Collection[str] | None = None) -> Agreement:
    """Compare people found, as (one_id, identifier), with the truth, by counting groups and not pairs.

    `kinds` restricts both sides to those kinds of identifier. Pair counts as in Menestrina, Whang and
    Garcia-Molina, "Evaluating entity resolution results" (2010).
    """
    cells: Counter[tuple[str, int]] = Counter()
    left_out = 0
    for one_id, ident in identities:
        if kinds is not None and ident.partition(":")[0] not in kinds:
            continue
        person = truth.owners.get(ident)
        if person is None:
            left_out += 1
        else:
            cells[one_id, person] += 1
    found: Counter[str] = Counter()
    real: Counter[int] = Counter()
    for (one_id, person), count in cells.items():
        found[one_id] += count
        real[person] += count
    both = _pairs(cells.values())
    together, belonging = _pairs(found.values()), _pairs(real.values())
    precision = both / together if together else 1.0
    recall = both / belonging if belonging else 1.0
    return Agreement(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        people_found=len(found),
        people_true=len(real),
        exact=sum(count == found[one_id] == real[person] for (one_id, person), count in cells.items()),
        identifiers=sum(cells.values()),
        left_out=left_out,
        found_sizes=dict(sorted(Counter(found.values()).items())),
        true_sizes=dict(sorted(Counter(real.values()).items())),
    )
