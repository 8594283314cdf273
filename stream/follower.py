"""A thread that keeps a copy of the identity graph up to date from its compacted topic."""

import logging
import threading
import time
from collections.abc import Callable

from confluent_kafka import OFFSET_BEGINNING, KafkaError, Message, TopicPartition

from stream.changelog import Record
from stream.connection import Connection
from stream.graph_view import GraphView

log = logging.getLogger(__name__)


class Follower:
    """Reads `identity.graph` for ever into a view. `ready` is set once the view has all there was at the start."""

    def __init__(
        self, connection: Connection, view: GraphView, partitions: int, failed: Callable[[BaseException], None]
    ) -> None:
        self.view = view
        self.ready = threading.Event()
        self._failed = failed
        self._topic = connection.topic("identity.graph")
        self._reader = connection.reader(fetch_wait_max_ms=20)
        self._missing = set(range(partitions))
        starts = [
            TopicPartition(self._topic, number, view.offsets.get(number, 0) or OFFSET_BEGINNING)
            for number in range(partitions)
        ]
        self._reader.assign(starts)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow identity.graph", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()
        if self._thread.ident is not None:  # it was started
            self._thread.join(15)

    def _run(self) -> None:
        started = time.perf_counter()
        try:
            while not self._stopped.is_set():
                found = self._reader.consume(1, 0.1)
                if found:
                    self._apply(found + self._reader.consume(9_999, 0))
                    if not self._missing and not self.ready.is_set():
                        self.ready.set()
                        log.info(
                            "the copy of the identity graph is complete after %.1f s", time.perf_counter() - started
                        )
            self._reader.close()
        except BaseException as error:  # whatever it is, the worker must hear of it
            self._failed(error)

    def _apply(self, messages: list[Message]) -> None:
        records: dict[int, list[Record]] = {}
        ends: dict[int, int] = {}
        for message in messages:
            number = int(message.partition() or 0)
            error = message.error()
            if error is None:
                ends[number] = int(message.offset() or 0) + 1
                key = message.key()
                if key is not None:
                    records.setdefault(number, []).append((key, message.value()))
            elif error.code() == KafkaError._PARTITION_EOF:
                self._missing.discard(number)
            else:
                log.warning("reading identity.graph: %s", error.str())
        for number, end in ends.items():
            self.view.apply(number, records.get(number, []), end)
