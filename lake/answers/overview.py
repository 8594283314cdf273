"""How the business does: the key figures by month, the tiers, and the funnel from looking to buying."""

from lake.answers.answer import Answer, Chart

KPI = Answer(
    "kpi",
    ("Key figures by month", "每月关键指标"),
    (
        "New: first order in the month. Active: an order in the month. Revenue: the month's orders less all refunds so "
        "far, in the snapshot's currency. Churn: of those with an order in the 90 days before the month, the share "
        "without one in the 90 days before its end. Satisfaction: the mean rating of tickets and chats, 1 to 5.",
        "新客：当月首单；活跃：当月有订单；净收入：当月订单减去迄今退款，仅计快照币种；"
        "流失率：月初前 90 天内有订单者中，月末前 90 天内无订单的比例；满意度：工单与会话评分的平均值（1-5）。",
    ),
    ("No orders and no answers yet", "尚无订单与回答"),
    ("orders", "snapshot"),
    {
        "month": ("Month", "月份"),
        "new_customers": ("New customers", "新客数"),
        "active": ("Active customers", "活跃客户"),
        "orders": ("Orders", "订单数"),
        "revenue_minor": ("Net revenue", "净收入"),
        "repeat_rate": ("Had bought before", "老客占比"),
        "churn": ("Churn", "流失率"),
        "satisfaction": ("Satisfaction", "满意度"),
        "nps": ("NPS", "NPS"),
        "complete": ("Month is over", "整月"),
    },
    # An order is the last one before the starts of months that follow it, until the next order, and 90 days at most. So
    # each pair of customer and month comes up once, and no month is joined with all orders.
    """
WITH placed AS (
    SELECT one_id, kith_local(paid_at) AS day, kith_month(paid_at) AS month,
        CASE WHEN currency = {currency} THEN amount_minor - refunded_minor END AS net_minor
    FROM orders
),
monthly AS (
    SELECT one_id, month, count(*) AS orders, sum(net_minor) AS net_minor FROM placed GROUP BY one_id, month
),
bought AS (
    SELECT month, count(*) AS active, count(*) FILTER (month = began) AS new_customers, sum(orders) AS orders,
        sum(net_minor) AS revenue_minor
    FROM (SELECT *, min(month) OVER (PARTITION BY one_id) AS began FROM monthly) GROUP BY month
),
followed AS (SELECT day, lead(day) OVER (PARTITION BY one_id ORDER BY day) AS next_day FROM placed),
seen AS (
    SELECT day, next_day, unnest(generate_series(
        (date_trunc('month', day) + INTERVAL 1 MONTH)::TIMESTAMP,
        least(day + INTERVAL 90 DAY, coalesce(next_day, day + INTERVAL 90 DAY))::TIMESTAMP,
        INTERVAL 1 MONTH
    )) AS starts
    FROM followed
),
stayed AS (
    SELECT starts::DATE AS month, avg(CASE
        WHEN day >= starts + INTERVAL 1 MONTH - INTERVAL 90 DAY OR next_day < starts + INTERVAL 1 MONTH THEN 0 ELSE 1
    END) AS churn
    FROM seen WHERE starts + INTERVAL 1 MONTH <= {now} GROUP BY starts
),
said AS (
    SELECT kith_month(answered_at) AS month, avg(score * 5 / scale) FILTER (kind <> 'survey') AS satisfaction,
        100 * avg(CASE WHEN score * 10 >= 9 * scale THEN 1 WHEN score * 10 >= 7 * scale THEN 0 ELSE -1 END)
            FILTER (kind = 'survey' AND survey = 'nps') AS nps
    FROM surveys WHERE score IS NOT NULL AND scale > 0 GROUP BY month
),
months AS (
    SELECT unnest(generate_series(
        (SELECT min(month) FROM (SELECT month FROM bought UNION ALL SELECT month FROM said))::TIMESTAMP,
        date_trunc('month', {now})::TIMESTAMP,
        INTERVAL 1 MONTH
    ))::DATE AS month
)
SELECT month, coalesce(new_customers, 0) AS new_customers, coalesce(active, 0) AS active,
    coalesce(orders, 0) AS orders, coalesce(revenue_minor, 0) AS revenue_minor,
    (active - new_customers) / active AS repeat_rate, churn, satisfaction, nps,
    month + INTERVAL 1 MONTH <= {now} AS complete
FROM months LEFT JOIN bought USING (month) LEFT JOIN stayed USING (month) LEFT JOIN said USING (month)
ORDER BY month
""",
    Chart(
        "panels",
        "month",
        ("new_customers", "active", "orders", "revenue_minor", "repeat_rate", "churn", "satisfaction", "nps"),
    ),
    helps=("surveys",),
    wide=True,
)

