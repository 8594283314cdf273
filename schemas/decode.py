"""From a line of bytes to a typed event: fast when it is right, exact and explained when it is not.

The fast path reads the envelope and then the type's data with structs derived from the contract. What it refuses,
and the few things it cannot judge, go to the pydantic models, which decide; both give the same values.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from pydantic import ValidationError

from schemas.content import content_key
from schemas.contract import (
    CUSTOM_PREFIX,
    DATA_MODELS,
    LINK_TYPES,
    Envelope,
    Head,
    event_model,
    needs_data,
)
from schemas.errors import InvalidEvent
from schemas.explain import explain
from schemas.fields import Data
from schemas.json_text import MAX_DEPTH, parse, plain
from schemas.money import DECIMALS, to_minor
from schemas.structs import accepted_struct, amount_fields, from_model, listed_amounts, struct_of, struct_type
from schemas.times import MAX_MS, MIN_MS, parse_rfc3339

__all__ = ["Decoder", "Raw", "accepted_data_struct", "content_key", "data_struct"]

_UNKNOWN_SOURCE = "unknown"
_NO_DATA = b"{}"
_MONEY_CACHE_SIZE = 50_000


class Raw(msgspec.Struct, gc=False):
    """A valid event as it was sent: identifiers not yet normalised.

    `time_ms` is epoch milliseconds; `identifiers` the map as parsed, or None for a link without one; `data` the type's
    struct with amounts in integer minor units, or the JSON value of a `custom.*` event.
    """

    id: str
    type: str
    time_ms: int
    identifiers: dict[str, Any] | None
    data: Any
    source: str


def data_struct(event_type: str) -> type[msgspec.Struct]:
    """Return the struct that holds the data of an event type (not of `custom.*`). Raises KeyError for another name."""
    return struct_of(DATA_MODELS[event_type])


def accepted_data_struct(event_type: str) -> type[msgspec.Struct]:
    """Return the struct that accepted data of an event type (not of `custom.*`) is read back as. Raises KeyError."""
    return accepted_struct(DATA_MODELS[event_type])


def _envelope_struct() -> type[msgspec.Struct]:
    fields: list[Any] = []
    for name, field in Envelope.model_fields.items():
        if name == "data":
            fields.append((name, msgspec.Raw, None))
        elif name == "identifiers":  # whether it may be absent depends on the type
            fields.append((name, struct_type(field.annotation, tuple(field.metadata)) | None, None))
        elif name != "specversion":  # any value will do, so it is skipped
            read_as = struct_type(field.annotation, tuple(field.metadata))
            fields.append((name, read_as) if field.is_required() else (name, read_as, None))
    return msgspec.defstruct("FastEnvelope", fields, kw_only=True, gc=False, module=__name__)


class _Key(msgspec.Struct, gc=False):
    """What an event is ordered by; everything else is skipped."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    time: int | str


_decode_key: Callable[[bytes], _Key] = msgspec.json.Decoder(_Key).decode
_decode_envelope: Callable[[bytes], Any] = msgspec.json.Decoder(_envelope_struct()).decode
_decode_any: Callable[[Any], Any] = msgspec.json.Decoder().decode


class _Refused(Exception):  # noqa: N818  never leaves this module
    """The fast path cannot accept the line."""


class _Type:
    """How the data of one event type is read and finished."""

    __slots__ = (
        "amounts",
        "complete",
        "has_amounts",
        "has_currency",
        "lists",
        "name",
        "needs_data",
        "needs_who",
        "read",
    )

    def __init__(self, name: str, model: type[Data]) -> None:
        self.name = name
        self.read: Callable[[Any], Any] = msgspec.json.Decoder(struct_of(model)).decode
        self.complete = None if model.complete is Data.complete else model.complete
        self.has_currency = "currency" in model.model_fields
        self.amounts = amount_fields(model)
        self.lists = listed_amounts(model)
        self.has_amounts = bool(self.amounts or self.lists)
        self.needs_data = needs_data(model)
        self.needs_who = name not in LINK_TYPES


_TYPES = {name: _Type(name, model) for name, model in DATA_MODELS.items()}


