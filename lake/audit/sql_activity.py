"""Carts, interest, service, membership and consent, in SQL: docs/profiles.md, the sections of these names.

Reads `ev` and `orders` (see `sql_orders`) and leaves one table per topic, a row per person.
"""

SEEN = """
CREATE OR REPLACE TEMP TABLE seen AS
SELECT one_id, count(*) AS events, min(ms) AS first_seen, max(ms) AS last_seen,
    count(*) FILTER (type = 'message.sent') AS sent,
    count(*) FILTER (type = 'message.opened') AS opened,
    count(*) FILTER (type = 'message.clicked') AS clicked,
    coalesce(sum((data->>'delta')::BIGINT) FILTER (type = 'points.changed'), 0) AS points
FROM ev GROUP BY one_id
"""

# The latest statement of each trait that anything is derived from.
TRAITS = """
CREATE OR REPLACE TEMP TABLE traits AS
WITH stated AS (
    SELECT one_id, ms, event_id, name, json_extract(data, '$.traits."' || name || '"') AS said
    FROM ev, (SELECT unnest(getvariable('traits')::VARCHAR[]) AS name)
    WHERE type = 'customer.identified' AND json_extract(data, '$.traits') IS NOT NULL
)
SELECT one_id, name, arg_max(said, ROW(ms, event_id)) AS said
FROM stated WHERE said IS NOT NULL AND json_type(said) <> 'NULL' GROUP BY one_id, name
"""

ZONES = """
CREATE OR REPLACE TEMP TABLE zones_of AS
SELECT s.one_id, z.name AS stated, coalesce(z.name, getvariable('timezone')) AS zone
FROM seen s
LEFT JOIN traits t ON t.one_id = s.one_id AND t.name = 'timezone' AND json_type(t.said) = 'VARCHAR'
LEFT JOIN zones z ON z.name = t.said->>'$'
"""

# What empties a cart: its clearing, an order that names it, an order that names none (then every cart).
CARTS = """
CREATE OR REPLACE TEMP TABLE carts AS
WITH emptied AS (
    SELECT one_id, coalesce(data->>'cart_id', '') AS cart_id, false AS every, ROW(ms, event_id) AS key
    FROM ev WHERE type = 'cart.cleared'
    UNION ALL
    SELECT one_id, coalesce(said.cart_id, ''), said.cart_id IS NULL, ROW(ms, event_id) FROM order_events
    WHERE type = 'order.placed' OR (type = 'order.paid' AND amount IS NOT NULL)
), every AS (SELECT one_id, max(key) AS key FROM emptied WHERE every GROUP BY one_id),
single AS (SELECT one_id, cart_id, max(key) AS key FROM emptied WHERE NOT every GROUP BY one_id, cart_id),
deltas AS (
    SELECT one_id, coalesce(data->>'cart_id', '') AS cart_id, data->>'sku' AS sku, ROW(ms, event_id) AS key, ms,
        CASE WHEN type = 'cart.added' THEN 1 ELSE -1 END * (data->>'quantity')::BIGINT AS quantity,
        (data->>'unit_price')::BIGINT AS price
    FROM ev WHERE type IN ('cart.added', 'cart.removed')
), left_over AS (
    SELECT d.* FROM deltas d LEFT JOIN every e USING (one_id)
    LEFT JOIN single s ON s.one_id = d.one_id AND s.cart_id = d.cart_id
    WHERE (e.key IS NULL OR d.key > e.key) AND (s.key IS NULL OR d.key > s.key)
), lines AS (
    SELECT one_id, cart_id, sku, sum(quantity) AS quantity,
        arg_max(price, key) FILTER (price IS NOT NULL) AS price
    FROM left_over GROUP BY ALL HAVING sum(quantity) > 0
), changed AS (SELECT one_id, cart_id, max(ms) AS ms FROM left_over GROUP BY ALL),
each_cart AS (
    SELECT one_id, cart_id, sum(quantity) AS items, sum(quantity * coalesce(price, 0)::HUGEINT) AS value,
        list({'sku': sku, 'quantity': quantity::BIGINT, 'unit_price_minor': price} ORDER BY sku) AS lines
    FROM lines GROUP BY ALL
)
SELECT one_id, sum(items) AS items, capped(sum(capped(value))) AS value,
    list(
        {
            'cart_id': nullif(cart_id, ''), 'items': items::BIGINT, 'value_minor': capped(value)::BIGINT,
            'changed_at': ms, 'lines': lines
        } ORDER BY cart_id
    ) AS listed
FROM each_cart JOIN changed USING (one_id, cart_id) GROUP BY one_id
"""

