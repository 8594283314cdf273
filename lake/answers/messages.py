"""What the rules did, and what came of it."""

from lake.answers.answer import Answer, Chart

RULES = Answer(
    "triggers-by-rule",
    ("Triggers by rule", "各规则触发结果"),
    (
        "What became of every trigger whose time came: fired, held out for comparison, suppressed for want of consent "
        "or by the cap, or expired.",
        "每个到期触发的结果：触发、对照组、因未授权或频控被抑制、过期。",
    ),
    ("No trigger was due yet", "尚无到期触发"),
    ("triggers", "snapshot"),
    {
        "rule": ("Rule", "规则"),
        "fired": ("Fired", "已触发"),
        "held_out": ("Held out", "对照组"),
        "no_consent": ("No consent", "未授权"),
        "capped": ("Cap reached", "频控"),
        "expired": ("Expired", "已过期"),
        "total": ("All", "合计"),
    },
    """
SELECT rule, count(*) FILTER (outcome = 'fired') AS fired, count(*) FILTER (outcome = 'held_out') AS held_out,
    count(*) FILTER (outcome = 'suppressed' AND reason = 'consent') AS no_consent,
    count(*) FILTER (outcome = 'suppressed' AND reason = 'cap') AS capped,
    count(*) FILTER (outcome = 'expired') AS expired, count(*) AS total
FROM triggers GROUP BY rule ORDER BY total DESC, rule
""",
    Chart("stacked", "rule", ("fired", "held_out", "no_consent", "capped", "expired"), horizontal=True),
    wide=True,
)


def _wilson(reached: str, people: str, side: str) -> str:
    """Return the SQL of an end of Wilson's score interval of a share, at 95 per cent (z = 1.959964).

    E. B. Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    root = f"sqrt({reached} * ({people} - {reached}) / nullif({people}, 0) + 0.9603647)"
    return f"({reached} + 1.9207294 {side} 1.959964 * {root}) / ({people} + 3.8414588)"


GOALS = Answer(
    "goal-conversion",
    ("Goal conversion: treated against held out", "目标达成：触发组与对照组"),
    (
        "Of the people for whom a rule fired, and of those it held out, the share who reached its goal in its time, "
        "once or more; the difference with its 95 per cent interval (Newcombe). Rules with a goal; without people whom "
        "a merge put into both groups.",
        "被规则触发的人与对照组中，在时限内至少一次达成目标的比例；差值及其 95% 置信区间（Newcombe 法）。"
        "仅列出设有目标的规则；因合并而同属两组者不计。",
    ),
    ("No rule with a goal has fired yet", "尚无设有目标的规则触发"),
    ("triggers.goal_until", "snapshot"),
    {
        "rule": ("Rule", "规则"),
        "treated": ("Treated", "触发人数"),
        "treated_reached": ("Reached the goal", "达成"),
        "held_out": ("Held out", "对照人数"),
        "held_out_reached": ("Reached it too", "对照达成"),
        "treated_rate": ("Rate, treated", "触发达成率"),
        "held_out_rate": ("Rate, held out", "对照达成率"),
        "difference": ("Difference", "差值"),
        "lowest": ("At least", "区间下限"),
        "highest": ("At most", "区间上限"),
    },
    # By person, as people were drawn, not triggers: those of one person depend on each other. The interval is method 10
    # of R. G. Newcombe (1998), Statistics in Medicine 17, 873-890, from Wilson's intervals of both shares.
    f"""
WITH drawn AS (
    SELECT rule, one_id, bool_or(outcome = 'fired') AS was_treated, bool_or(outcome = 'held_out') AS was_held_out,
        count(goal_at) > 0 AS reached
    FROM triggers WHERE goal_until IS NOT NULL GROUP BY rule, one_id
),
counts AS (
    SELECT rule, count(*) FILTER (was_treated) AS treated, count(*) FILTER (was_treated AND reached) AS treated_reached,
        count(*) FILTER (was_held_out) AS held_out, count(*) FILTER (was_held_out AND reached) AS held_out_reached
    FROM drawn WHERE was_treated <> was_held_out GROUP BY rule
),
rates AS (
    SELECT *, treated_reached / nullif(treated, 0) AS p, held_out_reached / nullif(held_out, 0) AS q,
        {_wilson("treated_reached", "treated", "-")} AS p_low,
        {_wilson("treated_reached", "treated", "+")} AS p_high,
        {_wilson("held_out_reached", "held_out", "-")} AS q_low,
        {_wilson("held_out_reached", "held_out", "+")} AS q_high
    FROM counts
)
SELECT rule, treated, treated_reached, held_out, held_out_reached, p AS treated_rate, q AS held_out_rate,
    p - q AS difference, p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2) AS lowest,
    p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2) AS highest
FROM rates ORDER BY treated + held_out DESC, rule
""",  # noqa: S608  our own text
    Chart("versus", "rule", ("treated_rate", "held_out_rate"), horizontal=True, percent=True),
    wide=True,
)
