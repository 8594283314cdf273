"""What the tests of the stages share."""

from collections.abc import Callable, Iterable
from typing import Any

from identity.graph import Graph
from identity.policy import Policy
from profiles.derive import derive_row
from profiles.population import Population
from schemas.firing import Firing
from schemas.settings import Settings
from stream.memory import MemoryPipeline
from stream.profile import ProfileStage
from triggers.engine import Engine
from triggers.rules import RuleSet

RAW_TOPIC = "small.events.browse"


class Raw:
    """A message as a consumer gives it."""

    def __init__(self, offset: int, value: bytes, partition: int = 0, arrived_ms: int = 1_780_000_000_000) -> None:
        self._offset, self._value, self._partition, self._arrived_ms = offset, value, partition, arrived_ms

    def topic(self) -> str:
        return RAW_TOPIC

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self._arrived_ms

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return self._value


def pipeline(
    settings: Settings, publish: Callable[[Firing], None] = lambda firing: None, **options: int
) -> MemoryPipeline:
    graph = Graph(Policy.from_settings(settings), settings.space)
    engine = Engine(RuleSet.from_settings(settings), settings)
    return MemoryPipeline(settings, graph, engine, publish, lambda change: None, **options)


def rows_of(stages: Iterable[ProfileStage], settings: Settings, now_ms: int) -> dict[str, Any]:
    thresholds = Population(settings).thresholds()
    return {
        person.one_id: derive_row(person.facts(settings), now_ms, settings, thresholds)
        for stage in stages
        for person in stage.people.each()
    }
