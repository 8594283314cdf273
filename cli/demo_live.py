"""The live end of the demo: a Kafka, a worker, events by a plain client, and what comes out of the topics."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.config import Lang
from cli.interrupts import Interrupts
from cli.kafka import Fetching
from cli.workers import Workers
from deploy.kafka_local import LocalKafka
from lake.report_data import open_tables
from lake.report_words import stage_name
from lake.story import pick_customer
from schemas.errors import KithError, StateError
from schemas.load import PREFIX
from schemas.money import format_minor
from schemas.settings import Settings
from stream.clock_command import advance
from stream.connection import Connection
from stream.lag import wait
from stream.plain_client import Arrivals, arrived, publish_plainly
from stream.replay import replay
from stream.topics import create
from triggers.rules import RuleSet

PEOPLE = 300
EVENTS = 15_000
"""At most so many people, with at most about so many events, go through Kafka: done in well under a minute."""

READY_S = 90.0
PATIENCE_S = 240.0

WORDS = {
    "kafka": {
        "en": "\nThe same, live: starting a Kafka and a worker ...",
        "zh": "\n实时运行：正在启动 Kafka 和工作进程 ...",
    },
    "published": {
        "en": "published:  {events:,} events by a plain Kafka client, all of the {people:,} people who came first",
        "zh": "已发布：  最早出现的 {people:,} 人的全部 {events:,} 个事件，使用普通 Kafka 客户端",
    },
    "done": {
        "en": "worked off: in {seconds:.1f} s by one worker, {rate:,.0f} events/s, in transactions",
        "zh": "已处理：  单个工作进程用时 {seconds:.1f} 秒，每秒 {rate:,.0f} 个事件，全部在事务中完成",
    },
    "same": {
        "en": "people:     {people:,} on the topic profiles, the same OneIDs as a replay of these events finds",
        "zh": "人数：    profiles 主题上共 {people:,} 人，OneID 与重放同一批事件的结果完全一致",
    },
    "other": {
        "en": "people:     {people:,} on the topic profiles; a replay of these events finds {replayed:,}",
        "zh": "人数：    profiles 主题上共 {people:,} 人；重放同一批事件的结果为 {replayed:,} 人",
    },
    "triggers": {
        "en": "triggers:   {sum:,} fired: {list}",
        "zh": "触发：    已触发 {sum:,} 次：{list}",
    },
    "someone": {
        "en": "a profile:  {ident}: {events} events, {orders} orders, {money}, {lifecycle}, tier {tier}",
        "zh": "画像示例：{ident}：{events} 个事件，{orders} 笔订单，{money}，{lifecycle}，等级 {tier}",
    },
    "stopped": {
        "en": "The live run has stopped cleanly. Your own: kith up",
        "zh": "实时运行已正常停止。运行自己的实时管道：kith up",
    },
}


class _Id(msgspec.Struct):
    id: str


def live(out: Path, settings: Settings, lang: Lang) -> None:
    """Send part of the events of a finished demo through a Kafka that is made for it, and tell what arrives.

    Raises KithError if Kafka or the worker do not start or do not get done.
    """

    def tell(name: str, **values: object) -> None:
        click.echo(WORDS[name][lang].format(**values))

    tell("kafka")
    try:
        with Interrupts() as interrupts, tempfile.TemporaryDirectory(prefix="kith-demo-live-") as folder:
            scratch = Path(folder)
            people, lines = choose(out)
            until_ms, replayed = _replayed(lines, scratch, settings)
            with _pipeline(scratch, settings, interrupts) as connection:
                seconds, arrivals = _run(connection, lines, until_ms)
            tell("published", events=len(lines), people=people)
            tell("done", seconds=seconds, rate=len(lines) / seconds)
            same = "same" if set(arrivals.latest) == replayed else "other"
            tell(same, people=len(arrivals.latest), replayed=len(replayed))
            fired = ", ".join(f"{rule} {count:,}" for rule, count in arrivals.fired.most_common(6))
            tell("triggers", sum=arrivals.fired.total(), list=fired)
            if arrivals.latest:
                tell("someone", **_told(_example(out, arrivals), lang))
    except KithError as error:
        error.args = (f"{error}\nthe live run has failed; kith demo --no-live leaves it out",)
        raise
    tell("stopped")


def choose(out: Path) -> tuple[int, list[bytes]]:
    """Return how many people's events are taken, and the lines: of the story's customer, then of who came first."""
    with open_tables(out) as tables:
        chosen = tables.rows(
            """
            WITH people AS (SELECT one_id, count(*) AS events, min(time) AS first FROM events GROUP BY one_id),
            ranked AS (
                SELECT one_id, row_number() OVER places AS place, sum(events) OVER places - events AS before
                FROM people WINDOW places AS (ORDER BY one_id = ? DESC, first, one_id ROWS UNBOUNDED PRECEDING)
            )
            SELECT event_id, one_id FROM events JOIN ranked USING (one_id) WHERE place <= ? AND before < ?
            """,
            [pick_customer(out), PEOPLE, EVENTS],
        )
    ids = {row[0] for row in chosen}
    decoder = msgspec.json.Decoder(_Id)
    lines = []
    with (out / "events.jsonl").open("rb") as file:
        for line in file:
            try:
                if decoder.decode(line).id in ids:
                    lines.append(line.rstrip(b"\n"))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # one of those that the demo breaks on purpose
    return len({row[1] for row in chosen}), lines


def _replayed(lines: list[bytes], scratch: Path, settings: Settings) -> tuple[int, set[str]]:
    """Return the time of the last event and the OneIDs of all who have an event."""
    source = scratch / "events.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    replay([str(source)], scratch / "replayed", settings)
    with open_tables(scratch / "replayed") as tables:
        until_ms = tables.one("SELECT epoch_ms(max(time)) FROM events")[0]
        return until_ms, {row[0] for row in tables.rows("SELECT one_id FROM profiles WHERE events > 0")}


@contextmanager
def _pipeline(scratch: Path, settings: Settings, interrupts: Interrupts) -> Iterator[Connection]:
    """Yield the connection to a Kafka with all topics and a worker at work; stop both at the end."""
    with Fetching() as fetching:
        kafka = LocalKafka(scratch / "kafka", guarded=True, progress=fetching.report)
        kafka.start()
    try:
        api = settings.worker.api.model_copy(update={"port": 0})
        own = {
            "kafka": settings.kafka.model_copy(update={"brokers": kafka.bootstrap, "partitions": 3}),
            "worker": settings.worker.model_copy(update={"data": str(scratch / "data"), "api": api}),
        }
        settings = settings.model_copy(update=own)
        config = scratch / "kith.yaml"
        config.write_text(json.dumps(settings.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
        connection = Connection(settings.kafka)
        create(connection, settings, RuleSet.from_settings(settings))
        environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        with Workers(settings, config, 1, "events", hurry=lambda: interrupts.again, environ=environ) as workers:
            if not workers.await_ready(READY_S):
                raise StateError(f"the worker was not ready after {READY_S:.0f} s")
            yield connection
    finally:
        kafka.stop()


def _run(connection: Connection, lines: list[bytes], until_ms: int) -> tuple[float, Arrivals]:
    """Publish, wait, move the clock to the last event; return the seconds of publishing and working off."""
    arrivals = Arrivals(connection)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<24}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as progress:
        sent = progress.add_task("publishing (events)", total=len(lines))
        seen = progress.add_task("arriving (profiles)", total=None)
        fired = progress.add_task("arriving (triggers)", total=None)

        def look(left: int) -> None:
            arrivals.poll()
            progress.update(seen, completed=arrivals.profiles)
            progress.update(fired, completed=arrivals.fired.total())

        try:
            began = time.monotonic()
            publish_plainly(connection, lines, lambda done: progress.update(sent, completed=done))
            wait(connection, PATIENCE_S, look)
            seconds = time.monotonic() - began
            advance(connection, until_ms)
            wait(connection, PATIENCE_S, look)
        finally:
            arrivals.close()
        whole = arrived(connection)
        progress.update(seen, completed=whole.profiles, total=whole.profiles)
        progress.update(fired, completed=whole.fired.total(), total=whole.fired.total())
    return seconds, whole


def _example(out: Path, arrivals: Arrivals) -> dict[str, Any]:
    """Return the profile of the customer whose story was told; of the one with most events if that is not there."""
    found = arrivals.latest.get(pick_customer(out) or "")
    return found or max(arrivals.latest.values(), key=lambda profile: int(profile["events"]))


def _told(profile: dict[str, Any], lang: Lang) -> dict[str, Any]:
    """Return what the line about a profile names."""
    idents = sorted(profile["identifiers"], key=lambda ident: not ident.startswith(("phone:", "member_id:")))
    currency = profile["currency"]
    return {
        "ident": idents[0] if idents else profile["one_id"],
        "events": profile["events"],
        "orders": profile["orders"],
        "money": "0" if currency is None else f"{format_minor(profile['revenue_minor'], currency)} {currency}",
        "lifecycle": stage_name(profile["lifecycle"], lang),
        "tier": profile["tier"],
    }
