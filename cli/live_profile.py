"""Asking the HTTP side of a worker for a profile."""

import http.client
import json
import os
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from profiles.derive import TIMES
from schemas.errors import ConfigError, TransientError
from schemas.live_settings import ApiSettings

ANSWER_S = 15

Row = dict[str, Any]


def address(settings: ApiSettings) -> str:
    """Return where a worker with these settings answers on this machine. Raises ConfigError if that is not known."""
    if settings.port == 0:
        raise ConfigError("--api: name the worker's address; by the settings it takes any free port")
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  compared, not bound to
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def fetch(api: str, settings: ApiSettings, identifier: str) -> Row:
    """Return the live profile of who holds KIND:VALUE, as the API tells it.

    Raises ConfigError for a wrong address, key or identifier and for one that nobody holds, TransientError if the
    worker does not answer.
    """
    from stream.connection import secret  # takes its time to import, which --help need not wait for

    kind, colon, value = identifier.partition(":")
    if not colon or not kind or not value:
        raise ConfigError(f"{identifier}: name an identifier as KIND:VALUE")
    key = secret("worker.api.key_file", settings.key_file, settings.key_variable, os.environ)
    status, said = _get(api, f"/profiles/{quote(kind, safe='')}/{quote(value, safe='')}", key)
    if status == 200:
        return said
    why = said.get("error", f"HTTP status {status}")
    if status in (400, 404):
        raise ConfigError(f"{identifier}: {why}")
    if status in (401, 403):
        raise ConfigError(f"{api}: {why}; here it is read from worker.api.key_file or {settings.key_variable}")
    raise TransientError(f"{api}: {why}")


def _get(api: str, path: str, key: str | None) -> tuple[int, Row]:
    try:
        url = urlsplit(api)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise ConfigError(f"--api: {api}: {error}") from None
    if url.scheme not in ("http", "https") or host is None:
        raise ConfigError(f"--api: {api}: an address begins with http:// or https://")
    make = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = make(host, port, timeout=ANSWER_S)
    try:
        connection.request(
            "GET", url.path.rstrip("/") + path, headers={"Authorization": f"Bearer {key}"} if key else {}
        )
        answer = connection.getresponse()
        status, body = answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        raise TransientError(
            f"no worker answers at {api} ({why}): start one with kith worker, or name one with --api"
        ) from None
    finally:
        connection.close()
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise TransientError(f"{api}: is no worker of Kith (HTTP status {status})")
    return status, said


def as_row(told: Row) -> tuple[Row, list[Row]]:
    """Return what the page needs: the profile with times for texts, and a row for each identifier."""
    row = {name: _time(value) if name in TIMES else value for name, value in told.items()}
    row["tag_reasons"] = told["tags"]
    identifiers = []
    for each in told["sightings"]:
        kind, _, value = each["identifier"].partition(":")
        first, last = _time(each["first_seen"]), _time(each["last_seen"])
        identifiers.append(
            {"kind": kind, "value": value, "events": each["events"], "first_seen": first, "last_seen": last}
        )
    return row, identifiers


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
