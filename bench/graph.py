"""`python -m bench.graph [PEOPLE]`: the graph of the live pipeline, its log, its snapshot and the copies of it.

Every person is seen by a device, then by member number, phone and device together, and comes back once, as in the other
benches. Times are of the processor, sizes of what lies on disk; the peak of memory is of the whole process.
"""

import gc
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.events import START_MS, YEAR_MS
from identity.policy import Policy
from schemas.event import Event
from schemas.settings import Settings
from stream.graph_view import GraphView
from stream.live_graph import LiveGraph

BATCH = 1_000


def main(arguments: list[str]) -> None:
    """Measure and print."""
    people = int(arguments[0]) if arguments else 100_000
    policy = Policy.from_settings(Settings())
    gc.disable()
    log: dict[bytes, bytes] = {}
    graph = LiveGraph(policy)
    spent = rows = 0.0
    for batch in _batches(people):
        start = time.process_time()
        graph.mark()
        for event in batch:
            if graph.observe(event).moves:
                graph.next_step()
        found = graph.changed()
        spent += time.process_time() - start
        rows += len(found)
        graph.committed()
        log.update(found)
    _print("observe, with records", spent / (people * 3) * 1e6, "us per request")
    _print("records", rows / people, "per person written")
    _print("records", len(log) / people, "per person kept")
    last = next(_batches(BATCH // 3, people))
    start = time.process_time()
    graph.mark()
    for event in last:
        graph.observe(event)
    done = time.process_time()
    graph.rollback()
    _print("go back by a batch", (time.process_time() - done) * 1e3, f"ms ({len(last)} new requests)")
    for event in last:
        graph.observe(event)
    graph.committed()
    hub = [_event(people + 5, 9, "member_id:M000000001", f"device_id:x{i}") for i in range(100)]
    graph.mark()
    for event in hub:
        graph.observe(event)
    done = time.process_time()
    graph.rollback()
    _print("go back by a batch", (time.process_time() - done) * 1e3, "ms (100 devices of one person)")
    with tempfile.TemporaryDirectory() as folder:
        _snapshot(graph, Path(folder) / "graph", policy)
        del graph
        _view(log, Path(folder) / "view", people)
    _restore(log, policy)
    _print("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")


def _snapshot(graph: LiveGraph, path: Path, policy: Policy) -> None:
    start = time.process_time()
    graph.save(path, {0: 1})
    _print("snapshot: save", time.process_time() - start, "s")
    _print("snapshot: size", path.stat().st_size / 1e6, "MB")
    again = LiveGraph(policy)
    start = time.process_time()
    again.load(path)
    _print("snapshot: load", time.process_time() - start, "s")


def _restore(log: dict[bytes, bytes], policy: Policy) -> None:
    again = LiveGraph(policy)
    count = len(log)
    start = time.process_time()
    while log:
        again.apply(*log.popitem())
    again.verify()
    _print("restore", count / (time.process_time() - start), "records/s")


def _view(log: dict[bytes, bytes], path: Path, people: int) -> None:
    view = GraphView(path)
    rows = list(log.items())
    start = time.process_time()
    for at in range(0, len(rows), 10_000):
        view.apply(0, rows[at : at + 10_000], at + 10_000)
    view.flush()
    _print("copy: follow", len(rows) / (time.process_time() - start), "records/s")
    _print("copy: size", sum(file.stat().st_size for file in path.iterdir()) / 1e6, "MB")
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


def _event(number: int, place: int, *idents: str) -> Event:
    at_ms = START_MS + number * 7919 * 1000 % YEAR_MS + place * 60_000
    return Event(f"bench-{number:08d}-{place:02d}", "page.viewed", at_ms, idents, None)


def _print(what: str, figure: float, unit: str) -> None:
    print(f"{what:<28} {figure:14,.2f} {unit}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
