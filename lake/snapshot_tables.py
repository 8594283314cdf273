"""The tables of a snapshot: what `people` and all beside it hold, in the order in which they are written."""

import pyarrow as pa

from lake.lake_tables import TAG_CHANGES as TAG_CHANGES_IN_LAKE
from lake.profile_table import PROFILES
from lake.tables import (
    EVENTS,
    EVIDENCE,
    IDENTITIES,
    IDENTITY_CHANGES,
    ONE_ID,
    PEOPLE_TABLES,
    TIME,
    TRIGGERS,
    Column,
    Table,
)

PEOPLE = Table("people", PROFILES.en, PROFILES.zh, PROFILES.columns)
IDENTIFIERS = Table("identifiers", IDENTITIES.en, IDENTITIES.zh, IDENTITIES.columns)
OUTCOMES = Table(
    "triggers",
    TRIGGERS.en,
    TRIGGERS.zh,
    (
        *TRIGGERS.columns,
        Column("decided_at", TIME, "When its outcome was decided", "结果决定时间"),
        Column(
            "goal_at",
            TIME,
            "When the person first met the rule's goal within its time; null if not, or if there is none",
            "目标达成时间",
        ),
        Column(
            "goal_until",
            TIME,
            "Up to when the goal could be met; null if the rule has none, or did not fire",
            "目标截止时间",
        ),
    ),
)
_CHANGE_COLUMNS = ("tag", "change", "at", "rule", "rule_version")
TAG_CHANGES = Table(
    "tag_changes",
    TAG_CHANGES_IN_LAKE.en,
    TAG_CHANGES_IN_LAKE.zh,
    (
        Column("one_id", pa.string(), "The person, as known when it was written", "写入时所知的统一标识"),
        *(column for column in TAG_CHANGES_IN_LAKE.columns if column.name in _CHANGE_COLUMNS),
    ),
)
SURVEYS = Table(
    "surveys",
    "One row per answer: of a survey, or a rating of a ticket or conversation",
    "每次问卷回答或服务评分一行",
    (
        ONE_ID,
        Column("survey", pa.string(), "Name of the survey; id of the ticket or conversation", "问卷名、工单或会话"),
        Column("kind", pa.string(), "survey, ticket or chat", "类别"),
        Column("score", pa.float64(), "The answer", "评分"),
        Column("scale", pa.float64(), "The highest possible score", "满分"),
        Column("answered_at", TIME, "When it was given", "回答时间"),
        Column("event_id", pa.string(), "Event of the answer", "回答事件"),
    ),
)
SNAPSHOT = Table(
    "snapshot",
    "One row about the snapshot itself",
    "快照本身的信息，仅一行",
    (
        Column("as_of", TIME, "The moment that it shows", "快照时刻"),
        Column(
            "complete_through", TIME, "Everything written to Kafka up to then is taken into account", "数据完整截止"
        ),
        Column("offsets", pa.string(), "By topic and partition the offset it goes up to, exclusive (JSON)", "截止位移"),
        Column("made_at", TIME, "When it was begun", "制作时间"),
        Column("currency", pa.string(), "Currency of the settings", "设置币种"),
        Column("timezone", pa.string(), "Time zone of the settings", "设置时区"),
        Column("kith", pa.string(), "Version of Kith", "Kith 版本"),
    ),
)
SNAPSHOT_TABLES = (
    PEOPLE,
    IDENTIFIERS,
    *PEOPLE_TABLES,
    OUTCOMES,
    EVENTS,
    IDENTITY_CHANGES,
    TAG_CHANGES,
    SURVEYS,
    EVIDENCE,
    SNAPSHOT,
)
