"""Orders, money and what follows from them, in SQL: docs/profiles.md, from `Orders and money` to `Interest and habits`.

Reads the table `ev` (one row per counted event: one_id, part, event_id, type, ms, idents, data as JSON) and
leaves one table per topic, a row per person. Instants are epoch ms, money is in minor units, sums are 128 bits wide.
Nothing here comes from the fold's code; what is left unrounded is compared with the tolerance of its rounding.
"""

MACROS = (
    # A number over another, rounded half to even; neither is negative, but a sum of points or nets may be.
    """
CREATE OR REPLACE TEMP MACRO half_even(n, d) AS (
    CASE
        WHEN 2 * (n - d * floor_div(n, d)) > d THEN floor_div(n, d) + 1
        WHEN 2 * (n - d * floor_div(n, d)) = d AND floor_div(n, d) % 2 <> 0 THEN floor_div(n, d) + 1
        ELSE floor_div(n, d)
    END
)
""",
    "CREATE OR REPLACE TEMP MACRO capped(n) AS least(n, 9223372036854775807::HUGEINT)",
)
FLOOR_DIV = """
CREATE OR REPLACE TEMP MACRO floor_div(n, d) AS (
    (n::HUGEINT // d::HUGEINT) - CASE WHEN n::HUGEINT % d::HUGEINT <> 0 AND (n < 0) <> (d < 0) THEN 1 ELSE 0 END
)
"""

ORDER_EVENTS = """
CREATE OR REPLACE TEMP TABLE order_events AS
SELECT one_id, part, event_id, type, ms, data->>'order_id' AS order_id,
    (data->>'amount')::BIGINT AS amount, data->>'currency' AS currency,
    from_json(
        data->'items',
        '[{"sku":"VARCHAR","quantity":"BIGINT","category":"VARCHAR"}]'
    ) AS items,
    {
        'cart_id': data->>'cart_id', 'channel': data->>'channel', 'coupon': data->>'coupon',
        'discount': (data->>'discount')::BIGINT
    } AS said
FROM ev WHERE type IN ('order.placed', 'order.paid', 'order.cancelled', 'order.refunded')
"""

# Everything of one order at once: the earliest payment, the earliest whole one, the latest placing.
ORDERS = """
CREATE OR REPLACE TEMP TABLE orders AS
WITH heard AS (
    SELECT one_id, order_id,
        min(ROW(ms, event_id)) FILTER (type = 'order.paid') AS paid,
        arg_min(amount IS NULL, ROW(ms, event_id)) FILTER (type = 'order.paid') AS bare,
        arg_min(said, ROW(ms, event_id)) FILTER (type = 'order.paid') AS paid_said,
        arg_min(
            {'amount': amount, 'currency': currency, 'items': items, 'said': said}, ROW(ms, event_id)
        ) FILTER (type = 'order.paid' AND amount IS NOT NULL) AS whole,
        arg_max(
            {'amount': amount, 'currency': currency, 'items': items, 'said': said}, ROW(ms, event_id)
        ) FILTER (type = 'order.placed') AS placed,
        bool_or(type = 'order.cancelled') AS cancelled
    FROM order_events GROUP BY one_id, order_id
), counted AS (
    SELECT one_id, order_id, paid[1] AS ms, paid[2] AS event_id, cancelled,
        coalesce(whole, placed) AS carried,
        CASE WHEN bare THEN paid_said END AS first_said, whole.said AS whole_said, placed.said AS placed_said
    FROM heard WHERE paid IS NOT NULL AND coalesce(whole, placed) IS NOT NULL
), refunds AS (
    SELECT one_id, order_id, currency, sum(amount) AS amount, count(*) AS number
    FROM order_events WHERE type = 'order.refunded' GROUP BY ALL
), given_back AS (
    SELECT c.one_id, c.order_id,
        coalesce(sum(r.amount) FILTER (r.currency = c.carried.currency), 0) AS same,
        coalesce(sum(r.number) FILTER (r.currency <> c.carried.currency), 0) AS elsewhere
    FROM counted c JOIN refunds r USING (one_id, order_id) GROUP BY ALL
)
SELECT one_id, order_id, ms, event_id,
    carried.amount::HUGEINT AS amount, carried.currency AS currency, coalesce(carried.items, []) AS items,
    CASE WHEN cancelled THEN carried.amount ELSE least(coalesce(same, 0), carried.amount) END::HUGEINT AS refunded,
    coalesce(elsewhere, 0)::BIGINT AS foreign_refunds,
    coalesce(first_said.channel, whole_said.channel, placed_said.channel) AS channel,
    coalesce(first_said.coupon, whole_said.coupon, placed_said.coupon) IS NOT NULL
        OR coalesce(first_said.discount, whole_said.discount, placed_said.discount, 0) <> 0 AS promoted
FROM counted LEFT JOIN given_back USING (one_id, order_id)
"""

