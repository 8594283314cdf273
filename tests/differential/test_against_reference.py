"""Kith and an independent, naive reading of the same rules give the same tables, row for row.

The readings that the two had to agree on are listed in tests/reference/README.md.
"""

from pathlib import Path

import pytest

from ingest.admit import Admission
from schemas.errors import InvalidEvent
from schemas.settings import Settings
from tests.differential.compare import differences
from tests.reference.corners import CORNERS
from tests.reference.generate import generate
from tests.reference.run import reference


@pytest.mark.parametrize("seed", range(100, 114))
def test_a_random_file_gives_the_same_people_profiles_triggers_events_and_dead_letters(
    seed: int, tmp_path: Path
) -> None:
    assert differences(generate(seed, 220), tmp_path) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_ends_early_gives_the_same(seed: int, tmp_path: Path) -> None:
    lines = generate(seed, 200)
    assert differences(lines, tmp_path, until_ms=1_704_067_200_000 + 120 * 86_400_000 + 36_000_000) == []


READ_DIFFERENTLY = {
    "only blanks",  # a blank line is left out before it comes here
    "nesting 900 deep",  # the decoder stops at a fixed depth, the reference where Python does
    "unknown type and no id",
    "leap second",
    "source null",
    "order_id empty",
    "amount +1",
    "amount 01",
}


@pytest.mark.parametrize(("name", "line"), CORNERS, ids=[name for name, _ in CORNERS])
def test_a_line_on_which_the_rules_are_terse_is_read_alike(name: str, line: bytes) -> None:
    told = reference([("x", 1, line)])
    theirs = told["deadletters"][0]["reason"] if told["deadletters"] else "accepted" if told["events"] else "blank"
    try:
        Admission(Settings()).admit(line)
        ours = "accepted"
    except InvalidEvent as error:
        ours = error.reason
    assert (ours == theirs) == (name not in READ_DIFFERENTLY)