class Decoder:
    """Decodes event lines. `currency` prices carts and products; a line above `max_bytes` is refused."""

    def __init__(self, currency: str, max_bytes: int = 1 << 20) -> None:
        self.currency = currency
        self.max_bytes = max_bytes
        # Exact conversion of a price takes a microsecond and prices repeat.
        self._minor: dict[str, dict[bytes, int]] = {code: {} for code in DECIMALS}

    def decode(self, line: bytes) -> Raw:
        """Return the event of one line of JSON, without its line end.

        Raises InvalidEvent: `too_large`, `not_json`, `unknown_type`, or `invalid` with a detail that names the field.
        """
        if len(line) > self.max_bytes:
            raise InvalidEvent("too_large", f"the line has {len(line):,} bytes, {self.max_bytes:,} are allowed")
        raw = self.decode_fast(line)
        return self.decode_exact(line) if raw is None else raw

    def key(self, line: bytes) -> tuple[int, str]:
        """Return (time in ms, id) of a line, much cheaper than `decode`, which may still refuse the line.

        Raises InvalidEvent, as `decode` does, where the line has no such key. If `decode` accepts the line, its event
        has this key.
        """
        if len(line) <= self.max_bytes:
            try:
                key = _decode_key(line)
                time = key.time
                if isinstance(time, str):
                    return parse_rfc3339(time), key.id
                if MIN_MS <= time < MAX_MS:
                    return time, key.id
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass  # the full decoder says what is wrong, or knows better
        raw = self.decode(line)
        return raw.time_ms, raw.id

    def decode_fast(self, line: bytes) -> Raw | None:
        """Return the event, or None for whatever the structs refuse or cannot judge."""
        # msgspec lets NUL escapes through, and does not look into the strings and the nesting of what it skips.
        if b"\\" in line and b"\\u0000" in line:
            return None
        if len(line) > 2 * MAX_DEPTH and line.count(b"[") + line.count(b"{") > MAX_DEPTH:
            return None
        try:
            if not line.isascii():
                line.decode()
            return self._read(line)
        except (_Refused, msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def _read(self, line: bytes) -> Raw:
        envelope = _decode_envelope(line)
        time = envelope.time
        if type(time) is str:
            time = parse_rfc3339(time)
        elif not MIN_MS <= time < MAX_MS:
            raise _Refused
        name = envelope.type
        data = envelope.data
        kind = _TYPES.get(name)
        if kind is None:
            if not name.startswith(CUSTOM_PREFIX) or name == CUSTOM_PREFIX or envelope.identifiers is None:
                raise _Refused
            data = None if data is None else _decode_any(data)
        else:
            if kind.needs_who and envelope.identifiers is None:
                raise _Refused
            name = kind.name
            if data is None or (not kind.needs_data and bytes(data) == b"null"):
                data = _NO_DATA
            data = kind.read(data)
            if kind.has_amounts:
                self._finish_amounts(kind, data)
            if kind.complete is not None:
                kind.complete(data)
        source = envelope.source
        return Raw(envelope.id, name, time, envelope.identifiers, data, _UNKNOWN_SOURCE if source is None else source)

    def _finish_amounts(self, kind: _Type, data: Any) -> None:
        """Put integer minor units in the place of the amounts' raw text."""
        currency = self.currency
        if kind.has_currency and data.currency is not None:
            currency = data.currency
        known = self._minor.get(currency)
        if known is None:
            raise _Refused
        for name, required in kind.amounts:
            raw = getattr(data, name)
            if raw is not None:
                text = bytes(raw)
                minor = known.get(text)
                setattr(data, name, self._convert(text, required, currency) if minor is None else minor)
        for list_name, amounts in kind.lists:
            for item in getattr(data, list_name) or ():
                for name, required in amounts:
                    raw = getattr(item, name)
                    if raw is not None:
                        text = bytes(raw)
                        minor = known.get(text)
                        setattr(item, name, self._convert(text, required, currency) if minor is None else minor)

    def _convert(self, text: bytes, required: bool, currency: str) -> int | None:
        """Return the minor units of one amount's raw JSON, None for null. Raises ValueError or _Refused."""
        first = text[:1]
        if first == b'"':
            minor = to_minor(_decode_any(text), currency)
        elif first in b"-0123456789":
            minor = to_minor(text.decode(), currency)
        elif text == b"null" and not required:
            return None
        else:
            raise _Refused
        known = self._minor[currency]
        if len(known) >= _MONEY_CACHE_SIZE:
            known.clear()
        if len(text) <= 32:
            known[text] = minor
        return minor

    def decode_exact(self, line: bytes) -> Raw:
        """Return the event by way of the pydantic models alone. Raises InvalidEvent, which says why."""
        value = parse(line)
        if not isinstance(value, dict):
            raise InvalidEvent("invalid", "the line must be a JSON object")
        try:
            Head.model_validate(value)
        except ValidationError as error:
            raise InvalidEvent("invalid", explain(error, Head)) from None
        name = value["type"]
        model = event_model(name)
        if model is None:
            raise InvalidEvent("unknown_type", f"type: {name[:100]!r} is not known")
        try:
            event = model.model_validate(value, context={"currency": self.currency})
        except ValidationError as error:
            raise InvalidEvent("invalid", explain(error, model)) from None
        return Raw(
            event.id,
            name,
            event.time,
            plain(event.identifiers),
            self._data(name, event.data),
            _UNKNOWN_SOURCE if event.source is None else event.source,
        )

    def _data(self, name: str, data: Any) -> Any:
        kind = _TYPES.get(name)
        if kind is None:
            return plain(data)
        if data is None:
            data = DATA_MODELS[name]()
        struct = from_model(data)
        currency = (struct.currency if kind.has_currency else None) or self.currency
        holders = [(struct, kind.amounts)]
        holders += [(item, amounts) for field, amounts in kind.lists for item in getattr(struct, field) or ()]
        for holder, amounts in holders:
            for field, _ in amounts:
                if (amount := getattr(holder, field)) is not None:
                    setattr(holder, field, to_minor(amount, currency))
        for field in struct.__struct_fields__:
            setattr(struct, field, plain(getattr(struct, field)))
        return struct