IN_CURRENCY = """CASE WHEN currency = {currency} THEN revenue_minor ELSE list_sum(
        [other.revenue_minor FOR other IN coalesce(other_currencies, []) IF other.currency = {currency}]) END"""
"""The net revenue of a person in the snapshot's currency, which need not be the one they mostly pay in."""

TIERS = Answer(
    "tiers",
    ("Membership tiers", "会员等级"),
    (
        "People in each tier at the snapshot's time, and their net revenue of all time.",
        "快照时刻各会员等级的人数及其历史净收入。",
    ),
    ("Nobody is known yet", "尚无客户"),
    ("people", "snapshot"),
    {
        "tier": ("Tier", "等级"),
        "people": ("People", "人数"),
        "share": ("Share", "占比"),
        "revenue_minor": ("Net revenue", "净收入"),
    },
    f"""
SELECT tier, count(*) AS people, count(*) / sum(count(*)) OVER () AS share,
    coalesce(sum({IN_CURRENCY}), 0) AS revenue_minor
FROM people GROUP BY tier ORDER BY people DESC, tier
""",  # noqa: S608  our own text
    Chart("bar", "tier", ("people",)),
)

FUNNEL = Answer(
    "funnel",
    ("Funnel: view, cart, order", "转化漏斗：浏览、加购、下单"),
    (
        "People who looked at a product in the month; of these who put something in a cart then or later in that "
        "month; of these who paid an order then or later in that month.",
        "当月浏览过商品的人；其中浏览后当月加购的人；其中加购后当月支付订单的人。",
    ),
    ("No product was looked at yet", "尚无商品浏览"),
    ("events", "snapshot"),
    {
        "month": ("Month", "月份"),
        "viewed": ("Viewed", "浏览"),
        "carted": ("Put in a cart", "加购"),
        "ordered": ("Ordered", "下单"),
        "view_to_cart": ("View to cart", "浏览→加购"),
        "cart_to_order": ("Cart to order", "加购→下单"),
        "view_to_order": ("View to order", "浏览→下单"),
        "complete": ("Month is over", "整月"),
    },
    # Four times tell of nearly everybody how far they went, in less memory than a join of all. They do not tell it
    # (`ordered` is null) of who put things into a cart both before the first look and after the last payment: there an
    # addition in between is looked for.
    """
WITH steps AS (
    SELECT kith_month(time) AS month, one_id, type, time FROM events
    WHERE type IN ('product.viewed', 'cart.added', 'order.paid') AND one_id IS NOT NULL
),
spans AS (
    SELECT month, one_id, min(time) FILTER (type = 'product.viewed') AS first_view,
        min(time) FILTER (type = 'cart.added') AS first_cart, max(time) FILTER (type = 'cart.added') AS last_cart,
        max(time) FILTER (type = 'order.paid') AS last_paid
    FROM steps GROUP BY month, one_id
),
judged AS (
    SELECT month, one_id, first_view, last_paid, coalesce(last_cart >= first_view, false) AS carted,
        CASE
            WHEN last_cart IS NULL OR last_paid IS NULL OR last_cart < first_view OR last_paid < first_view THEN false
            WHEN last_cart <= last_paid THEN true
            WHEN first_cart >= first_view THEN first_cart <= last_paid
        END AS ordered
    FROM spans WHERE first_view IS NOT NULL
),
unclear AS (FROM judged WHERE ordered IS NULL),
cleared AS (
    SELECT month, one_id FROM steps JOIN unclear USING (month, one_id)
    WHERE type = 'cart.added' AND time BETWEEN first_view AND last_paid GROUP BY month, one_id
),
clear AS (
    SELECT month, count(*) AS viewed, count(*) FILTER (carted) AS carted, count(*) FILTER (ordered) AS ordered
    FROM judged GROUP BY month
),
more AS (SELECT month, count(*) AS ordered FROM cleared GROUP BY month),
counted AS (
    SELECT month, viewed, carted, clear.ordered + coalesce(more.ordered, 0) AS ordered
    FROM clear LEFT JOIN more USING (month)
)
SELECT month, viewed, carted, ordered, carted / viewed AS view_to_cart, ordered / nullif(carted, 0) AS cart_to_order,
    ordered / viewed AS view_to_order, month + INTERVAL 1 MONTH <= {now} AS complete
FROM counted ORDER BY month
""",
    Chart("bar", "month", ("viewed", "carted", "ordered")),
    wide=True,
)
