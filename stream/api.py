"""The HTTP side of a worker: profiles of people, whether it is well, its metrics.

It runs in a thread and an event loop of its own, since the worker's loop is busy with batches. It reads the local
stores, which hold what is committed. A person whose partition another worker has is asked of that worker.
"""

import asyncio
import errno
import hmac
import ipaddress
import logging
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from identity.normalise import Normaliser
from identity.policy import Policy
from schemas.errors import ConfigError, InvalidEvent, StateError, TransientError
from schemas.live_settings import ApiSettings
from schemas.settings import Settings
from stream.connection import Connection, secret
from stream.graph_view import GraphView
from stream.metrics import CONTENT_TYPE, Metrics
from stream.openapi import document
from stream.owners import Owners
from stream.person import Person, thaw
from stream.public import Public
from stream.wire import partition_of

log = logging.getLogger(__name__)

FORWARDED = "Kith-Forwarded"
"""Header of a request that another worker has sent on: it is not sent on again."""

NEXT_PORTS = 100
"""Ports that are tried when the one of the settings is taken."""

AGAIN_S = 0.3
"""Seconds to wait before a second try, when nobody has a partition: rebalances are mostly shorter than this."""

FORWARD_S = 5.0

_NOT_MINE = 421
_json = msgspec.json.Encoder().encode
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Records(Protocol):
    """The committed people of a partition. `get` raises StateError if the partition has just been given away."""

    def get(self, key: bytes) -> bytes | None: ...  # noqa: D102


class Served(Protocol):
    """What the API must know of its worker. Everything is called from the API's thread."""

    @property
    def connection(self) -> Connection: ...  # noqa: D102

    @property
    def follows(self) -> bool:
        """Whether the worker keeps a copy of the identity graph; else it asks those that do."""

    @property
    def view(self) -> GraphView | None:
        """The copy of the identity graph, None until it is complete."""

    @property
    def partitions(self) -> int:
        """Number of partitions of people, of all workers; 0 until it is known."""

    def store(self, partition: int) -> Records | None:
        """The people of a partition, None if this worker does not have it."""

    def now_ms(self) -> int:
        """The instant for which profiles are derived."""

    def problems(self) -> list[str]:
        """What keeps the worker from being ready, in words; empty if it is."""


