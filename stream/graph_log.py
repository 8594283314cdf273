"""The records of `identity.graph`, one a fact: key and JSON value. The topic is compacted by key.

| record | key (a dot is a NUL, which no identifier holds) | value |
|---|---|---|
| an identifier | `kind:value` | `NodeRow` |
| that two were seen together | `lo . hi` | `EdgeRow` |
| a steward's last word on two | `lo . hi . command` | `CommandRow` |
| what a former OneID means | `. alias . OneID` | `AliasRow` |
| how many decisions there were | `. step` | `StepRow` |
| how far the input was read | `. input` | `InputRow`, last in each batch and partition that it wrote to, or in one |
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from identity.journal import News
from schemas.errors import StateError

Record = tuple[bytes, bytes]

STEP_KEY: Final = b"\0step"
INPUT_KEY: Final = b"\0input"
ALIAS: Final = b"\0alias\0"
_COMMAND: Final = b"\0command"


class NodeRow(msgspec.Struct, gc=False):
    """An identifier that was seen: its OneID, when it was seen first and by which event, whether it has a part."""

    one_id: str
    first_ms: int
    first_id: str
    has_part: bool


class EdgeRow(msgspec.Struct, gc=False):
    """The earliest event that showed a pair."""

    ms: int
    id: str


class CommandRow(msgspec.Struct, gc=False):
    """The latest command on a pair."""

    kind: Literal["link", "unlink"]
    ms: int
    id: str


class AliasRow(msgspec.Struct, gc=False):
    """The identifier that a former OneID was made of."""

    ident: str


class InputRow(msgspec.Struct, gc=False):
    """The offset of `identity.requests` up to which, exclusive, the partition's records so far reflect it.

    A batch writes to several partitions at once; by this record a copy of them can be cut between two batches, and who
    made a request knows that it was worked off.
    """

    input: int


class StepRow(msgspec.Struct, gc=False):
    """The number of the resolver's last decision."""

    step: int


_encode = msgspec.json.Encoder().encode
read_node = msgspec.json.Decoder(NodeRow).decode
read_edge = msgspec.json.Decoder(EdgeRow).decode
read_command = msgspec.json.Decoder(CommandRow).decode
read_alias = msgspec.json.Decoder(AliasRow).decode
read_step = msgspec.json.Decoder(StepRow).decode
read_input = msgspec.json.Decoder(InputRow).decode


def node_key(ident: str) -> bytes:
    """Return the key of an identifier's record."""
    return ident.encode()


def edge_key(lo: str, hi: str) -> bytes:
    """Return the key of a pair's record."""
    return f"{lo}\0{hi}".encode()


def alias_key(one_id: str) -> bytes:
    """Return the key of a former OneID's record."""
    return ALIAS + one_id.encode()


def records(news: News) -> Iterator[Record]:
    """Yield the records of what changed."""
    for ident, one_id, ms, event_id, has_part in news.nodes:
        yield node_key(ident), _encode(NodeRow(one_id, ms, event_id, has_part))
    for lo, hi, ms, event_id in news.edges:
        yield edge_key(lo, hi), _encode(EdgeRow(ms, event_id))
    for lo, hi, command in news.commands:
        yield edge_key(lo, hi) + _COMMAND, _encode(CommandRow(command.kind, command.time_ms, command.event_id))
    for one_id, ident in news.aliases:
        yield alias_key(one_id), _encode(AliasRow(ident))


def step_record(step: int) -> Record:
    """Return the record of the number of decisions."""
    return STEP_KEY, _encode(StepRow(step))


def input_record(offset: int) -> Record:
    """Return the record of how far the input was read."""
    return INPUT_KEY, _encode(InputRow(offset))


class Sorted(msgspec.Struct):
    """Records by kind, decoded: nodes by identifier, edges and commands with their pair, aliases, and the step."""

    nodes: dict[str, NodeRow]
    edges: list[tuple[str, str, EdgeRow]]
    commands: list[tuple[str, str, CommandRow]]
    aliases: list[tuple[str, str]]
    step: int


def sort(rows: Iterable[Record]) -> Sorted:
    """Decode records, each key once. Raises StateError for what is no record of the graph."""
    found = Sorted({}, [], [], [], 0)
    for key, value in rows:
        try:
            _sort(found, key, value)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise StateError(f"identity.graph holds a record that is not Kith's, key {key!r}: {error}") from error
    return found


def _sort(found: Sorted, key: bytes, value: bytes) -> None:
    if key == STEP_KEY:
        found.step = read_step(value).step
    elif key == INPUT_KEY:
        return
    elif key.startswith(ALIAS):
        found.aliases.append((key[len(ALIAS) :].decode(), read_alias(value).ident))
    else:
        lo, *more = key.decode().split("\0")
        if not more:
            found.nodes[lo] = read_node(value)
        elif len(more) == 1:
            found.edges.append((lo, more[0], read_edge(value)))
        elif more[1:] == ["command"]:
            found.commands.append((lo, more[0], read_command(value)))
        else:
            raise ValueError("the key has no such form")
