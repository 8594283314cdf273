"""The live end of the demo: a Kafka, a worker, events by a plain client, and what comes out of the topics."""

import json
import time
from pathlib import Path
from typing import Any

import click

from cli.config import Lang
from cli.up import Pipeline
from deploy.kafka_local import LocalKafka
from schemas.settings import Settings
from stream.connection import Connection
from stream.lag import wait
from stream.plain_client import arrived, publish_plainly

EVENTS = 10_000
"""Events of the demo that go through Kafka: enough to see it work, and done in well under a minute."""

PATIENCE_S = 180.0

WORDS = {
    "kafka": {
        "en": "\nThe same, live: starting Kafka and a worker ...",
        "zh": "\n实时运行：正在启动 Kafka 和工作进程 ...",
    },
    "published": {
        "en": "published to Kafka by a plain client: the first {events:,} events",
        "zh": "已由普通客户端发布到 Kafka：前 {events:,} 个事件",
    },
    "done": {
        "en": "worked off after {seconds:.1f} s: {profiles:,} profiles of {people:,} people arrived on `profiles`",
        "zh": "{seconds:.1f} 秒后处理完毕：`profiles` 主题收到 {people:,} 人的 {profiles:,} 份画像",
    },
    "triggers": {"en": "triggers arrived: {list}", "zh": "触发消息：{list}"},
    "someone": {"en": "for example: {line}", "zh": "例如：{line}"},
    "stopped": {"en": "stopped cleanly", "zh": "已正常停止"},
}


def live(source: Path, scratch: Path, settings: Settings, lang: Lang) -> None:
    """Publish the beginning of the file of events to a Kafka in `scratch`, and tell what arrives on the topics."""

    def tell(name: str, **values: object) -> None:
        click.echo(WORDS[name][lang].format(**values))

    tell("kafka")
    with LocalKafka(scratch / "kafka", guarded=True) as kafka:
        own = {
            "kafka": settings.kafka.model_copy(update={"brokers": kafka.bootstrap, "partitions": 3}),
            "worker": settings.worker.model_copy(
                update={
                    "data": str(scratch / "data"),
                    "api": settings.worker.api.model_copy(update={"port": 0, "advertised": None}),
                }
            ),
        }
        settings = settings.model_copy(update=own)
        config = scratch / "kith.yaml"
        config.write_text(json.dumps(settings.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
        connection = Connection(settings.kafka)
        with Pipeline(settings, config, 1, "events"):
            began = time.monotonic()
            tell("published", events=publish_plainly(connection, source, EVENTS))
            wait(connection, PATIENCE_S)
            seconds = time.monotonic() - began
            profiles, latest, fired = arrived(connection)
            tell("done", seconds=seconds, profiles=profiles, people=len(latest))
            tell("triggers", list=", ".join(f"{rule} {count:,}" for rule, count in fired.most_common(6)))
            if latest:
                tell("someone", line=_line(max(latest.values(), key=lambda profile: profile["events"])))
    tell("stopped")


def _line(profile: dict[str, Any]) -> str:
    idents = profile["identifiers"]
    first = idents[0] if isinstance(idents, list) and idents else profile["one_id"]
    return f"{first}: {profile['events']} events, {profile['orders']} orders, {profile['lifecycle']}, {profile['tier']}"
