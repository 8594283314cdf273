"""`python -m bench.graph [PEOPLE]`: the graph of the live pipeline, its log, its store and the copies of it.

Every person is seen by a device, then by member number, phone and device together, and comes back once, as in the other
benches. Then anybody comes with an e-mail address that is new. The graph is all in memory; beside a store; and with a
store and one in ten in memory. Times are of the processor, sizes of what lies on disk; the peak of memory is of the
whole process.
"""

import gc
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.events import START_MS, YEAR_MS
from identity.policy import Policy
from schemas.event import Event
from schemas.settings import Settings
from stream.graph_view import GraphView
from stream.live_graph import LiveGraph, open_rows

BATCH = 1_000


def main(arguments: list[str]) -> None:
    """Measure and print."""
    people = int(arguments[0]) if arguments else 100_000
    policy = Policy.from_settings(Settings())
    gc.disable()
    with tempfile.TemporaryDirectory() as folder:
        log = _live("all in memory", LiveGraph(policy), people)
        for name, most in (("beside a store", 10**9), ("a tenth in memory", people * 3 // 10)):
            path = Path(folder) / str(most)
            rows = open_rows(path)
            _live(name, LiveGraph(policy, rows=rows, most=most), people)
            start = time.process_time()
            rows.close()
            _print("store: close", time.process_time() - start, "s")
            _print("store: size", _size(path), "MB")
        start = time.process_time()
        rows = open_rows(path)
        LiveGraph(policy, rows=rows)
        _print("store: open", time.process_time() - start, "s")
        rows.close()
        _view(log, Path(folder) / "view", people)
        _restore("restore in memory", log, LiveGraph(policy))
        rows = open_rows(Path(folder) / "restored")
        _restore("restore into a store", log, LiveGraph(policy, rows=rows, scratch=Path(folder)))
        rows.close()
    _print("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")


def _live(name: str, graph: LiveGraph, people: int) -> dict[bytes, bytes]:
    """Let people come, come back, and be taken back; return what the log then has."""
    log: dict[bytes, bytes] = {}
    rng = random.Random(2)
    count = sum(_work(graph, batch, log) for batch in _spent(f"{name}: come", people * 3, _batches(people)))
    _print("records", count / people, "per person written")
    _print("records", len(log) / people, "per person kept")
    back = [_event(rng.randrange(people), 3, *_news(rng.randrange(people), n)) for n in range(20_000)]
    batches = (back[at : at + BATCH] for at in range(0, len(back), BATCH))
    for batch in _spent(f"{name}: anybody", len(back), batches):
        _work(graph, batch, log)
    last = next(_batches(BATCH // 3, people))
    hub = [_event(people + 5, 9, "member_id:M000000001", f"device_id:x{i}") for i in range(100)]
    for what, events in (("new requests", last), ("devices of one person", hub)):
        graph.mark()
        for event in events:
            graph.observe(event)
        start = time.process_time()
        graph.rollback()
        _print(f"{name}: go back", (time.process_time() - start) * 1e3, f"ms ({len(events)} {what})")
    return log


def _work(graph: LiveGraph, batch: list[Event], log: dict[bytes, bytes]) -> int:
    graph.mark()
    for event in batch:
        if graph.observe(event).moves:
            graph.next_step()
    found = graph.changed()
    graph.committed()
    log.update(found)
    return len(found)


def _spent(name: str, requests: int, batches: Iterable[list[Event]]) -> Iterator[list[Event]]:
    """Pass batches on and print what was spent on them."""
    spent = 0.0
    for batch in batches:
        start = time.process_time()
        yield batch
        spent += time.process_time() - start
    _print(name, spent / requests * 1e6, "us per request")


def _size(path: Path) -> float:
    return sum(file.stat().st_size for file in path.iterdir()) / 1e6


def _restore(name: str, log: dict[bytes, bytes], graph: LiveGraph) -> None:
    start = time.process_time()
    for key, value in log.items():
        graph.apply(key, value)
    graph.verify()
    _print(name, len(log) / (time.process_time() - start), "records/s")


def _view(log: dict[bytes, bytes], path: Path, people: int) -> None:
    view = GraphView(path)
    rows = list(log.items())
    start = time.process_time()
    for at in range(0, len(rows), 10_000):
        view.apply(0, rows[at : at + 10_000], at + 10_000)
    _print("copy: follow", len(rows) / (time.process_time() - start), "records/s")
    _print("copy: size", _size(path), "MB")
    rng = random.Random(1)
    for name, among in (("hot", 1_000), ("anybody", people)):
        probes = [_person(rng.randrange(among))[2] for _ in range(100_000)]
        for event in probes if name == "hot" else ():
            view.lookup(event)
        start = time.process_time()
        found = [view.lookup(event) for event in probes]
        _print(f"copy: look up, {name}", (time.process_time() - start) / len(probes) * 1e6, "us")
        if not all(found):
            raise AssertionError("an event of a known person was not found")
    probes = [_event(1, 1, f"member_id:N{number}") for number in range(100_000)]
    start = time.process_time()
    for event in probes:
        view.lookup(event)
    _print("copy: look up, unknown", (time.process_time() - start) / len(probes) * 1e6, "us")
    view.close()


def _batches(people: int, first: int = 0) -> Iterator[list[Event]]:
    batch: list[Event] = []
    for number in range(first, first + people):
        batch += _person(number)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _person(number: int) -> list[Event]:
    device, member, phone = f"device_id:dv{number:014d}", f"member_id:M{number:09d}", f"phone:+86138{number:08d}"
    idents = (member, phone, device)
    return [_event(number, 0, device), _event(number, 1, *idents), _event(number, 2, *idents)]


def _news(number: int, place: int) -> tuple[str, str]:
    return f"member_id:M{number:09d}", f"email:new{place}@example.com"


def _event(number: int, place: int, *idents: str) -> Event:
    at_ms = START_MS + number * 7919 * 1000 % YEAR_MS + place * 60_000
    return Event(f"bench-{number:08d}-{place:02d}", "page.viewed", at_ms, idents, None)


def _print(what: str, figure: float, unit: str) -> None:
    print(f"{what:<28} {figure:14,.2f} {unit}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
