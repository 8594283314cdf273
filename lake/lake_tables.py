"""The tables of the lake: what each topic's messages become, a row each, and where each row came from.

The files, the DuckDB comments and docs/lake.md come from here. A column may be added; it reads as null in older files.
"""

from dataclasses import dataclass

import pyarrow as pa

from lake.profile_table import PROFILES
from lake.tables import IDENTITY_CHANGES, TIME, TRIGGERS, Column, Table

ADDRESSEE = Column("one_id", pa.string(), "The person, as known when it was written", "写入时所知的统一标识")
PART = Column("part", pa.string(), "First identifier, kind:value, whose facts it counts among", "所属标识")
IDENTIFIERS = Column("identifiers", pa.list_(pa.string()), "Identifiers, each kind:value", "标识列表")
PLACE = (
    Column("topic", pa.string(), "Topic it was read from, without prefix", "读取的主题"),
    Column("partition", pa.int32(), "Partition of that topic", "分区"),
    Column("offset", pa.int64(), "Offset in it; with topic and partition it names the row", "位移"),
    Column("written_at", TIME, "Timestamp of the message", "消息时间"),
)
"""The last columns of every table."""


@dataclass(frozen=True)
class LakeTable(Table):
    """A table of the lake, its files laid out by the UTC date of `written_at`.

    Not by the events' own dates: a backfill of years would become a file for each day, topic and partition.
    `sorted_by`: the rows of each file are sorted by these columns. An internal one is read by Kith alone: it may change
    with any release.
    """

    sorted_by: tuple[str, ...] = ("one_id", "offset")
    internal: bool = False


EVENTS = LakeTable(
    "events",
    "One row per message with an accepted event. One published twice, or sent back by a partition that its person had "
    "left, stands here again; the view `events` of a snapshot counts it once",
    "每条携带已接受事件的消息一行；重复投递的事件会再次出现，快照中的 events 只计一次",
    (
        Column("event_id", pa.string(), "Idempotency key of the event", "事件幂等键"),
        Column("type", pa.string(), "Type of the event", "事件类型"),
        Column("time", TIME, "When it happened", "发生时间"),
        ADDRESSEE,
        PART,
        IDENTIFIERS,
        Column("data", pa.string(), "What it says (JSON, minor units)", "事件内容（JSON，金额为最小单位）"),
        Column("source_topic", pa.string(), "Topic it was published to", "来源主题"),
        Column("source_partition", pa.int32(), "Partition of that topic", "来源分区"),
        Column("source_offset", pa.int64(), "Offset in that partition", "来源位移"),
        Column("arrived_at", TIME, "When it was published", "到达时间"),
        *PLACE,
    ),
)

PROFILE_VERSIONS = LakeTable(
    "profiles",
    "One row per published profile: the newest one of a person counts",
    "每次发布的画像一行，以最新者为准",
    (
        ADDRESSEE,
        Column("gone", pa.bool_(), "The person is no more: merged into another", "此人已不存在（被合并）"),
        IDENTIFIERS,
        *PROFILES.columns[1:],
        *PLACE,
    ),
)

CHANGES = LakeTable("identity_changes", IDENTITY_CHANGES.en, IDENTITY_CHANGES.zh, (*IDENTITY_CHANGES.columns, *PLACE))

TAG_CHANGES = LakeTable(
    "tags",
    "One row per tag entered or left",
    "每次进入或离开标签一行",
    (
        ADDRESSEE,
        Column("tag", pa.string(), "The tag", "标签"),
        Column("change", pa.string(), "entered or left", "进入或离开"),
        Column("at", TIME, "When", "时间"),
        Column("rule", pa.string(), "Rule that decided", "规则"),
        Column("rule_version", pa.int32(), "Version of the rule", "规则版本"),
        Column("evidence", pa.list_(pa.string()), "Ids of the events behind it", "依据的事件"),
        *PLACE,
    ),
)

FIRINGS = LakeTable(
    "triggers",
    TRIGGERS.en,
    TRIGGERS.zh,
    (
        *(ADDRESSEE if column.name == "one_id" else column for column in TRIGGERS.columns),
        Column("decided_at", TIME, "When its outcome was decided", "结果决定时间"),
        PART,
        Column("purpose", pa.string(), "The consent it needs", "所需授权用途"),
        Column("channels", pa.list_(pa.string()), "Channels it may go by", "可用渠道"),
        IDENTIFIERS,
        *PLACE,
    ),
)

REFUSED = LakeTable(
    "deadletters",
    "One row per message that was not accepted",
    "每条未被接受的消息一行",
    (
        Column("reason", pa.string(), "Why, as one of the reasons of the contract", "原因"),
        Column("detail", pa.string(), "Which field is wrong and why", "详情"),
        Column("raw", pa.binary(), "The bytes as they came", "原始字节"),
        Column("source_topic", pa.string(), "Topic it was published to", "来源主题"),
        Column("source_partition", pa.int32(), "Partition of that topic", "来源分区"),
        Column("source_offset", pa.int64(), "Offset in that partition", "来源位移"),
        *PLACE,
    ),
    sorted_by=("offset",),
)

COMMANDS = LakeTable(
    "commands",
    "One row per message among the events that is none: a change of owners, a part that moves, a clock that goes on",
    "事件流中的指令：归属变更、部分迁移、时钟推进",
    (
        Column("kind", pa.string(), "change, part or clock", "类型"),
        ADDRESSEE,
        Column("value", pa.binary(), "The message", "消息"),
        *PLACE,
    ),
    sorted_by=("offset",),
    internal=True,
)


def _changelog(name: str, en: str, zh: str) -> LakeTable:
    return LakeTable(
        name,
        en,
        zh,
        (
            Column("key", pa.binary(), "Key of the record", "键"),
            Column("value", pa.binary(), "Its value; null: gone", "值；空表示删除"),
            *PLACE,
        ),
        sorted_by=("key", "offset"),
        internal=True,
    )


STATE = _changelog("state", "The changelog of people: the newest record of a key counts", "人员状态变更日志")
GRAPH = _changelog("graph", "The changelog of the identity graph", "身份图变更日志")

LAKE_TABLES = (EVENTS, PROFILE_VERSIONS, CHANGES, TAG_CHANGES, FIRINGS, REFUSED, COMMANDS, STATE, GRAPH)
BY_NAME = {table.name: table for table in LAKE_TABLES}