MONEY = """
CREATE OR REPLACE TEMP TABLE money AS
WITH sums AS (
    SELECT one_id, currency, count(*) AS orders, sum(amount) - sum(refunded) AS net, sum(refunded) AS refunded,
        row_number() OVER (PARTITION BY one_id ORDER BY count(*) DESC, currency) AS rank
    FROM orders GROUP BY one_id, currency
), chief AS (
    SELECT one_id, currency, capped(net) AS revenue, capped(refunded) AS refunded, half_even(net, orders) AS aov, net
    FROM sums WHERE rank = 1
), others AS (
    SELECT one_id, list(
        {
            'currency': currency, 'orders': orders, 'revenue_minor': capped(net)::BIGINT,
            'refunded_minor': capped(refunded)::BIGINT
        } ORDER BY currency
    ) AS listed
    FROM sums WHERE rank > 1 GROUP BY one_id
), totals AS (
    SELECT one_id, count(*) AS orders, min(ms) AS first_at, max(ms) AS last_at,
        sum(foreign_refunds) AS foreign_refunds, count(*) FILTER (promoted) / count(*) AS promo_share,
        sum(list_sum([item.quantity FOR item IN items])) AS items,
        sum(amount - refunded) FILTER (currency = getvariable('currency')) AS home_net
    FROM orders GROUP BY one_id
)
SELECT one_id, t.orders, coalesce(t.items, 0) AS items, c.currency, c.revenue, c.refunded, c.aov, t.first_at,
    t.last_at, t.foreign_refunds, t.promo_share, coalesce(t.home_net, 0) AS home_net,
    coalesce(o.listed, []) AS other_currencies
FROM totals t JOIN chief c USING (one_id) LEFT JOIN others o USING (one_id)
"""

# A stage of an active buyer began with the order that reached its number, or the first one after a long pause.
LIFECYCLE = """
CREATE OR REPLACE TEMP TABLE lifecycle AS
WITH ordered AS (
    SELECT one_id, ms, row_number() OVER w AS number, ms - lag(ms) OVER w AS pause
    FROM orders WINDOW w AS (PARTITION BY one_id ORDER BY ms, event_id)
), judged AS (
    SELECT one_id, orders, last_at, last_at + getvariable('declining_ms') AS declining_at,
        last_at + getvariable('lost_ms') AS lost_at,
        CASE
            WHEN orders >= getvariable('mature_orders') THEN getvariable('mature_orders')
            WHEN orders >= getvariable('growing_orders') THEN getvariable('growing_orders')
            ELSE 1
        END AS reached
    FROM money
), began AS (
    SELECT j.one_id, max(o.ms) AS began_at FROM judged j JOIN ordered o USING (one_id)
    WHERE o.number = j.reached OR (o.number > j.reached AND o.pause > getvariable('declining_ms'))
    GROUP BY j.one_id
)
SELECT one_id,
    CASE
        WHEN getvariable('now') >= lost_at THEN 'lost'
        WHEN getvariable('now') >= declining_at THEN 'declining'
        WHEN orders >= getvariable('mature_orders') THEN 'mature'
        WHEN orders >= getvariable('growing_orders') THEN 'growing'
        ELSE 'new'
    END AS stage,
    CASE
        WHEN getvariable('now') >= lost_at THEN lost_at
        WHEN getvariable('now') >= declining_at THEN declining_at
        ELSE began_at
    END AS since,
    CASE
        WHEN getvariable('now') >= lost_at THEN NULL
        WHEN getvariable('now') >= declining_at THEN lost_at
        ELSE declining_at
    END AS until
FROM judged JOIN began USING (one_id)
"""

