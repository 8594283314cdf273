"""The mark that a trigger's instance leaves in the part of its anchor event."""

import msgspec

FIRED = 0
HELD_OUT = 1
SUPPRESSED = 2
EXPIRED = 3
HELD = 4
PASSED = 5

OUTCOMES = ("fired", "held_out", "suppressed", "expired", "held", "passed")
"""Names by number. `held` (quiet hours, until `at_ms`) is looked at again; `passed` (`when` false) has no row."""


class Mark(msgspec.Struct, array_like=True, gc=False):
    """What became of one instance of a rule.

    `outcome` is a place in `OUTCOMES`; `at_ms` when it was decided (for `held`: when it is looked at again);
    `purpose` is the rule's, so that general caps per purpose are counted from the marks alone.
    """

    outcome: int
    at_ms: int
    purpose: str
