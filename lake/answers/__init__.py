"""The ready answers: views over the tables of a snapshot, each with its title, its columns and its chart."""

from lake.answers.answer import Answer, Chart
from lake.answers.create import create, missing
from lake.answers.customers import LIFECYCLE, RFM, TAG_SIZES, TIER_MOVEMENT
from lake.answers.messages import GOALS, RULES
from lake.answers.overview import FUNNEL, KPI, TIERS
from lake.answers.returning import COHORTS, CYCLE, REPEAT
from lake.answers.service import NPS, TIMES

__all__ = ["ANSWERS", "Answer", "Chart", "by_name", "create", "missing"]

ANSWERS: tuple[Answer, ...] = (
    *(KPI, FUNNEL, TIERS, RFM, COHORTS, REPEAT, CYCLE),
    *(LIFECYCLE, TIER_MOVEMENT, TAG_SIZES, RULES, GOALS, TIMES, NPS),
)
"""All of them, in the order in which a report shows them: those that are not wide stand in pairs."""

_BY_NAME = {answer.name: answer for answer in ANSWERS}


def by_name(name: str) -> Answer | None:
    """Return an answer, None if there is none of that name."""
    return _BY_NAME.get(name)