class ApiServer:
    """The HTTP side of one worker; `start`, then `stop`.

    Raises ConfigError if it is to listen elsewhere than on the loopback and has no key.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, served: Served, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._api = settings.worker.api
        self._key = api_key(self._api, environ)
        if self._key is None and not _is_loopback(self._api.host):
            raise ConfigError(
                f"worker.api.host: {self._api.host} can be reached by others, so a key is needed: write one into the "
                f"file of worker.api.key_file or the variable {self._api.key_variable}"
            )
        self._metrics = metrics
        self._served = served
        self._settings = settings
        self._public = Public(settings)
        self._policy = Policy.from_settings(settings)
        self._normaliser = Normaliser(self._policy)
        self._owners = Owners(served.connection)
        self._sockets: list[socket.socket] = []
        self._address = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self._started = threading.Event()
        self._stopping = asyncio.Event()
        self._client: ClientSession | None = None
        self._error: BaseException | None = None
        self._openapi = _json(document(_version()))

    def start(self) -> str:
        """Listen; return `HOST:PORT` by which others reach it. Raises ConfigError if no port is free."""
        self._sockets = _listen(self._api.host, self._api.port)
        port = self._sockets[0].getsockname()[1]
        self._address = self._api.advertised or _host_port(self._api.host, port)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise self._error
        log.info("HTTP on %s", _host_port(self._api.host, port))
        return self._address

    def stop(self) -> None:
        """Answer what is under way, then listen no more."""
        if self._thread.is_alive() and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # the thread that started this one raises it
            if self._started.is_set():
                log.exception("the HTTP side has ended")
            self._error = error
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application(middlewares=[self._around])
        app.router.add_get("/health", self._health, name="health")
        app.router.add_get("/ready", self._ready, name="ready")
        app.router.add_get("/metrics", self._metrics_text, name="metrics")
        app.router.add_get("/openapi.json", self._document, name="openapi")
        app.router.add_get("/profiles/one_id/{one_id}", self._by_one_id, name="profile")
        app.router.add_get("/profiles/{kind}/{value:.+}", self._by_identifier, name="profile_by_identifier")
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2)
        await runner.setup()
        try:
            for listening in self._sockets:
                await web.SockSite(runner, listening).start()
            self._started.set()
            await self._stopping.wait()
        finally:
            await runner.cleanup()
            if self._client is not None:
                await self._client.close()

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask for the key where one is needed, turn errors into JSON, measure."""
        started = time.perf_counter()
        route = request.match_info.route.name or "other"
        try:
            if route.startswith("profile"):
                self._admit(request)
            answer = await handler(request)
        except _AnswerError as error:
            answer = _problem(error.status, str(error))
        except web.HTTPException as error:
            answer = _problem(error.status, error.reason)
        except TransientError as error:
            answer = _problem(503, str(error))
        except Exception:
            log.exception("a request to %s failed", route)
            answer = _problem(500, "something went wrong here; the worker's log says what")
        self._metrics.answered(route, answer.status, time.perf_counter() - started)
        return answer

    def _admit(self, request: web.Request) -> None:
        if self._key is None:
            # A page in a browser here could reach us under a name of its own that leads to this address.
            if not _is_loopback(_host_of(request)):
                raise _AnswerError(403, "without a key only requests to the loopback address are answered")
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")
        if not hmac.compare_digest(given.strip().encode(errors="surrogateescape"), self._key.encode()):
            raise _AnswerError(401, "the key is missing or wrong: Authorization: Bearer KEY, or X-API-Key: KEY")

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return _body(b'{"status":"ok"}')

    async def _ready(self, request: web.Request) -> web.StreamResponse:
        reasons = self._served.problems()
        return _body(_json({"ready": not reasons, "reasons": reasons}), 503 if reasons else 200)

    async def _metrics_text(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _document(self, request: web.Request) -> web.StreamResponse:
        return _body(self._openapi)

    async def _by_identifier(self, request: web.Request) -> web.StreamResponse:
        kind, value = request.match_info["kind"], request.match_info["value"]
        if kind not in self._policy.place:
            raise _AnswerError(400, f"{kind}: is no kind of identifier; there are {', '.join(self._policy.kinds)}")
        try:
            ident = self._normaliser.one(kind, value)
        except InvalidEvent as error:
            raise _AnswerError(400, error.detail) from None
        if ident is None:
            raise _AnswerError(
                400, f"{value}: is not a usable {kind}: invalid, or blocked because it identifies nobody"
            )
        if not self._served.follows:
            return await self._elsewhere(request)
        one_id = self._view().one_id(ident)
        if one_id is None:
            raise _AnswerError(404, f"nobody has {ident}")
        return await self._profile(request, one_id)

    async def _by_one_id(self, request: web.Request) -> web.StreamResponse:
        if not self._served.follows:
            return await self._elsewhere(request)
        one_id = request.match_info["one_id"]
        return await self._profile(request, self._view().follow(one_id) or one_id)

    def _view(self) -> GraphView:
        view = self._served.view
        if view is None or not self._served.partitions:
            raise _AnswerError(503, "the worker is still reading the identity graph")
        return view

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        """Hand a question on to a worker that has people, as if it had been asked: it may have to ask another one."""
        for owner in await asyncio.to_thread(self._owners.everybody):
            answer = await self._forward(request, owner, final=False)
            if answer is not None:
                return answer
        raise _AnswerError(503, "no worker that has people answers just now")

    async def _profile(self, request: web.Request, one_id: str) -> web.StreamResponse:
        partition = partition_of(one_id, self._served.partitions)
        asked_at = float("-inf")
        for last in (False, True):
            person = self._here(partition, one_id)
            if person is not None:
                return person
            if FORWARDED in request.headers:
                raise _AnswerError(_NOT_MINE, f"this worker does not have partition {partition}")
            owner = self._owners.known(partition) if not last else None
            if owner is None:
                owner = await asyncio.to_thread(self._owners.find, partition, asked_at)
            if owner is not None and owner != self._address:
                answer = await self._forward(request, owner)
                if answer is not None:
                    return answer
            if not last:
                await asyncio.sleep(AGAIN_S)
                asked_at = time.monotonic() - AGAIN_S
        raise _AnswerError(503, f"no worker has partition {partition} just now: it is being restored or moved")

    def _here(self, partition: int, one_id: str) -> web.StreamResponse | None:
        """Return the answer if the partition is here, else None."""
        store = self._served.store(partition)
        if store is None:
            return None
        try:
            stored = store.get(one_id.encode())
        except StateError:
            if self._served.store(partition) is store:
                raise
            return None  # given away while it was read
        if stored is None:
            raise _AnswerError(404, f"nobody is {one_id}")
        return _body(self._render(thaw(one_id, stored)))

    def _render(self, person: Person) -> bytes:
        now_ms = max(self._served.now_ms(), person.clock_ms)
        added = {
            "as_of": _text(now_ms),
            "frozen": not person.at_rest,
            "sightings": _sightings(person),
        }
        return self._public.profile(person, now_ms)[:-1] + b"," + _json(added)[1:]

    async def _forward(self, request: web.Request, owner: str, *, final: bool = True) -> web.StreamResponse | None:
        """Ask another worker; None if it cannot be reached, or does not have the partition either.

        If this is `final` that one is not to ask yet another.
        """
        if self._client is None:
            self._client = ClientSession(timeout=ClientTimeout(total=FORWARD_S), auto_decompress=False)
        headers = {name: request.headers[name] for name in ("Authorization", "X-API-Key") if name in request.headers}
        if final:
            headers[FORWARDED] = "1"
        url = URL(f"http://{owner}{request.raw_path}", encoded=True)
        try:
            async with self._client.get(url, headers=headers, allow_redirects=False) as answer:
                body = await answer.read()
        except (ClientError, TimeoutError) as error:
            log.info("worker %s cannot be asked: %s", owner, error)
            return None
        if answer.status in (_NOT_MINE, 503):
            return None
        return _body(body, answer.status)


class _AnswerError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def api_key(settings: ApiSettings, environ: Mapping[str, str]) -> str | None:
    """Return the key of the API, None if there is none. Raises ConfigError for a file that cannot be read."""
    return secret("worker.api.key_file", settings.key_file, settings.key_variable, environ) or None


def _sightings(person: Person) -> list[dict[str, Any]]:
    """Return how often and when the person's events carried each identifier."""
    found: dict[str, list[int]] = {}
    for part in person.parts.values():
        own = [part.events, part.first_ms, part.last_ms]
        for ident, seen in [(part.key, own), *part.sightings.items()] if part.events else part.sightings.items():
            known = found.get(ident)
            if known is None:
                found[ident] = list(seen)
            else:
                found[ident] = [known[0] + seen[0], min(known[1], seen[1]), max(known[2], seen[2])]
    return [
        {"identifier": ident, "events": events, "first_seen": _text(first_ms), "last_seen": _text(last_ms)}
        for ident, (events, first_ms, last_ms) in sorted(found.items())
    ]


def _text(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _body(value: bytes, status: int = 200) -> web.StreamResponse:
    return web.Response(body=value, status=status, content_type="application/json", charset="utf-8")


def _problem(status: int, text: str) -> web.StreamResponse:
    answer = _body(_json({"error": text}), status)
    if status == 503:
        answer.headers["Retry-After"] = "1"
    elif status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _version() -> str:
    try:
        return version("kith")
    except PackageNotFoundError:
        return "0"


def _host_of(request: web.Request) -> str:
    try:
        return URL.build(authority=request.host).host or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host_port(host: str, port: int) -> str:
    """Return where others reach a server that listens on a host; one on every address is known by its own name."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  compared, not bound to
        host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(host: str, port: int) -> list[socket.socket]:
    """Listen on a port, or the next that is free; return the sockets, one for each address of the host."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise ConfigError(f"worker.api.host: {host}: {error.strerror}") from None
    last = port if port == 0 else min(65535, port + NEXT_PORTS)
    for number in range(port, last + 1):
        try:
            return [socket.create_server((str(address[0]), number), family=family)]
        except OSError as error:
            if number == last or error.errno != errno.EADDRINUSE:
                raise ConfigError(f"worker.api: cannot listen on {host}:{port}: {error.strerror}") from None
    raise ConfigError(f"worker.api: no port from {port} to {last} is free")
