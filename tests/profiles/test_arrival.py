"""Live, what arrived when decides what is too late and what is a duplicate, not the order it is worked off in."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.arrival import LAG_S, MOST, climb, newest_before
from profiles.fold import CONFLICT, DUPLICATE, FOLDED, TOO_LATE, Folder
from profiles.part import Part, decode, encode, new_part
from schemas.event import Event, Source
from tests.profiles.support import DAY, SETTINGS, T0, event

HORIZON = SETTINGS.horizon_days * DAY
HOUR = 3_600_000
quick = settings(max_examples=150, deadline=None)


def live(at: int, event_id: str, arrived_ms: int, digest: int = 1) -> Event:
    told = event("app.opened", at, event_id)
    return Event(told.id, told.type, at, told.idents, told.data, Source("raw", 0, 0, arrived_ms, digest))


def folded(part: Part, *events: Event) -> list[int]:
    fold = Folder(SETTINGS).fold
    return [fold(part, one) for one in events]


def test_an_id_seen_again_is_a_duplicate_or_a_conflict_by_its_content() -> None:
    part = new_part("phone:+861")
    again = live(T0, "a", T0 + 9, digest=7)
    assert folded(part, live(T0, "a", T0, digest=7), again) == [FOLDED, DUPLICATE]
    assert folded(part, live(T0 + 5, "a", T0 + 9, digest=8)) == [CONFLICT]
    assert (part.events, part.last_ms) == (1, T0)


def test_an_id_whose_content_is_unknown_is_a_duplicate() -> None:
    part = new_part("phone:+861")
    assert folded(part, event("app.opened", T0, "a"), live(T0, "a", T0, digest=8)) == [FOLDED, DUPLICATE]
    assert folded(part, live(T0, "b", T0, digest=8), event("app.opened", T0, "b")) == [FOLDED, DUPLICATE]


@pytest.mark.parametrize(
    ("older_by", "later_s", "outcome"),
    [(HORIZON, 1, FOLDED), (HORIZON + 1, 1, TOO_LATE), (HORIZON + 1, 0, FOLDED), (HORIZON + 1, -5, FOLDED)],
)
def test_too_late_is_older_by_more_than_the_horizon_than_what_arrived_in_an_earlier_second(
    older_by: int, later_s: int, outcome: int
) -> None:
    part = new_part("phone:+861")
    before = live(T0, "new", T0)
    assert folded(part, before, live(T0 - older_by, "old", T0 + later_s * 1000)) == [FOLDED, outcome]
    assert part.events == (2 if outcome == FOLDED else 1)


def test_a_duplicate_is_told_from_a_late_event_while_its_id_is_kept() -> None:
    part = new_part("phone:+861")
    first = live(T0, "a", T0)
    assert folded(part, first, live(T0 + 9 * DAY, "b", T0 + 1000), live(T0, "a", T0 + 5000)) == [1, 1, DUPLICATE]


def test_ids_are_dropped_once_no_event_in_time_can_have_them_and_then_it_is_too_late() -> None:
    part = new_part("phone:+861")
    events = [live(T0 + day * DAY, f"e{day}", T0 + day * DAY) for day in range(30)]
    assert folded(part, *events) == [FOLDED] * 30
    assert set(part.recent) == {f"e{day}" for day in range(21, 30)}  # on day 29 by the newest of day 28
    assert part.forgotten_ms == T0 + 21 * DAY
    assert folded(part, *(live(e.time_ms, e.id, T0 + 30 * DAY) for e in events)) == [TOO_LATE] * 21 + [DUPLICATE] * 9
    assert part.events == 30


def test_years_published_within_minutes_in_any_order_are_not_late() -> None:
    part = new_part("phone:+861")
    events = [live(T0 + day * DAY, f"e{day}", T0 + day * 100) for day in range(1000)]
    assert folded(part, *reversed(events)) == [FOLDED] * 1000
    assert folded(part, *events) == [DUPLICATE] * 1000


@quick
@given(st.lists(st.tuples(st.integers(0, LAG_S), st.integers(0, 40 * DAY), st.integers(0, 3)), max_size=50), st.data())
def test_what_arrives_in_time_is_never_late_and_counts_once_in_any_order_of_work(
    drawn: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    events, newest_ms = [], -1
    for n, (second, at, copies) in enumerate(sorted(drawn)):
        time_ms = max(T0 + at, newest_ms - HORIZON)
        newest_ms = max(newest_ms, time_ms)
        events.append(live(time_ms, f"e{n}", T0 + second * 1000))
        events += [live(time_ms, f"e{n}", T0 + second * 1000 + copy) for copy in range(copies)]
    part = new_part("phone:+861")
    counted = Counter(folded(part, *data.draw(st.permutations(events))))
    assert counted[FOLDED] == len(drawn) == part.events
    assert counted[TOO_LATE] == counted[CONFLICT] == 0
    assert decode(encode(part)) == part


@quick
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30), st.booleans()), max_size=60),
    st.integers(1, 3 * LAG_S),
    st.data(),
)
def test_in_rounds_what_is_too_late_is_found_and_nothing_counts_twice(
    drawn: list[tuple[int, int, bool]], apart_s: int, data: st.DataObject
) -> None:
    """A round is one second's events, in any order; some are sent again three rounds later."""
    part = new_part("phone:+861")
    accepted: set[str] = set()
    newest_ms = T0
    for number in range(13):
        arrived_ms = T0 + number * apart_s * 1000
        events = [
            live(T0 + day * DAY, f"e{n}", arrived_ms)
            for n, (of, day, twice) in enumerate(drawn)
            if of == number or (twice and of == number - 3)
        ]
        newest_after_ms = newest_ms
        for one in data.draw(st.permutations(events)):
            (outcome,) = folded(part, one)
            if one.id in accepted:
                assert outcome in (DUPLICATE, TOO_LATE)
            else:
                assert outcome == (TOO_LATE if one.time_ms < newest_ms - HORIZON else FOLDED)
            if outcome == FOLDED:
                accepted.add(one.id)
                newest_after_ms = max(newest_after_ms, one.time_ms)
        newest_ms = newest_after_ms
    assert part.events == len(accepted)


@quick
@given(st.lists(st.tuples(st.integers(0, 3 * LAG_S), st.integers(0, 1000)), min_size=1, max_size=120), st.data())
def test_the_staircase_stays_short_rises_and_never_claims_more_than_arrived(
    arrivals: list[tuple[int, int]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(arrivals))
    steps = [list(shuffled[0])]
    for second, at in shuffled[1:]:
        climb(steps, second, at)
        assert len(steps) <= MOST
    assert all(low[0] < high[0] and low[1] < high[1] for low, high in pairwise(steps))
    assert steps[-1][1] == max(at for _, at in arrivals)
    for second in {at for at, _ in arrivals} | {0, 3 * LAG_S + 1}:
        true = max((at for arrived, at in arrivals if arrived < second), default=None)
        claimed = newest_before(steps, second)
        assert claimed is None or (true is not None and claimed <= true)
        if len(arrivals) < MOST // 2 and max(arrived for arrived, _ in arrivals) < LAG_S:
            assert claimed == true


def test_a_part_that_is_busy_all_day_forgets_ids_all_the_same() -> None:
    part = new_part("phone:+861")
    events = [live(T0 + n * HOUR // 60, f"e{n}", T0 + n * HOUR // 60) for n in range(60 * 24 * 12)]
    assert set(folded(part, *events)) == {FOLDED}
    assert len(part.recent) < 60 * 24 * 9
    assert part.steps is not None
    assert len(part.steps) <= MOST
