"""A worker: some stages, or all, of the live pipeline in one process.

One Faust application holds it together. The bulk stages are agents on channels of batches, each fed by a thread that
reads Kafka; the low-volume work is agents on topics. Beside them run a thread that follows the identity graph, one that
moves the clock, and one that answers HTTP.

What cannot be mended while running (a fenced producer, a call that hangs, an error nobody expected) makes the process
replace itself by a fresh one: everything not committed is undone by Kafka, the rest is restored from the stores.
"""

import asyncio
import fcntl
import gc
import logging
import os
import signal
import socket
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal

from lake.store import LakeStore
from schemas.errors import ConfigError, KithError
from schemas.settings import Settings
from stream import alarms, control, webhooks
from stream.api import ApiServer
from stream.audit_schedule import audit_schedule
from stream.connection import Connection
from stream.faust_app import make_app, run
from stream.follower import Follower
from stream.graph_view import GraphView
from stream.live_clock import LiveClock
from stream.metrics import Metrics
from stream.runner import Runner
from stream.schedule import Schedule
from stream.snapshot_schedule import snapshot_schedule
from stream.stage_identify import RAW_TOPICS, IdentifyWork
from stream.stage_lake import LakeStage, lake_url
from stream.stage_profile import ProfileWork
from stream.stage_resolve import ResolveWork
from stream.stages import FOLLOWING, STAGES
from stream.topics import create
from stream.transaction import RESTARTS, start_anew
from stream.watching import Watch
from triggers.engine import Engine
from triggers.rules import RuleSet

log = logging.getLogger(__name__)

MAX_RESTARTS = 30
"""Fresh starts in a row, without a minute of health between them, after which a worker gives up."""

Clock = Literal["live", "events"]