VIEWED = """
CREATE OR REPLACE TEMP TABLE viewed AS
WITH last AS (
    SELECT one_id, data->>'sku' AS sku, max(ROW(ms, event_id)) AS key
    FROM ev WHERE type = 'product.viewed' GROUP BY ALL
), ranked AS (SELECT *, row_number() OVER (PARTITION BY one_id ORDER BY key DESC) AS place FROM last)
SELECT one_id, list(sku ORDER BY place) AS skus FROM ranked WHERE place <= 20 GROUP BY one_id
"""

FAVOURITES = """
CREATE OR REPLACE TEMP TABLE favourites AS
WITH weights AS (
    SELECT one_id, 'category' AS what, unnest(items).category AS name, 5 AS weight FROM orders
    UNION ALL
    SELECT one_id, 'channel', channel, 5 FROM orders
    UNION ALL
    SELECT one_id, 'category', data->>'category', CASE WHEN type = 'cart.added' THEN 3 ELSE 1 END FROM ev
    WHERE type IN ('cart.added', 'product.viewed', 'category.viewed')
    UNION ALL
    SELECT one_id, 'channel', data->>'channel', CASE WHEN type = 'message.clicked' THEN 2 ELSE 1 END FROM ev
    WHERE type IN ('message.clicked', 'app.opened', 'chat.started', 'message.opened')
), sums AS (
    SELECT one_id, what, name, sum(weight) AS weight FROM weights WHERE name <> '' GROUP BY ALL
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY one_id, what ORDER BY weight DESC, name) AS place FROM sums
)
SELECT one_id, coalesce(list(name ORDER BY place) FILTER (what = 'category'), []) AS categories,
    coalesce(list(name ORDER BY place) FILTER (what = 'channel'), []) AS channels
FROM ranked WHERE place <= 5 GROUP BY one_id
"""

SERVICE = """
CREATE OR REPLACE TEMP TABLE service AS
WITH each_ticket AS (
    SELECT one_id, data->>'ticket_id' AS ticket_id,
        arg_max(type, ROW(ms, event_id))
            FILTER (type IN ('ticket.opened', 'ticket.resolved', 'ticket.reopened')) AS latest,
        arg_max(coalesce(data->>'category', ''), ROW(ms, event_id)) FILTER (type = 'ticket.opened') AS category,
        min(ms) FILTER (type = 'ticket.opened') AS opened,
        min(ms) FILTER (type = 'ticket.replied') AS replied,
        max(ms) FILTER (type = 'ticket.resolved') AS resolved,
        arg_max((data->>'score')::BIGINT, ROW(ms, event_id)) FILTER (type = 'ticket.rated') AS rating
    FROM ev WHERE starts_with(type, 'ticket.') AND type <> 'ticket.assigned' GROUP BY ALL
), tickets AS (
    SELECT one_id, count(*) AS tickets, count(*) FILTER (latest <> 'ticket.resolved') AS open,
        count(*) FILTER (lower(category) IN ('complaint', 'complaints', '投诉')) AS complaints,
        sum(replied - opened) FILTER (replied >= opened) AS answering,
        count(*) FILTER (replied >= opened) AS answered,
        sum(resolved - opened) FILTER (resolved >= opened AND latest = 'ticket.resolved') AS resolving,
        count(*) FILTER (resolved >= opened AND latest = 'ticket.resolved') AS resolved,
        sum(rating) AS rating, count(rating) AS ratings
    FROM each_ticket GROUP BY one_id
), each_chat AS (
    SELECT one_id, data->>'conversation_id' AS conversation_id,
        min(ms) FILTER (type = 'chat.message' AND data->>'sender' = 'customer') AS asked,
        min(ms) FILTER (type = 'chat.message' AND data->>'sender' = 'agent') AS replied,
        arg_max((data->>'score')::BIGINT, ROW(ms, event_id)) FILTER (type = 'chat.rated') AS rating
    FROM ev WHERE starts_with(type, 'chat.') GROUP BY ALL
), chats AS (
    SELECT one_id, sum(replied - asked) FILTER (replied >= asked) AS answering,
        count(*) FILTER (replied >= asked) AS answered, sum(rating) AS rating, count(rating) AS ratings
    FROM each_chat GROUP BY one_id
)
SELECT one_id, coalesce(t.tickets, 0) AS tickets, coalesce(t.open, 0) AS open_tickets,
    coalesce(t.complaints, 0) AS complaints,
    CASE WHEN t.answered > 0 THEN half_even(t.answering, t.answered) END AS first_response,
    CASE WHEN t.resolved > 0 THEN half_even(t.resolving, t.resolved) END AS resolution,
    CASE WHEN c.answered > 0 THEN half_even(c.answering, c.answered) END AS chat_response,
    (coalesce(t.rating, 0) + coalesce(c.rating, 0))
        / nullif(coalesce(t.ratings, 0) + coalesce(c.ratings, 0), 0) AS satisfaction
FROM tickets t FULL JOIN chats c USING (one_id)
"""

