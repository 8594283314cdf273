"""What had arrived when: which events of a part are too late, whatever the order they are worked off in.

Workers read the partitions of a topic at different speeds. In a backfill, where years arrive within minutes, the newest
event may be worked off first; the others are not late for that. So an event is judged by what arrived before it: the
part keeps a staircase of steps [second of arrival, newest event time in ms among all that arrived by then], both
rising. An event is too late if it is older by more than the horizon than the newest one of an earlier second.

The staircase is kept short by dropping steps, which makes the newest before some second look older than it was:
then an event that is too late may be accepted, never the other way round.
"""

from bisect import bisect_left

Steps = list[list[int]]

LAG_S = 3600
"""How far apart in arrival, in seconds, the events may be that are worked off at the same time."""

MOST = 32
"""Steps that a part keeps at most."""


def newest_before(steps: Steps | None, second: int) -> int | None:
    """Return the newest event time in ms among what arrived in an earlier second, None if nothing did."""
    if steps:
        for step in reversed(steps):
            if step[0] < second:
                return step[1]
    return None


def climb(steps: Steps, second: int, at_ms: int) -> None:
    """Take an event into the staircase: it arrived in that second, its time is `at_ms`."""
    last_second, last_ms = steps[-1]
    if second > last_second:
        if at_ms > last_ms:
            steps.append([second, at_ms])
            _trim(steps, second)
    elif second == last_second:
        if at_ms > last_ms:
            steps[-1][1] = at_ms
    else:
        _insert(steps, second, at_ms)


def _insert(steps: Steps, second: int, at_ms: int) -> None:
    """Take in an event that arrived before others which were worked off first."""
    place = bisect_left(steps, [second + 1])
    if place and steps[place - 1][1] >= at_ms:
        return
    if place and steps[place - 1][0] == second:
        place -= 1
    end = place
    while end < len(steps) and (steps[end][0] == second or steps[end][1] <= at_ms):
        end += 1
    steps[place:end] = [[second, at_ms]]
    _trim(steps, steps[-1][0])


def _trim(steps: Steps, second: int) -> None:
    """Drop what is older than the lag, but for the newest of that, which stands for all of it; thin out the rest."""
    while len(steps) > 1 and steps[1][0] < second - LAG_S:
        del steps[0]
    if len(steps) > MOST:
        del steps[1:-1:2]
