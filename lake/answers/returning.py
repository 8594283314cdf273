"""How customers come back: by cohort, to the second order, to the same product."""

from lake.answers.answer import Answer, Chart

COHORTS = Answer(
    "cohort-retention",
    ("Cohort retention", "同期群留存"),
    (
        "Of the customers whose first order was in a month, the share with an order so many months later. An asterisk: "
        "that month is not over.",
        "首单在同一月份的客户中，之后第 n 个月有订单的比例；* 表示该月尚未结束。",
    ),
    ("Nobody has bought yet", "尚无购买者"),
    ("orders", "snapshot"),
    {
        "cohort": ("Month of the first order", "首单月份"),
        "months_later": ("Months later", "之后第几个月"),
        "size": ("Size of the cohort", "同期群人数"),
        "customers": ("Customers", "客户数"),
        "share": ("Share", "留存率"),
        "complete": ("Month is over", "整月"),
    },
    # A cell for every month up to now: in one without orders nobody came back, in one to come nobody can have.
    """
WITH placed AS (SELECT DISTINCT one_id, kith_month(paid_at) AS month FROM orders),
began AS (SELECT month, min(month) OVER (PARTITION BY one_id) AS cohort FROM placed),
counted AS (
    SELECT cohort, date_diff('month', cohort, month) AS months_later, count(*) AS customers
    FROM began GROUP BY cohort, month
),
cells AS (
    SELECT cohort, customers AS size, unnest(range(date_diff('month', cohort, ({now})::DATE) + 1)) AS months_later
    FROM counted WHERE months_later = 0
)
SELECT cohort, months_later, size, coalesce(customers, 0) AS customers, coalesce(customers, 0) / size AS share,
    cohort + to_months((months_later + 1)::INTEGER) <= {now} AS complete
FROM cells LEFT JOIN counted USING (cohort, months_later) ORDER BY cohort, months_later
""",
    Chart("heat", "months_later", ("share",), by="cohort", percent=True),
    wide=True,
)

REPEAT = Answer(
    "repeat",
    ("Repeat rate and time to the second order", "复购率与二次购买间隔"),
    (
        "By month of the first order: how many have come back so far, how many within 90 days (once all of them had 90 "
        "days), and after how many days those who came back did: a quarter of them, half, three quarters.",
        "按首单月份：迄今复购人数与复购率、90 天内复购率（全部客户满 90 天后给出），"
        "以及二次购买间隔天数的四分位数与中位数。",
    ),
    ("Nobody has bought yet", "尚无购买者"),
    ("orders", "snapshot"),
    {
        "cohort": ("Month of the first order", "首单月份"),
        "buyers": ("Buyers", "购买人数"),
        "repeaters": ("Came back", "复购人数"),
        "repeat_rate": ("Repeat rate so far", "迄今复购率"),
        "repeat_rate_90": ("Repeat rate, 90 days", "90 天复购率"),
        "days_p25": ("A quarter within, days", "间隔天数 25 分位"),
        "days_median": ("Half within, days", "间隔天数中位数"),
        "days_p75": ("Three quarters within, days", "间隔天数 75 分位"),
        "complete": ("Month is over", "整月"),
    },
    """
WITH gaps AS (
    SELECT kith_month(paid_at) AS cohort, (epoch_ms(lead(paid_at) OVER own) - epoch_ms(paid_at)) / 86400000 AS days
    FROM orders WINDOW own AS (PARTITION BY one_id ORDER BY paid_at, order_id) QUALIFY row_number() OVER own = 1
),
cohorts AS (
    SELECT cohort, count(*) AS buyers, count(days) AS repeaters, count(*) FILTER (days <= 90) AS within_90,
        quantile_cont(days, [0.25, 0.5, 0.75]) AS quantiles
    FROM gaps GROUP BY cohort
)
SELECT cohort, buyers, repeaters, repeaters / buyers AS repeat_rate,
    CASE WHEN cohort + INTERVAL 1 MONTH + INTERVAL 90 DAY <= {now} THEN within_90 / buyers END AS repeat_rate_90,
    quantiles[1] AS days_p25, quantiles[2] AS days_median, quantiles[3] AS days_p75,
    cohort + INTERVAL 1 MONTH <= {now} AS complete
FROM cohorts ORDER BY cohort
""",
    Chart("panels", "cohort", ("buyers", "repeat_rate", "repeat_rate_90", "days_median")),
    wide=True,
)

CYCLE = Answer(
    "purchase-cycle",
    ("Purchase cycle by product", "商品复购周期"),
    (
        "Days between two orders of one customer with the same product, of all such gaps: a quarter are shorter than "
        "the first number, half than the second, three quarters than the third.",
        "同一客户相邻两次购买同一商品的间隔天数：25 分位、中位数与 75 分位。",
    ),
    ("Nobody has bought a product twice yet", "尚无商品被同一客户再次购买"),
    ("order_items", "snapshot"),
    {
        "sku": ("Product", "商品"),
        "buyers": ("Buyers", "购买人数"),
        "gaps": ("Gaps", "间隔数"),
        "days_p25": ("A quarter within, days", "间隔天数 25 分位"),
        "days_median": ("Half within, days", "间隔天数中位数"),
        "days_p75": ("Three quarters within, days", "间隔天数 75 分位"),
    },
    # Each customer's first purchase of a product has no gap before it, so the rows without one are the buyers.
    """
WITH bought AS (SELECT DISTINCT one_id, sku, order_id, paid_at FROM order_items WHERE sku IS NOT NULL),
gaps AS (
    SELECT sku, (epoch_ms(paid_at) - lag(epoch_ms(paid_at)) OVER (
        PARTITION BY one_id, sku ORDER BY paid_at, order_id)) / 86400000 AS days
    FROM bought
),
products AS (
    SELECT sku, count(*) - count(days) AS buyers, count(days) AS gaps,
        quantile_cont(days, [0.25, 0.5, 0.75]) AS quantiles
    FROM gaps GROUP BY sku HAVING count(days) > 0
)
SELECT sku, buyers, gaps, quantiles[1] AS days_p25, quantiles[2] AS days_median, quantiles[3] AS days_p75
FROM products ORDER BY gaps DESC, sku
""",
    Chart("bar", "sku", ("days_median",), horizontal=True),
    wide=True,
)
