"""Dead letters: what could not be accepted, on a topic of its own, with its bytes and why.

A letter repeats where the message came from, so that it can be looked up there and sent again.
"""

import msgspec

from schemas.errors import Reason

TOPIC = "events.deadletter"

MAX_RAW_BYTES = 8 << 20
"""Bytes that a letter keeps. In base64 that is 11 MiB, which a topic's 16 MiB hold; a longer message is cut."""


class DeadLetter(msgspec.Struct, gc=False):
    """A dead letter as it stands in the topic: `schemas.messages.DeadLetter`, with `raw` decoded.

    `source` is the topic without the prefix. `size` is the message's length where `raw` holds only its beginning.
    """

    reason: str
    detail: str
    source: str
    partition: int
    offset: int
    raw: bytes
    size: int | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(DeadLetter).decode


def dead_letter(reason: Reason, detail: str, topic_bare: str, partition: int, offset: int, raw: bytes) -> bytes:
    """Return the value of a dead letter: why, where the message stood (the topic without prefix), and its bytes."""
    size = len(raw) if len(raw) > MAX_RAW_BYTES else None
    return _encode(DeadLetter(reason, detail, topic_bare, partition, offset, raw[:MAX_RAW_BYTES], size))


def decode(value: bytes) -> DeadLetter:
    """Return what `dead_letter` wrote. Raises msgspec.MsgspecError for anything else."""
    return _decode(value)
