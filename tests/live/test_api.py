"""The HTTP sides of several workers: any of them answers for everybody."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from schemas.settings import Settings
from stream.connection import Connection
from stream.owners import Owners, client_id
from stream.wire import partition_of
from tests.live.running import create, wait
from tests.stream.serving import PARTITIONS, OneWorker, Serving, name, serving, someone, stores_of, view_of

pytestmark = pytest.mark.alone  # it measures times

IDENTS = [f"external_id:C{number}" for number in range(12)]


class Member:
    """A consumer of the profile group that reads nothing but has its partitions, and their stores in its worker."""

    def __init__(self, connection: Connection, served: Serving, stores: dict[int, object]) -> None:
        self._worker, self._stores = served.worker, stores
        self._consumer = connection.consumer(
            connection.group("profile"),
            client_id=client_id("w", served.address),
            partition_assignment_strategy="cooperative-sticky",
            session_timeout_ms=6000,
        )
        self._ended = threading.Event()
        self._consumer.subscribe([connection.topic("events.identified")])
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._consumer.poll(0.1)
            held = {place.partition for place in self._consumer.assignment()}
            self._worker.stores = {number: self._stores[number] for number in held}  # type: ignore[misc]
        self._worker.stores = {}
        self._consumer.close()

    def leave(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[dict[int, object]]:
    with stores_of(tmp_path, [someone(ident) for ident in IDENTS]) as found:
        yield dict(found)


@contextmanager
def workers(
    settings: Settings, connection: Connection, number: int, environ: dict[str, str] | None = None
) -> Iterator[tuple[list[Serving], Callable[[Serving, dict[int, object]], Member]]]:
    """Servers, and what lets one of them join the group."""
    create(connection, events_identified=PARTITIONS)
    view = view_of({ident: name(ident) for ident in IDENTS})
    with ExitStack() as stack:
        found = [OneWorker(settings, view) for _ in range(number)]
        apis = stack.enter_context(serving(settings, *found, environ=environ or {}))

        def join(api: Serving, stores: dict[int, object]) -> Member:
            member = Member(connection, api, stores)
            stack.callback(member.leave)
            return member

        yield apis, join


def everybody(api: Serving, **headers: str) -> list[int]:
    return [api.get(f"/profiles/external_id/C{number}", **headers)[0] for number in range(len(IDENTS))]


def shared(apis: list[Serving]) -> bool:
    held = [set(api.worker.stores) for api in apis]
    return all(held) and set.union(*held) == set(range(PARTITIONS)) and sum(map(len, held)) == PARTITIONS


def test_any_worker_answers_for_everybody_also_after_partitions_moved(
    settings: Settings, connection: Connection, stores: dict[int, object]
) -> None:
    with workers(settings, connection, 3) as (apis, join):
        members = [join(api, stores) for api in apis[:2]]
        wait(lambda: shared(apis[:2]))
        for api in apis:  # the third one has no partition at all
            assert everybody(api) == [200] * len(IDENTS)
            assert api.get(f"/profiles/one_id/{name(IDENTS[0])}")[1]["one_id"] == name(IDENTS[0])
            assert api.get("/profiles/external_id/nobody")[0] == 404
        assert {partition_of(name(ident), PARTITIONS) for ident in IDENTS} == set(range(PARTITIONS))
        members[0].leave()
        wait(lambda: len(apis[1].worker.stores) == PARTITIONS)
        for api in apis:
            assert everybody(api) == [200] * len(IDENTS)


def test_a_worker_without_people_asks_those_that_have_them(
    settings: Settings, connection: Connection, stores: dict[int, object]
) -> None:
    with workers(settings, connection, 2, {"API_KEY": "k"}) as (apis, join), ExitStack() as stack:
        (lake,) = stack.enter_context(serving(settings, OneWorker(settings, None), environ={"API_KEY": "k"}))
        status, told, _ = lake.get("/profiles/external_id/C0", X_API_Key="k")
        assert (status, told["error"]) == (503, "no worker that has people answers just now")
        for api in apis:
            join(api, stores)
        wait(lambda: shared(apis))
        time.sleep(1)  # what it was told before counts no longer
        assert everybody(lake, X_API_Key="k") == [200] * len(IDENTS)
        assert lake.get(f"/profiles/one_id/{name(IDENTS[0])}", X_API_Key="k")[1]["one_id"] == name(IDENTS[0])
        assert lake.get("/profiles/external_id/nobody", X_API_Key="k")[0] == 404
        assert everybody(lake) == [401] * len(IDENTS)


def test_a_worker_that_does_not_answer_is_not_waited_for_long(
    settings: Settings, connection: Connection, stores: dict[int, object]
) -> None:
    with workers(settings, connection, 2) as (apis, join):
        member = join(apis[0], stores)
        wait(lambda: len(apis[0].worker.stores) == PARTITIONS)
        assert everybody(apis[1]) == [200] * len(IDENTS)
        apis[0].server.stop()
        started = time.monotonic()
        status, told, headers = apis[1].get("/profiles/external_id/C0")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "no worker has partition" in told["error"]
        assert time.monotonic() - started < 8
        member.leave()


def test_the_key_goes_with_the_question(settings: Settings, connection: Connection, stores: dict[int, object]) -> None:
    with workers(settings, connection, 2, {"API_KEY": "k"}) as (apis, join):
        join(apis[0], stores)
        wait(lambda: len(apis[0].worker.stores) == PARTITIONS)
        assert everybody(apis[1], X_API_Key="k") == [200] * len(IDENTS)
        assert everybody(apis[1], Authorization="Bearer k") == [200] * len(IDENTS)
        assert everybody(apis[1]) == [401] * len(IDENTS)


def test_owners_are_asked_once_a_second_or_after_a_miss(
    settings: Settings, connection: Connection, stores: dict[int, object]
) -> None:
    with workers(settings, connection, 1) as (apis, join):
        owners = Owners(connection)
        assert owners.find(0) is None  # there is no such group yet
        join(apis[0], stores)
        wait(lambda: len(apis[0].worker.stores) == PARTITIONS)
        missed_at = time.monotonic()
        assert owners.find(0, since=missed_at) == apis[0].address
        assert owners.known(0) == apis[0].address
        asked_at = owners._asked_at
        assert owners.find(1) == apis[0].address
        assert owners._asked_at == asked_at
        wait(lambda: owners.known(0) is None, 3)
        assert owners.find(2) == apis[0].address
        assert owners._asked_at > asked_at
