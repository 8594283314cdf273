"""Workers as the HTTP side sees them, without stages: a graph, stores of some partitions, and a server."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from identity.oneid import namer
from schemas.settings import Settings
from stream.api import ApiServer
from stream.connection import Connection
from stream.graph_log import alias_key, node_key
from stream.graph_view import GraphView
from stream.metrics import Metrics
from stream.person import Person, freeze
from stream.store import Store
from stream.wire import partition_of
from tests.profiles.support import T0, fold_all, paid

PARTITIONS = 3
NOW_MS = T0 + 1_000_000

name = namer("default")


def someone(ident: str) -> Person:
    """A person with one identifier and one order."""
    person = Person(name(ident))
    person.parts = {part.key: part for part in fold_all([paid(T0, f"order of {ident}", who=ident)])}
    person.members = person.parts
    return person


def view_of(idents: dict[str, str], aliases: Mapping[str, str] = {}, first_ms: int = T0) -> GraphView:
    """A copy of the graph in which each identifier has a OneID, and former OneIDs lead to identifiers."""
    view = GraphView()
    rows: list[tuple[bytes, bytes | None]] = [
        (
            node_key(ident),
            json.dumps({"one_id": one_id, "first_ms": first_ms, "first_id": "e", "has_part": True}).encode(),
        )
        for ident, one_id in idents.items()
    ]
    rows += [(alias_key(former), json.dumps({"ident": ident}).encode()) for former, ident in aliases.items()]
    view.apply(0, rows, 1)
    return view


class OneWorker:
    """What the API is told of its worker."""

    def __init__(self, settings: Settings, view: GraphView | None) -> None:
        self.connection = Connection(settings.kafka)
        self.follows = view is not None
        self.view = view
        self.partitions = PARTITIONS
        self.stores: dict[int, Store] = {}
        self.wrong: list[str] = []

    def store(self, partition: int) -> Store | None:
        return self.stores.get(partition)

    def now_ms(self) -> int:
        return NOW_MS

    def problems(self) -> list[str]:
        return self.wrong


@contextmanager
def stores_of(folder: Path, people: list[Person]) -> Iterator[dict[int, Store]]:
    """The stores of all partitions, with these people in them."""
    stores = {number: Store(folder / f"store-{number}") for number in range(PARTITIONS)}
    try:
        for person in people:
            stores[partition_of(person.one_id, PARTITIONS)].write({person.one_id.encode(): freeze(person)}, 1)
        yield stores
    finally:
        for store in stores.values():
            store.close()


class Serving:
    """A server that runs; `get` asks it."""

    def __init__(self, settings: Settings, worker: OneWorker, environ: Mapping[str, str]) -> None:
        self.worker = worker
        self.metrics = Metrics()
        self.server = ApiServer(settings, self.metrics, worker, environ)
        self.address = self.server.start()

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Return status, JSON and headers of the answer; `_` in the name of a header is `-`."""
        status, body, found = self.raw(path, **headers)
        return status, json.loads(body), found

    def raw(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()


@contextmanager
def serving(settings: Settings, *workers: OneWorker, environ: Mapping[str, str] = {}) -> Iterator[list[Serving]]:
    """Servers of these workers, stopped at the end."""
    with ExitStack() as stack:
        found = []
        for worker in workers:
            found.append(Serving(settings, worker, environ))
            stack.callback(found[-1].server.stop)
        yield found
