"""How customers are served, and what they say about it."""

from lake.answers.answer import Answer, Chart

TIMES = Answer(
    "service-times",
    ("First response and resolution times", "首次响应与解决时长"),
    (
        "Tickets by the month in which they were first opened: hours from then to the first reply, and to the latest "
        "resolution of those not open; half are done within the median, nine of ten within the second number. Tickets "
        "of which the opening is unknown are left out.",
        "按首次开启月份统计的工单：至首次回复、至最近一次解决（未解决者除外）的小时数，中位数与 90 分位。"
        "开启时间未知者不计。",
    ),
    ("No ticket was opened yet", "尚无工单"),
    ("tickets", "snapshot"),
    {
        "month": ("Month", "月份"),
        "tickets": ("Tickets", "工单数"),
        "unanswered": ("Without reply", "未回复"),
        "still_open": ("Open", "未解决"),
        "response_median": ("Hours to first reply, median", "首次响应小时数中位数"),
        "response_p90": ("Hours to first reply, nine of ten", "首次响应小时数 90 分位"),
        "resolution_median": ("Hours to resolution, median", "解决小时数中位数"),
        "resolution_p90": ("Hours to resolution, nine of ten", "解决小时数 90 分位"),
        "complete": ("Month is over", "整月"),
    },
    """
WITH months AS (
    SELECT kith_month(opened_at) AS month, count(*) AS tickets, count(*) FILTER (replied_at IS NULL) AS unanswered,
        count(*) FILTER (open) AS still_open, quantile_cont(first_response_ms / 3600000, [0.5, 0.9]) AS response,
        quantile_cont(resolution_ms / 3600000, [0.5, 0.9]) AS resolution
    FROM tickets WHERE opened_at IS NOT NULL GROUP BY month
)
SELECT month, tickets, unanswered, still_open, response[1] AS response_median, response[2] AS response_p90,
    resolution[1] AS resolution_median, resolution[2] AS resolution_p90,
    month + INTERVAL 1 MONTH <= {now} AS complete
FROM months ORDER BY month
""",
    Chart("line", "month", ("response_median", "resolution_median")),
)

NPS = Answer(
    "nps-over-time",
    ("NPS over time", "NPS 变化"),
    (
        "Answers to the survey nps by month, brought to a scale of 10: promoters (9 or more) less detractors (below "
        "7), of 100 answers.",
        "每月 NPS 问卷（换算为 10 分制）：推荐者（9 分及以上）占比减去贬损者（7 分以下）占比。",
    ),
    ("Nobody has answered yet", "尚无回答"),
    ("surveys", "snapshot"),
    {
        "month": ("Month", "月份"),
        "answers": ("Answers", "回答数"),
        "promoters": ("Promoters", "推荐者"),
        "passives": ("Passives", "中立者"),
        "detractors": ("Detractors", "贬损者"),
        "nps": ("NPS", "NPS"),
        "complete": ("Month is over", "整月"),
    },
    """
WITH answers AS (
    SELECT kith_month(answered_at) AS month,
        CASE WHEN score * 10 >= 9 * scale THEN 1 WHEN score * 10 >= 7 * scale THEN 0 ELSE -1 END AS side
    FROM surveys WHERE kind = 'survey' AND survey = 'nps' AND score IS NOT NULL AND scale > 0
)
SELECT month, count(*) AS answers, count(*) FILTER (side = 1) AS promoters, count(*) FILTER (side = 0) AS passives,
    count(*) FILTER (side = -1) AS detractors, 100 * avg(side) AS nps, month + INTERVAL 1 MONTH <= {now} AS complete
FROM answers GROUP BY month ORDER BY month
""",
    Chart("line", "month", ("nps",)),
)
