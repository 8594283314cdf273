"""JSON Lines: what a line is, and the fastest way to come by one."""

from collections.abc import Iterable, Iterator

import msgspec

from schemas.event import Rejected

_BOM = b"\xef\xbb\xbf"
_OPEN = 0x7B  # "{": what nearly every line begins with
_RETURN = 0x0D


class Line(msgspec.Struct, gc=False):
    """One line or row of an input.

    `source` is the file as it was named, `number` counts lines (of Parquet: rows) from 1, `raw` is what a dead letter
    holds, `event` the event's JSON (the same object as `raw` for JSON Lines), or why there is none.
    """

    source: str
    number: int
    raw: bytes
    event: bytes | Rejected


def split_lines(chunks: Iterable[bytes], source: str) -> Iterator[Line]:
    """Yield the lines of a text that comes in chunks of any size.

    A line ends at a newline; a carriage return before it, blank lines (counted in the numbers) and a byte-order mark
    at the beginning are left out. A line may be longer than many chunks: it is held once.
    """
    number = 0
    parts: list[bytes] = []
    for chunk in _without_mark(chunks):
        lines = chunk.split(b"\n")
        if len(lines) == 1:
            parts.append(chunk)
            continue
        if parts:
            parts.append(lines[0])
            lines[0] = b"".join(parts)
            parts = []
        if last := lines.pop():
            parts.append(last)
        for line in lines:
            number += 1
            if line and line[-1] == _RETURN:
                line = line[:-1]
            if line and (line[0] == _OPEN or line.strip(b" \t\r")):
                yield Line(source, number, line, line)
    line = b"".join(parts)
    if line.strip(b" \t\r"):
        yield Line(source, number + 1, line, line)


def _without_mark(chunks: Iterable[bytes]) -> Iterator[bytes]:
    head = b""
    begun = False
    for chunk in chunks:
        if begun:
            yield chunk
            continue
        head += chunk
        if len(head) >= len(_BOM):
            begun = True
            yield head.removeprefix(_BOM)
    if head and not begun:
        yield head
