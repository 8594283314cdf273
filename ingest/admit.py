"""The gate: a line of JSON becomes an accepted event, or it is refused with a reason."""

from typing import Any

from identity.normalise import Normaliser
from identity.policy import Policy
from schemas.contract import LINK_TYPES
from schemas.decode import Decoder, Raw
from schemas.errors import InvalidEvent
from schemas.event import Event, Link
from schemas.settings import Settings


class Admission:
    """Decodes and normalises events under one setting. `normaliser.ignored` counts identifiers that were left out."""

    def __init__(self, settings: Settings) -> None:
        self.policy = Policy.from_settings(settings)
        self.normaliser = Normaliser(self.policy)
        decoder = Decoder(settings.currency, settings.max_line_bytes)
        self.key = decoder.key
        self._decode = decoder.decode
        self._identifiers = self.normaliser.identifiers

    def admit(self, line: bytes) -> Event:
        """Return the event of one line of JSON. Raises InvalidEvent with the reason of the dead letter."""
        raw = self._decode(line)
        if raw.type in LINK_TYPES:
            return self._link(raw)
        # The decoder lets None through for links only.
        return Event(raw.id, raw.type, raw.time_ms, self._identifiers(raw.identifiers), raw.data)  # type: ignore[arg-type]

    def _link(self, raw: Raw) -> Event:
        self._check_types(raw.identifiers or {})
        a, b = (self._end(name, getattr(raw.data, name)) for name in ("a", "b"))
        if a == b:
            raise InvalidEvent("invalid_link", f"data.b: both ends are {a}")
        return Event(raw.id, raw.type, raw.time_ms, (), Link(a, b, raw.data.reason))

    def _end(self, name: str, end: Any) -> str:
        if end.kind not in self.policy.place:
            raise InvalidEvent("invalid_link", f"data.{name}.kind: {end.kind[:80]!r} is no kind of identifier here")
        ident = self.normaliser.one(end.kind, end.value)
        if ident is None:
            raise InvalidEvent("invalid_link", f"data.{name}.value: is not a usable {end.kind}")
        return ident

    def _check_types(self, identifiers: dict[str, Any]) -> None:
        """Judge the types of a link's own identifiers, which are otherwise not looked at."""
        for kind in self.policy.kinds:
            value = identifiers.get(kind)
            for one in value if isinstance(value, list) else [value]:
                self.normaliser.one(kind, one)
