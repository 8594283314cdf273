"""How events about the customer himself change a part: traits, consent, surveys, points, check-ins, messages."""

import sys
from bisect import bisect_left
from typing import Any

import msgspec

from profiles.fold_browse import QUARTER_MS
from profiles.fold_service import note_low
from profiles.part import Part
from profiles.weights import CLICK, VISIT, weigh_channel

CHECKINS = 500
NPS_SCALE = 10
MAX_POINTS = 2**63 - 1  # what a stored integer holds; 9,000 changes of the largest size reach it
_LARGEST = 2**63  # of an integer that MessagePack holds with either sign
_encoder = msgspec.msgpack.Encoder()


def _identified(part: Part, at: int, event_id: str, data: Any) -> None:
    if data is None or not data.traits:
        return
    traits = part.traits
    if traits is None:
        traits = part.traits = {}
    for name, value in data.traits.items():
        if value is None:  # as of any other field: not said
            continue
        known = traits.get(name)
        if known is None or (at, event_id) > known[:2]:
            traits[name] = (at, event_id, value if isinstance(value, str) else storable(value))


def storable(value: Any) -> Any:
    """Return a JSON value as MessagePack can hold it: integers of more than 64 bits become hexadecimal text."""
    try:
        _encoder.encode(value)
    except OverflowError:
        holder = [value]
        open_nodes: list[Any] = [holder]  # not recursive: values may be nested as deep as the decoder allows
        while open_nodes:
            node = open_nodes.pop()
            for place, inner in list(node.items() if isinstance(node, dict) else enumerate(node)):
                if isinstance(inner, dict | list):
                    node[place] = inner.copy()
                    open_nodes.append(node[place])
                elif isinstance(inner, int) and not -_LARGEST <= inner < _LARGEST:
                    node[place] = f"{inner:#x}"
        return holder[0]
    return value


def _consented(part: Part, at: int, event_id: str, data: Any) -> None:
    consent = part.consent
    if consent is None:
        consent = part.consent = {}
    words = consent.get(data.purpose)
    if words is None:
        words = consent[data.purpose] = {}
    channel = data.channel or ""
    word = (at, not data.granted, event_id)
    known = words.get(channel)
    if known is None or word > known:
        words[channel] = word


def _answered(part: Part, at: int, event_id: str, data: Any) -> None:
    score = _number(data.score)
    scale = NPS_SCALE if data.scale is None else _number(data.scale)
    surveys = part.surveys
    if surveys is None:
        surveys = part.surveys = {}
    known = surveys.get(data.survey)
    if known is None or (at, event_id) > known[:2]:
        surveys[data.survey] = (at, event_id, score, scale)
    if score * 10 <= scale * 6:
        note_low(part, at, event_id, "survey.answered", score, scale, data.survey)


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return sys.float_info.max


def _points(part: Part, at: int, event_id: str, data: Any) -> None:
    part.points = max(-MAX_POINTS, min(MAX_POINTS, part.points + data.delta))


def _checked_in(part: Part, at: int, event_id: str, data: Any) -> None:
    quarter = at // QUARTER_MS
    checkins = part.checkins
    if checkins is None:
        part.checkins = [quarter]
        return
    place = bisect_left(checkins, quarter)
    if place == len(checkins) or checkins[place] != quarter:
        checkins.insert(place, quarter)
        if len(checkins) > CHECKINS:
            del checkins[0]


def _opened(part: Part, at: int, event_id: str, data: Any) -> None:
    if data is not None and data.channel is not None:
        weigh_channel(part, data.channel, VISIT)


def _clicked(part: Part, at: int, event_id: str, data: Any) -> None:
    if data is not None and data.channel is not None:
        weigh_channel(part, data.channel, CLICK)


HANDLERS = {
    "customer.identified": _identified,
    "customer.consented": _consented,
    "survey.answered": _answered,
    "points.changed": _points,
    "customer.checked_in": _checked_in,
    "message.opened": _opened,
    "message.clicked": _clicked,
}
