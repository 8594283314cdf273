"""`python -m bench.state [PEOPLE]`: what keeping people in the local store costs; one million people unless told.

First microseconds of the main thread per person of each step of a batch, the people being those of `bench.events` after
ten events each; then the store of one partition: restoring it from the changelog, opening it, reading it cold, asking
what is due, and its size. The garbage collector is off.
"""

import gc
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.events import lines
from ingest.admit import Admission
from profiles.fold import Folder
from profiles.part import new_part
from schemas.settings import Settings
from stream.live_people import LivePeople
from stream.person import Person, freeze, thaw
from stream.store import Store
from triggers.engine import Engine
from triggers.instances import NEVER
from triggers.rules import RuleSet

SAMPLE = 5_000
BATCH = 2_000


def main(arguments: list[str]) -> None:
    """Measure and print."""
    people = int(arguments[0]) if arguments else 1_000_000
    sample = _people(SAMPLE)
    gc.collect()
    gc.freeze()
    gc.disable()
    stored = [freeze(person) for person in sample]
    _print("freeze a person", _time(lambda: [freeze(person) for person in sample]), len(sample))
    _print("thaw a person", _time(lambda: [thaw("p", value) for value in stored]), len(stored))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        store = Store(path)
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        store.restore(_changelog(stored, people), people)
        seconds, cpu = time.perf_counter() - begun, time.thread_time() - begun_cpu
        print(f"restore {people:,} records: {people / seconds:,.0f}/s ({cpu / people * 1e6:.1f} us each)")
        begun = time.perf_counter()
        store.flush()
        store.close()
        print(f"flush and close {time.perf_counter() - begun:.2f} s")
        begun = time.perf_counter()
        store = Store(path)
        print(f"open {time.perf_counter() - begun:.2f} s, {len(store):,} people, {store.size_bytes() / 2**20:,.0f} MiB")
        _batches(store, people)
        _due(store)
        store.close()
    print(f"most memory used {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


def _batches(store: Store, people: int) -> None:
    """Time the steps of batches of people drawn at random, so that nearly all come from the disk or its cache."""
    rng = random.Random(1)
    live = LivePeople(store)
    spent = dict.fromkeys(("get, cold", "get, decoded", "collect", "written"), 0.0)
    rounds = 10
    for _ in range(rounds):
        names = [_name(number) for number in rng.sample(range(people), BATCH)]
        spent["get, cold"] += _time(lambda: [live.get(name) for name in names])  # noqa: B023
        spent["get, decoded"] += _time(lambda: [live.get(name) for name in names])  # noqa: B023
        for name in names:
            person = live.get(name)
            if person is not None:
                person.wake_ms += 1 if person.wake_ms < NEVER else 0
        begun = time.thread_time()
        records = live.collect()
        spent["collect"] += time.thread_time() - begun
        spent["written"] += _time(lambda: live.written(records, None))  # noqa: B023
    for step, seconds in spent.items():
        _print(step, seconds, rounds * BATCH)


def _due(store: Store) -> None:
    times = [at_ms for at_ms, _ in store.timers(NEVER - 1, 1 << 40)]
    print(f"{len(times):,} people have something due some day")
    live = LivePeople(store)
    for text, until_ms in (("nobody is due", times[0] - 1), ("all are due, 2,000 asked for", NEVER - 1)):
        begun = time.perf_counter()
        found = live.due(until_ms, 2_000)
        print(f"due: {text}: {len(found):,} in {(time.perf_counter() - begun) * 1e3:.2f} ms")


def _people(count: int) -> list[Person]:
    settings = Settings()
    engine = Engine(RuleSet.from_settings(settings), settings)
    admit, fold = Admission(settings).admit, Folder(settings).fold
    people = [Person(_name(number)) for number in range(count)]
    for line in lines(count):
        event = admit(line)
        key = event.idents[0]
        parts = people[int(event.id.split("-")[1])].parts
        if key not in parts:
            parts[key] = new_part(key)
        fold(parts[key], event)
    for person in people:
        person.tags = ("new_customer", "browsing")
        person.checks = engine.checks(person.facts(settings))
        person.wake_ms = min(person.checks, default=NEVER)
    return people


def _changelog(stored: list[bytes], people: int) -> Iterator[tuple[bytes, bytes | None]]:
    for number in range(people):
        yield _name(number).encode(), stored[number % len(stored)]


def _name(number: int) -> str:
    """Return something like a OneID, in no order."""
    return f"p{number * 2_654_435_761 % (1 << 64):016x}"


def _time(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def _print(step: str, seconds: float, count: int) -> None:
    print(f"{step:<20} {seconds / count * 1e6:7.2f} us", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
