"""`python -m bench.per_event [PEOPLE]`: CPU microseconds per event of each step, median of five runs.

The steps are those of the pipeline, each timed alone over the same events: decode (JSON to typed event), admit (with
identifiers normalised), look-up (identity, every person known), fold (into the part), due (the checks an event can
move), and derive (a whole profile, per person). Firing is timed per decided trigger. The garbage collector is off, as
it nearly is in a replay.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable

from bench.events import lines
from identity.graph import Graph
from identity.policy import Policy
from ingest.admit import Admission
from profiles.derive import deriver
from profiles.facts import Facts
from profiles.fold import Folder
from profiles.part import Part, decode, encode, new_part
from schemas.decode import Decoder
from schemas.event import Event
from schemas.firing import Firing
from schemas.settings import Settings
from stream.memory import MemoryPipeline
from triggers.engine import Engine
from triggers.rules import RuleSet

RUNS = 5


def main(arguments: list[str]) -> None:
    """Measure and print the table."""
    people = int(arguments[0]) if arguments else 5_000
    settings = Settings()
    texts = [line.rstrip() for line in lines(people)]
    decoder = Decoder(settings.currency)
    events = sorted(map(Admission(settings).admit, texts), key=lambda event: (event.time_ms, event.id))
    engine = Engine(RuleSet.from_settings(settings), settings)
    gc.collect()
    gc.freeze()
    gc.disable()
    _print("decode", _time(lambda: list(map(decoder.decode, texts))), len(texts))
    gate = Admission(settings)
    _print("admit (decode, normalise)", _time(lambda: list(map(gate.admit, texts))), len(texts))
    graph = Graph(Policy.from_settings(settings), settings.space)
    for event in events:
        graph.observe(event)
    _print("look-up", _time(lambda: list(map(graph.lookup, events))), len(events))
    _print("fold", _time(lambda: _fold(events, settings)), len(events))
    parts = _fold(events, settings)
    facts = [Facts([part], settings) for part in parts.values()]
    everyone = {part.key: each for part, each in zip(parts.values(), facts, strict=True)}
    checks = {key: engine.checks(each) for key, each in everyone.items()}

    def due() -> None:
        for event in events:
            key = event.idents[0]
            engine.after_event(checks[key], everyone[key], event.type, event.time_ms)

    _print("due (checks after an event)", _time(due), len(events))
    derive = deriver(settings).row
    now_ms = events[-1].time_ms
    _print("derive, per person", _time(lambda: [derive(each, now_ms, None) for each in facts]), len(facts))
    stored = [encode(part) for part in parts.values()]
    _print("encode a part", _time(lambda: list(map(encode, parts.values()))), len(parts))
    _print("decode a part", _time(lambda: list(map(decode, stored))), len(parts))
    fired: list[Firing] = []
    _print("all stages, firing included", _time(lambda: _stages(events, settings, engine, fired)), len(events))
    print(f"{len(fired) / RUNS / len(events):.2f} decided triggers per event")
    print(
        f"{sum(map(len, stored)) / people:,.0f} bytes of parts at rest per person ({len(events) / people:.0f} events)"
    )


def _fold(events: Iterable[Event], settings: Settings) -> dict[str, Part]:
    fold = Folder(settings).fold
    parts: dict[str, Part] = {}
    for event in events:
        key = event.idents[0]
        if key not in parts:
            parts[key] = new_part(key)
        fold(parts[key], event)
    return parts


def _stages(events: list[Event], settings: Settings, engine: Engine, fired: list[Firing]) -> None:
    graph = Graph(Policy.from_settings(settings), settings.space)
    pipeline = MemoryPipeline(settings, graph, engine, fired.append, lambda change: None)
    for event in events:
        pipeline.send(event)
    pipeline.advance(events[-1].time_ms)


def _time(work: Callable[[], object]) -> list[float]:
    """Return the CPU seconds of each run."""
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return seconds


def _print(step: str, seconds: list[float], count: int) -> None:
    middle, low, high = (each / count * 1e6 for each in (statistics.median(seconds), min(seconds), max(seconds)))
    print(f"{step:<28} {middle:7.2f} us  ({low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
