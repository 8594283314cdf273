"""Every table that Kith writes: its columns with their types and meanings, in one place.

The Parquet files, the DuckDB comments and the documentation come from here.
"""

from dataclasses import dataclass

import pyarrow as pa

TIME = pa.timestamp("ms", tz="UTC")
MONEY = pa.int64()


@dataclass(frozen=True)
class Column:
    """A column: its Arrow type and what it means, in English and Chinese."""

    name: str
    type: pa.DataType
    en: str
    zh: str

    @property
    def comment(self) -> str:
        """The meaning in both languages."""
        return f"{self.en} · {self.zh}"


@dataclass(frozen=True)
class Table:
    """A table: what one row is, and its columns in order."""

    name: str
    en: str
    zh: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def comment(self) -> str:
        """The meaning in both languages."""
        return f"{self.en} · {self.zh}"


ONE_ID = Column("one_id", pa.string(), "The person, as known at the end", "人的统一标识（以结束时为准）")

IDENTITIES = Table(
    "identities",
    "One row per identifier that events carried, with the person it belongs to",
    "事件中出现过的每个标识一行，及其所属的人",
    (
        ONE_ID,
        Column("kind", pa.string(), "Kind of identifier", "标识类型"),
        Column("value", pa.string(), "Normalised value", "规范化后的值"),
        Column("first_seen", TIME, "Time of the first event that carried it", "首次出现时间"),
        Column("last_seen", TIME, "Time of the last event that carried it", "最近出现时间"),
        Column("events", pa.int64(), "Number of events that carried it", "携带该标识的事件数"),
    ),
)

TRIGGERS = Table(
    "triggers",
    "One row per trigger whose time came, whatever became of it",
    "每个到期触发一行，无论结果如何",
    (
        Column("trigger_id", pa.string(), "UUIDv5 of rule, instance and anchor: the idempotency key", "触发的幂等键"),
        Column("rule", pa.string(), "Name of the rule", "规则名"),
        Column("rule_version", pa.int32(), "Version of the rule", "规则版本"),
        ONE_ID,
        Column("instance", pa.string(), "What it is about: a cart, SKU, ticket, day; null if the person", "触发对象"),
        Column("anchor_event_id", pa.string(), "Event that it counts from", "锚点事件"),
        Column("anchor_at", TIME, "Time of that event", "锚点时间"),
        Column("due_at", TIME, "When it was due", "应触发时间"),
        Column("fired_at", TIME, "When it fired or was held out, else null", "实际触发时间"),
        Column("outcome", pa.string(), "fired, held_out, suppressed or expired", "结果"),
        Column("reason", pa.string(), "Why it was suppressed: consent or cap", "抑制原因"),
        Column("payload", pa.string(), "What the message carries, as JSON", "消息内容（JSON）"),
    ),
)

EVENTS = Table(
    "events",
    "One row per accepted event",
    "每个被接受的事件一行",
    (
        Column("event_id", pa.string(), "Idempotency key of the event", "事件幂等键"),
        Column("type", pa.string(), "Type of the event", "事件类型"),
        Column("time", TIME, "When it happened", "发生时间"),
        ONE_ID,
        Column("part", pa.string(), "First identifier, kind:value, whose facts it counts among", "所属标识"),
    ),
)

IDENTITY_CHANGES = Table(
    "identity_changes",
    "One row per merge, split, refusal and hub, in the order of the evidence",
    "每次合并、拆分、拒绝与枢纽标识一行",
    (
        Column("at", TIME, "Time of the evidence", "证据时间"),
        Column("change", pa.string(), "merged, split, refused or hub", "变化类型"),
        Column("one_id", pa.string(), "The person that stays (merged, split), is asked for, or is the hub", "留存的人"),
        Column("other_one_id", pa.string(), "The person absorbed, split off or kept apart", "另一人"),
        Column("reason", pa.string(), "limit, unlinked or size for a refusal; the identifier of a hub", "原因"),
        Column("evidence_event_id", pa.string(), "Event that caused it", "证据事件"),
    ),
)

DEADLETTERS = Table(
    "deadletters",
    "One row per line that was not accepted",
    "每条未被接受的输入一行",
    (
        Column("source", pa.string(), "File it came from, - for standard input", "来源文件"),
        Column("line", pa.int64(), "Line or row number, from 1", "行号（从 1 起）"),
        Column("reason", pa.string(), "Why, as one of the reasons of the contract", "原因"),
        Column("detail", pa.string(), "Which field is wrong and why", "详情"),
        Column("raw", pa.binary(), "The bytes as they came, without the line end", "原始字节"),
    ),
)

EVIDENCE = Table(
    "evidence",
    "What people were made of: each identifier's first sighting, each pair shown together, each steward's command",
    "身份合并的全部证据：首次出现、同现关系与人工指令",
    (
        Column("kind", pa.string(), "seen, edge, link or unlink", "证据类型"),
        Column("a", pa.string(), "The identifier, kind:value; of a pair the lower one", "标识（成对时为较小者）"),
        Column("b", pa.string(), "The higher identifier of the pair; null for seen", "较大的标识"),
        Column("time", TIME, "When it was first seen or shown; of a command its time", "最早证据时间"),
        Column("event_id", pa.string(), "Event that showed it", "证据事件"),
    ),
)

LATE_EVENTS = Table(
    "late_events",
    "One row per event that the live pipeline worked off after a later event of the same person, or after its clock",
    "晚于同一人更晚事件（或时钟）才被处理的事件",
    (
        Column("event_id", pa.string(), "Idempotency key of the event", "事件幂等键"),
        ONE_ID,
        Column("part", pa.string(), "First identifier, kind:value, whose facts it counts among", "所属标识"),
        Column("time", TIME, "When it happened", "发生时间"),
        Column("late_by_ms", pa.int64(), "How much later what came before it was, in ms", "迟到毫秒数"),
    ),
)

TABLES = (IDENTITIES, TRIGGERS, EVENTS, IDENTITY_CHANGES, DEADLETTERS, EVIDENCE)
"""All tables of a replay but that of profiles, whose columns are in `lake.profile_table`."""
