"""The ready answers: views over the tables of a snapshot, each with its title, its columns and its chart."""

from lake.answers.answer import Answer, Chart
from lake.answers.create import create, missing
from lake.answers.customers import CUSTOMERS
from lake.answers.messages import MESSAGES
from lake.answers.overview import OVERVIEW
from lake.answers.returning import RETURNING
from lake.answers.service import SERVICE

__all__ = ["ANSWERS", "Answer", "Chart", "by_name", "create", "missing"]

ANSWERS: tuple[Answer, ...] = (*OVERVIEW, *RETURNING, *CUSTOMERS, *MESSAGES, *SERVICE)
"""All of them, in the order in which a report shows them."""

_BY_NAME = {answer.name: answer for answer in ANSWERS}


def by_name(name: str) -> Answer | None:
    """Return an answer, None if there is none of that name."""
    return _BY_NAME.get(name)