class Worker:
    """Made from settings; `run` returns when the worker was asked to stop, with its exit code."""

    def __init__(self, settings: Settings, stages: Sequence[str] = STAGES, clock: Clock = "live") -> None:
        self.settings = settings
        self.stages = tuple(stages)
        self.follows = not FOLLOWING.isdisjoint(stages)
        self.clock = clock
        self.connection = Connection(settings.kafka)
        self.metrics = Metrics()
        self.runners: list[Runner] = []
        self.profile: ProfileWork | None = None
        self.resolve: ResolveWork | None = None
        self.follower: Follower | None = None
        self.live_clock: LiveClock | None = None
        self.lake: LakeStage | None = None
        self.schedules: list[Schedule] = []
        self._slot: IO[str] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._started_at = time.monotonic()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; return 0. Raises KithError if the worker cannot start."""
        ruleset = RuleSet.from_settings(self.settings)
        made = create(self.connection, self.settings, ruleset)
        if made:
            log.info("topics created: %s", ", ".join(made))
        folder, self.name = self._take_slot()
        runner = _uvloop_runner()
        try:
            with runner:
                runner.run(self._main(ruleset, folder))
        finally:
            if self._slot is not None:
                self._slot.close()
        if self._error is not None:
            self._give_up_or_start_anew(self._error)
        return 0

    async def _main(self, ruleset: RuleSet, folder: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        settings, connection = self.settings, self.connection
        engine = Engine(ruleset, settings)
        partitions = self._partitions()
        view = None
        if self.follows:
            view = GraphView(folder / "graph", settings.worker.identifiers_in_memory)
            self.follower = Follower(connection, view, partitions["identity.graph"], self.failed)
        watch = Watch(self)
        api = ApiServer(settings, self.metrics, watch)
        address = api.start()
        watch.start()
        (folder / "address").write_text(address + "\n")
        app = make_app(settings, connection, self.name, folder / "faust")
        works: list[Any] = []
        live = self.clock == "live"
        people = partitions["events.identified"]
        if "identify" in self.stages and view is not None:
            works.append(IdentifyWork(settings, connection, view, self.metrics, people, live))
        if "resolve" in self.stages:
            self.resolve = ResolveWork(settings, connection, self.metrics, people, partitions["identity.graph"], folder)
            works.append(self.resolve)
        if "profile" in self.stages:
            if live:
                self.live_clock = LiveClock(connection, RAW_TOPICS)
            self.profile = ProfileWork(settings, connection, engine, self.metrics, people, folder, self.live_clock)
            works.append(self.profile)
        for work in works:
            runner = Runner(work, connection, settings, self.name, address, self.metrics, self.failed)
            runner.attach(app)
            self.runners.append(runner)
        if "control" in self.stages:
            control.register(app, settings, connection, self.metrics, self.clock)
            alarms.register(app, settings, connection, self.metrics)
            rules = [rule.name for rule in ruleset.rules]
            webhooks.register(app, settings, connection, self.metrics, rules, live=live)
        if "lake" in self.stages:
            store = LakeStore(lake_url(settings))
            self.lake = LakeStage(settings, connection, store, self.name, self.metrics, self.failed)
        if "resolve" in self.stages:
            url = lake_url(settings)
            wanted = (
                audit_schedule(settings, url, self.clock, folder, self.metrics, self._resolves),
                snapshot_schedule(settings, url, folder, self.metrics, self._resolves),
            )
            self.schedules = [schedule for schedule in wanted if schedule is not None]
        ready = asyncio.Event()
        app_stop = asyncio.Event()  # the app goes on until its agents have committed what is under way
        ended = asyncio.create_task(run(app, app_stop, ready))
        starting = asyncio.create_task(self._start(ready))
        try:
            await asyncio.wait(
                {ended, starting, asyncio.create_task(self._stop.wait())}, return_when=asyncio.FIRST_COMPLETED
            )
            if starting.done():
                starting.result()
            await self._until_stopped(ended)
        except KithError as error:
            self.failed(error)
        finally:
            starting.cancel()
            await self._shut_down(api, watch, view)
            app_stop.set()
            await asyncio.wait({ended}, timeout=20)

    async def _start(self, ready: asyncio.Event) -> None:
        """Start reading once the app's agents listen and the copy of the graph is complete."""
        if self.follower is not None:
            self.follower.start()
        await ready.wait()
        while self.follower is not None and not self.follower.ready.is_set():
            await asyncio.sleep(0.02)
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 1_000)
        for runner in self.runners:
            await runner.start()
        if self.live_clock is not None:
            self.live_clock.start()
        if self.lake is not None:
            self.lake.start()
        for schedule in self.schedules:
            schedule.start()
        log.info(
            "worker %s runs %s by the clock of %s",
            self.name,
            ", ".join(self.stages),
            "the day" if self.clock == "live" else "the events",
        )

    def _resolves(self) -> bool:
        """Say whether this worker is the one of all that resolves, which does what is done once."""
        return any(r.name == "resolve" and r.source is not None and bool(r.source.assigned) for r in list(self.runners))

    async def _until_stopped(self, ended: "asyncio.Task[None]") -> None:
        assert self._stop is not None  # noqa: S101
        stopping = asyncio.create_task(self._stop.wait())
        healthy = asyncio.create_task(asyncio.sleep(60))
        try:
            done, _ = await asyncio.wait({stopping, ended, healthy}, return_when=asyncio.FIRST_COMPLETED)
            if healthy in done:
                os.environ.pop(RESTARTS, None)
                await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
        finally:
            stopping.cancel()
            healthy.cancel()

    async def _shut_down(self, api: ApiServer, watch: Watch, view: GraphView | None) -> None:
        loop = asyncio.get_running_loop()
        if self._error is None:
            log.info("worker %s stops", self.name)
            for runner in self.runners:
                await runner.stop()
            if self.lake is not None:
                await loop.run_in_executor(None, self.lake.stop)
        for schedule in self.schedules:
            await loop.run_in_executor(None, schedule.stop)
        if self.live_clock is not None:
            await loop.run_in_executor(None, self.live_clock.stop)
        if self.follower is not None:
            await loop.run_in_executor(None, self.follower.stop)
        await loop.run_in_executor(None, watch.stop)
        await loop.run_in_executor(None, api.stop)
        if self._error is None and view is not None:
            view.close()  # else the stages are still at it, and would take every event for one that breaks them

    def failed(self, error: BaseException) -> None:
        """Hear, from any thread, of an error after which only a fresh start helps."""
        if self._error is None:
            self._error = error
            log.error("worker fails: %s", error, exc_info=(not isinstance(error, KithError) and error) or None)
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    def _give_up_or_start_anew(self, error: BaseException) -> None:
        if isinstance(error, ConfigError) or int(os.environ.get(RESTARTS, "0")) >= MAX_RESTARTS:
            raise error
        start_anew(str(error))

    def _partitions(self) -> dict[str, int]:
        found = self.connection.admin().list_topics(timeout=20).topics
        counts = {
            self.connection.bare(name): len(topic.partitions)
            for name, topic in found.items()
            if name.startswith(self.connection.prefix)
        }
        if counts["events.identified"] != counts["profiles.state"]:
            raise ConfigError(
                f"events.identified has {counts['events.identified']} partitions and profiles.state "
                f"{counts['profiles.state']}: they must be the same; kith topics check tells more"
            )
        return counts

    def _take_slot(self) -> tuple[Path, str]:
        """Return the folder and the name of this worker: of the first place in the data folder that nobody holds.

        Those that keep no people have places of their own, so that the others find their stores again.
        """
        data = Path(self.settings.worker.data).absolute()
        kind = "worker" if self.follows else "-".join(sorted(self.stages))
        for number in range(1000):
            folder = data / f"{kind}-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            slot = (folder / "lock").open("w")
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                slot.close()
                continue
            self._slot = slot
            place = f"{number}" if self.follows else folder.name
            return folder, f"{socket.gethostname()}-{zlib.crc32(str(data).encode()):08x}-{place}"
        raise ConfigError(f"worker.data: a thousand workers hold a place in {data}")


def _uvloop_runner() -> asyncio.Runner:
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
