"""Workers and the broker are killed while events flow; afterwards everything is as the replay has it."""

from pathlib import Path

from bench.crash import CrashRun
from deploy.kafka_local import LocalKafka
from schemas.settings import Settings


def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    with LocalKafka(tmp_path / "kafka", guarded=True) as kafka:
        settings = Settings.model_validate(
            {
                "kafka": {"brokers": kafka.bootstrap, "partitions": 3, "replication": 1},
                "worker": {
                    "data": str(tmp_path / "data"),
                    "batch": 100,
                    "people_in_memory": 100,
                    "identifiers_in_memory": 100,
                    "api": {"port": 0},
                },
                "lake": {"every": "2s"},
            }
        )
        run = CrashRun(settings, kafka, tmp_path, seed=2)
        assert run.go(events=4_000, kills=4, what=["worker", "broker", "zombie"]) == []
    assert run.done == {"worker": 2, "broker": 1, "zombie": 1}
