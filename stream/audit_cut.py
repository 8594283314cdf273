"""Where the audit cuts the lake: of each partition the state of people after exactly the events before an offset.

Each batch of the profile stage ends its records of state with how far it has read; see `stream.stage_profile`.
"""

from collections.abc import Mapping, Sequence

import duckdb
import msgspec

from lake.catalogue import Listing
from schemas.errors import ConfigError
from stream.cut import INPUT


class Cut(msgspec.Struct, frozen=True):
    """A cut, by partition number of events.identified and profiles.state.

    `inputs`: events before these offsets count. `state_ends`: records before these offsets are the state.
    `until_ms`: all that was written up to then is in the lake. `sure_ms`: what was written by then by the profile stage
    belongs to the cut; None: everything in the lake does.
    """

    inputs: dict[int, int]
    state_ends: dict[int, int]
    until_ms: int
    sure_ms: int | None


_read = msgspec.msgpack.Decoder(int).decode


def complete_ms(listings: Sequence[Listing]) -> int:
    """Return the instant up to which the lake has everything; 0: never yet."""
    return min((each.complete_ms for each in listings), default=0)


def find_cut(
    connection: duckdb.DuckDBPyConnection, listings: Sequence[Listing], at: Mapping[int, int] | None = None
) -> Cut:
    """Return the newest cut, or that at these offsets of events.identified. Raises ConfigError if there is none."""
    until_ms = complete_ms(listings)
    rows = connection.execute(
        'SELECT partition, "offset", value, epoch_ms(written_at) FROM lake_state WHERE key = ? '
        'ORDER BY partition, "offset"',
        [INPUT],
    ).fetchall()
    found: dict[int, tuple[int, int, int]] = {}
    for partition, offset, value, written in rows:
        read = _read(bytes(value))
        wanted = written <= until_ms if at is None else read == at.get(partition)
        if wanted:
            found[partition] = (read, offset + 1, written)
    if at is not None and set(at) - set(found):
        missing = ", ".join(f"{partition}:{at[partition]}" for partition in sorted(set(at) - set(found)))
        raise ConfigError(f"--at: the lake has no state at the offsets {missing}; see kith verify --latest")
    goes_on = []
    for partition, (_, end, written) in found.items():
        [(later,)] = connection.execute(
            'SELECT count(*) FROM lake_state WHERE partition = ? AND "offset" >= ?', [partition, end]
        ).fetchall()
        if later:
            goes_on.append(written)
    inputs = {partition: read for partition, (read, _, _) in found.items()}
    ends = {partition: end for partition, (_, end, _) in found.items()}
    return Cut(inputs, ends, until_ms, min(goes_on, default=None))