VALUE = """
CREATE OR REPLACE TEMP TABLE value AS
WITH judged AS (
    SELECT one_id, revenue, first_at, last_at,
        CASE WHEN getvariable('rfm_fixed') THEN getvariable('now') - last_at <= getvariable('recency_ms') END AS r,
        CASE WHEN getvariable('rfm_fixed') THEN orders >= getvariable('frequency_orders') END AS f,
        CASE WHEN getvariable('rfm_fixed') THEN home_net >= getvariable('money_minor') END AS m
    FROM money
)
SELECT one_id, 1 + r::INT AS r, 1 + f::INT AS f, 1 + m::INT AS m,
    CASE WHEN m THEN '重要' ELSE '一般' END || CASE
        WHEN r AND f THEN '价值' WHEN r THEN '发展' WHEN f THEN '保持' ELSE '挽留'
    END AS named,
    CASE WHEN r THEN last_at + getvariable('recency_ms') + 1 END AS recent_until,
    capped(half_even(
        revenue * getvariable('year_ms') * getvariable('clv_up'),
        greatest(getvariable('year_ms'), getvariable('now') - first_at)::HUGEINT * getvariable('clv_down')
    )) AS clv
FROM judged
"""

# The tier: of the orders of the last 365 days; it is lost with the first of them whose leaving leaves too little.
TIER = """
CREATE OR REPLACE TEMP TABLE tier AS
WITH counted AS (
    SELECT one_id, ms, event_id, amount - refunded AS net FROM orders
    WHERE currency = getvariable('currency') AND ms <= getvariable('now')
        AND ms > getvariable('now') - getvariable('year_ms')
), spent AS (
    SELECT p.one_id, coalesce(sum(c.net), 0) AS spend FROM seen p LEFT JOIN counted c USING (one_id) GROUP BY p.one_id
), reached AS (
    SELECT s.one_id, s.spend,
        max(t.least) FILTER (t.least <= s.spend) AS least,
        arg_max(t.name, t.least) FILTER (t.least <= s.spend) AS name,
        min(t.least) FILTER (t.least > s.spend) AS next_least,
        arg_min(t.name, t.least) FILTER (t.least > s.spend) AS next_name
    FROM spent s LEFT JOIN tiers t ON true GROUP BY ALL
), leaving AS (
    SELECT c.one_id, c.ms, r.spend - sum(c.net) OVER (
        PARTITION BY c.one_id ORDER BY c.ms, c.event_id ROWS UNBOUNDED PRECEDING
    ) AS stays, r.least
    FROM counted c JOIN reached r USING (one_id) WHERE r.least > 0
), lost AS (
    SELECT one_id, min(ms) + getvariable('year_ms') AS until FROM leaving WHERE stays < least GROUP BY one_id
)
SELECT one_id, spend, coalesce(name, 'none') AS name, next_name, next_least - spend AS gap, until
FROM reached LEFT JOIN lost USING (one_id)
"""

CYCLES = """
CREATE OR REPLACE TEMP TABLE cycles AS
WITH lines AS (SELECT one_id, order_id, ms, unnest(items) AS item FROM orders),
named AS (
    SELECT one_id, 'sku' AS what, item.sku AS name, order_id, ms FROM lines WHERE item.sku IS NOT NULL
    UNION ALL
    SELECT one_id, 'category', item.category, order_id, ms FROM lines WHERE item.category IS NOT NULL
), means AS (
    SELECT one_id, what, name, (max(ms) - min(ms)) / (count(DISTINCT order_id) - 1) / 86400000 AS days
    FROM named GROUP BY ALL HAVING max(ms) > min(ms)
)
SELECT one_id,
    coalesce(list({'key': name, 'value': days} ORDER BY name) FILTER (what = 'sku'), []) AS skus,
    coalesce(list({'key': name, 'value': days} ORDER BY name) FILTER (what = 'category'), []) AS categories
FROM means GROUP BY one_id
"""

# The newest 100 orders by local time; of equals the earliest weekday, the earliest hour.
USUAL = """
CREATE OR REPLACE TEMP TABLE usual AS
WITH newest AS (
    SELECT one_id, timezone(zone, to_timestamp(ms / 1000)) AS local FROM orders JOIN zones_of USING (one_id)
    QUALIFY row_number() OVER (PARTITION BY one_id ORDER BY ms DESC, event_id DESC) <= 100
), days AS (SELECT one_id, isodow(local) AS day, count(*) AS n FROM newest GROUP BY ALL),
hours AS (SELECT one_id, hour(local) AS hour, count(*) AS n FROM newest GROUP BY ALL)
SELECT one_id, weekday, hour
FROM (SELECT one_id, arg_min(day, ROW(-n, day)) AS weekday FROM days GROUP BY one_id)
JOIN (SELECT one_id, arg_min(hour, ROW(-n, hour)) AS hour FROM hours GROUP BY one_id) USING (one_id)
"""

STATEMENTS = (FLOOR_DIV, *MACROS, ORDER_EVENTS, ORDERS, MONEY, LIFECYCLE, VALUE, TIER, CYCLES)