NPS = """
CREATE OR REPLACE TEMP TABLE nps AS
WITH answers AS (
    SELECT one_id, ms, event_id, coalesce(try_cast(data->>'score' AS DOUBLE), 1.7976931348623157e308) AS score,
        CASE WHEN data->>'scale' IS NULL THEN 10
            ELSE coalesce(try_cast(data->>'scale' AS DOUBLE), 1.7976931348623157e308) END AS scale
    FROM ev WHERE type = 'survey.answered' AND data->>'survey' = 'nps'
), latest AS (
    SELECT one_id, arg_max(score, ROW(ms, event_id)) AS score, arg_max(scale, ROW(ms, event_id)) AS scale
    FROM answers GROUP BY one_id
)
SELECT one_id, score AS nps_score,
    CASE WHEN score * 10 < scale * 7 THEN 'detractor' WHEN score * 10 < scale * 9 THEN 'passive' ELSE 'promoter' END
        AS nps
FROM latest
"""

# Runs of local days with a check-in: days less their rank are equal within a run.
STREAKS = """
CREATE OR REPLACE TEMP TABLE streaks AS
WITH days AS (
    SELECT DISTINCT one_id, zone, timezone(zone, to_timestamp(ms / 1000))::DATE AS day
    FROM ev JOIN zones_of USING (one_id) WHERE type = 'customer.checked_in'
), runs AS (
    SELECT one_id, zone, day - row_number() OVER (PARTITION BY one_id ORDER BY day)::INT AS run, day FROM days
), lengths AS (SELECT one_id, zone, run, count(*) AS days, max(day) AS last FROM runs GROUP BY ALL)
SELECT one_id, max(days) AS longest,
    CASE WHEN timezone(any_value(zone), to_timestamp(getvariable('now') / 1000))::DATE - max(last) <= 1
        THEN arg_max(days, last) ELSE 0 END AS current
FROM lengths GROUP BY one_id
"""

# A word counts for what it covers: without a channel for every channel. Of two at one instant a denial wins.
CONSENT = """
CREATE OR REPLACE TEMP TABLE consent AS
WITH words AS (
    SELECT one_id, data->>'purpose' AS purpose, coalesce(data->>'channel', '') AS channel,
        (data->>'granted')::BOOLEAN AS granted, ROW(ms, NOT (data->>'granted')::BOOLEAN, event_id) AS key
    FROM ev WHERE type = 'customer.consented'
), named AS (SELECT DISTINCT one_id, purpose, channel FROM words),
said AS (
    SELECT n.one_id, n.purpose, n.channel, arg_max(w.granted, w.key) AS granted
    FROM named n JOIN words w ON w.one_id = n.one_id AND w.purpose = n.purpose AND w.channel IN ('', n.channel)
    GROUP BY ALL
)
SELECT one_id, bool_or(purpose = 'marketing') AS on_marketing,
    list(
        {'key': CASE WHEN channel = '' THEN purpose ELSE purpose || ':' || channel END, 'value': granted}
        ORDER BY purpose, channel
    ) AS listed
FROM said GROUP BY one_id
"""

# A field is known if an identifier of that kind was seen, or one of its traits holds something.
COMPLETENESS = """
CREATE OR REPLACE TEMP TABLE completeness AS
WITH kinds AS (
    SELECT DISTINCT one_id, split_part(ident, ':', 1) AS field FROM (SELECT one_id, unnest(idents) AS ident FROM ev)
), told AS (
    SELECT DISTINCT t.one_id, f.field FROM traits t JOIN fields f ON f.trait = t.name
    WHERE t.said::VARCHAR NOT IN ('""', '[]', '{}')
), known AS (
    SELECT one_id, field FROM kinds UNION SELECT one_id, field FROM told WHERE field NOT IN ('order', 'consent')
), bought AS (
    SELECT one_id, 'order' AS field FROM orders UNION SELECT one_id, 'consent' FROM consent WHERE on_marketing
),
every AS (SELECT one_id, field FROM known WHERE field NOT IN ('order', 'consent') UNION SELECT * FROM bought),
weights AS (SELECT DISTINCT field, weight FROM fields)
SELECT one_id, sum(weight) / (SELECT sum(weight) FROM weights) AS share
FROM every JOIN weights USING (field) GROUP BY one_id
"""

STATEMENTS = (SEEN, TRAITS, ZONES)
AFTER_ORDERS = (CARTS, VIEWED, FAVOURITES, SERVICE, NPS, STREAKS, CONSENT, COMPLETENESS)
