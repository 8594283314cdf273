"""A scratch file of people: the latest state counts, and outdated ones do not pile up."""

import random
from pathlib import Path

from profiles.part import new_part
from stream.people_file import PeopleFile
from stream.person import Person, freeze


def state(one_id: str, events: int) -> bytes:
    person = Person(one_id)
    person.parts["member_id:m"] = new_part("member_id:m")
    person.parts["member_id:m"].events = events
    return freeze(person)


def test_the_latest_state_of_each_person_is_found_whatever_was_stored_and_removed_before(tmp_path: Path) -> None:
    rng = random.Random(1)
    people = PeopleFile(tmp_path / "people", slack_bytes=2_000)
    expected: dict[str, int] = {}
    for turn in range(5_000):
        one_id = f"p{rng.randrange(40)}"
        if rng.random() < 0.1:
            expected.pop(one_id, None)
            people.put(one_id, None)
        else:
            expected[one_id] = turn
            people.put(one_id, state(one_id, turn))
        if turn % 500 == 0:
            assert {person.one_id: person.parts["member_id:m"].events for person in people.each()} == expected
    assert len(people) == len(expected)
    for one_id in [*expected, "nobody"]:
        person = people.peek(one_id)
        assert (person and person.parts["member_id:m"].events) == expected.get(one_id)
    people.close()
    live = sum(len(state(one_id, turn)) for one_id, turn in expected.items())
    assert (tmp_path / "people").stat().st_size <= 2 * live + 2_000
    assert [path.name for path in tmp_path.iterdir()] == ["people"]
