"""Who the customers are, and how they move between stages, tiers and tags."""

from lake.answers.answer import Answer, Chart
from lake.answers.overview import IN_CURRENCY

RFM = Answer(
    "rfm-grid",
    ("RFM grid", "RFM 客群"),
    (
        "Buyers by recency (R), frequency (F) and money (M), and their net revenue of all time. Of two scores 2 is "
        "high, of five 4 and 5.",
        "按最近消费（R）、频次（F）、金额（M）划分的客户及其历史净收入；两档时 2 为高，五档时 4、5 为高。",
    ),
    ("Nobody has bought yet", "尚无购买者"),
    ("people", "snapshot"),
    {
        "segment": ("Segment", "客群"),
        "r": ("R", "R"),
        "f": ("F", "F"),
        "m": ("M", "M"),
        "people": ("People", "人数"),
        "share": ("Share", "占比"),
        "revenue_minor": ("Net revenue", "净收入"),
    },
    f"""
SELECT rfm_segment AS segment, rfm_r AS r, rfm_f AS f, rfm_m AS m, count(*) AS people,
    count(*) / sum(count(*)) OVER () AS share, coalesce(sum({IN_CURRENCY}), 0) AS revenue_minor
FROM people WHERE rfm_segment IS NOT NULL
GROUP BY rfm_segment, rfm_r, rfm_f, rfm_m ORDER BY r DESC, f DESC, m DESC, segment
""",  # noqa: S608  our own text
    Chart("grid", "segment", ("people", "revenue_minor")),
)

_MOVED = """
WITH moved AS (
    SELECT CASE WHEN earlier.one_id IS NULL THEN 'new here' ELSE earlier.{column} END AS before,
        CASE WHEN people.one_id IS NULL THEN 'merged' ELSE people.{column} END AS now
    FROM people FULL JOIN earlier_people AS earlier ON earlier.one_id = people.one_id
)
SELECT before, now, count(*) AS people, count(*) / sum(count(*)) OVER (PARTITION BY before) AS share
FROM moved GROUP BY before, now ORDER BY {order}
"""
_STAGES = "['new here', 'prospect', 'new', 'growing', 'mature', 'declining', 'lost', 'merged']"

LIFECYCLE = Answer(
    "lifecycle-flow",
    ("Lifecycle flow", "生命周期流转"),
    (
        "From the stage in the earlier snapshot to the stage in this one, by person. “new here”: not known then; "
        "“merged”: by now part of another person.",
        "从较早快照到当前快照的阶段变化（按人）。“新出现”：当时尚不存在；“已合并”：现已并入他人。",
    ),
    ("Nobody is known yet", "尚无客户"),
    ("people", "snapshot"),
    {
        "before": ("Before", "之前"),
        "now": ("Now", "现在"),
        "people": ("People", "人数"),
        "share": ("Share of the stage before", "占原阶段比例"),
    },
    _MOVED.replace("{column}", "lifecycle").replace(
        "{order}", f"list_position({_STAGES}, before), list_position({_STAGES}, now), before, now"
    ),
    Chart("flow", "before", ("people",), by="now"),
    compared=True,
)

TIER_MOVEMENT = Answer(
    "tier-movement",
    ("Tier movement", "等级变动"),
    (
        "From the tier in the earlier snapshot to the tier in this one, by person. “new here”: not known then; "
        "“merged”: by now part of another person.",
        "从较早快照到当前快照的会员等级变化（按人）。“新出现”：当时尚不存在；“已合并”：现已并入他人。",
    ),
    ("Nobody is known yet", "尚无客户"),
    ("people", "snapshot"),
    {
        "before": ("Before", "之前"),
        "now": ("Now", "现在"),
        "people": ("People", "人数"),
        "share": ("Share of the tier before", "占原等级比例"),
    },
    _MOVED.replace("{column}", "tier").replace(
        "{order}", "before = 'new here', before = 'none', before, people DESC, now"
    ),
    Chart("flow", "before", ("people",), by="now"),
    compared=True,
)

TAG_SIZES = Answer(
    "tag-sizes",
    ("Tag sizes over time", "标签人数变化"),
    (
        "People with each tag at the end of each day on which it changed, counted back from those who have it now.",
        "每个有变化的日期结束时拥有各标签的人数，由当前人数倒推。",
    ),
    ("No tag was given yet", "尚无标签"),
    ("tag_changes", "tags", "snapshot"),
    {
        "day": ("Day", "日期"),
        "tag": ("Tag", "标签"),
        "entered": ("Entered", "进入"),
        "gone": ("Left", "离开"),
        "people": ("People", "人数"),
    },
    # Back from the present: a lake that was begun later than the tags lacks the first changes, not the last ones.
    """
WITH present AS (SELECT tag, count(*) AS people FROM tags GROUP BY tag),
days AS (
    SELECT kith_local("at")::DATE AS day, tag, count(*) FILTER (change = 'entered') AS entered,
        count(*) FILTER (change = 'left') AS gone
    FROM tag_changes GROUP BY day, tag
),
listed AS (
    FROM days
    UNION ALL
    SELECT ({now})::DATE, tag, 0, 0 FROM present ANTI JOIN (FROM days WHERE day = ({now})::DATE) USING (tag)
)
SELECT day, tag, entered, gone, (coalesce(present.people, 0) - coalesce(sum(entered - gone) OVER (
    PARTITION BY tag ORDER BY day ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 0))::BIGINT AS people
FROM listed LEFT JOIN present USING (tag) ORDER BY day, tag
""",
    Chart("line", "day", ("people",), by="tag"),
    wide=True,
)
