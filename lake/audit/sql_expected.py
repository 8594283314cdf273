"""The profile that the events give, put together from the tables of `sql_orders` and `sql_activity`; and its tags."""

EXPECTED = """
CREATE OR REPLACE TEMP TABLE expected AS
WITH joined AS (
    SELECT s.one_id, s.first_seen, s.last_seen, s.events, s.points, s.sent, s.opened, s.clicked, z.stated AS timezone,
        m.orders, m.items, m.currency, m.revenue, m.refunded, m.aov, m.first_at, m.last_at, m.foreign_refunds,
        m.promo_share, m.other_currencies, l.stage, l.since, l.until, v.r, v.f, v.m,
        CASE WHEN v.r IS NOT NULL THEN v.named END AS segment, v.clv, v.recent_until,
        t.spend, t.name AS tier, t.next_name, t.gap, t.until AS tier_until,
        c.skus AS sku_cycles, c.categories AS category_cycles, u.weekday, u.hour,
        k.items AS cart_items, k.value AS cart_value, k.listed AS carts, w.skus AS viewed,
        f.categories, f.channels, x.tickets, x.open_tickets, x.complaints, x.first_response, x.resolution,
        x.chat_response, x.satisfaction, n.nps_score, n.nps, r.longest, r.current, o.listed AS consent, p.share
    FROM seen s JOIN zones_of z USING (one_id) LEFT JOIN money m USING (one_id) LEFT JOIN lifecycle l USING (one_id)
    LEFT JOIN value v USING (one_id) LEFT JOIN tier t USING (one_id) LEFT JOIN cycles c USING (one_id)
    LEFT JOIN usual u USING (one_id) LEFT JOIN carts k USING (one_id) LEFT JOIN viewed w USING (one_id)
    LEFT JOIN favourites f USING (one_id) LEFT JOIN service x USING (one_id) LEFT JOIN nps n USING (one_id)
    LEFT JOIN streaks r USING (one_id) LEFT JOIN consent o USING (one_id) LEFT JOIN completeness p USING (one_id)
)
SELECT one_id, first_seen, last_seen, events,
    coalesce(orders, 0) AS orders, coalesce(items, 0) AS items, currency, coalesce(revenue, 0) AS revenue_minor,
    coalesce(refunded, 0) AS refunded_minor, aov AS aov_minor, first_at AS first_order_at, last_at AS last_order_at,
    coalesce(cart_items, 0) AS cart_items, coalesce(cart_value, 0) AS cart_value_minor,
    coalesce(open_tickets, 0) AS open_tickets, nps, r AS rfm_r, f AS rfm_f, m AS rfm_m, segment AS rfm_segment,
    coalesce(stage, 'prospect') AS lifecycle, tier, clv AS clv_minor, coalesce(share, 0) AS completeness,
    list_filter(
        [
            'rfm:' || segment,
            'lifecycle:' || coalesce(stage, 'prospect'),
            CASE WHEN tier <> 'none' THEN 'tier:' || tier END,
            'nps:' || nps,
            CASE WHEN cart_items > 0 THEN 'cart:open' END,
            CASE WHEN open_tickets > 0 THEN 'ticket:open' END,
            CASE WHEN orders >= 2 AND stage <> 'lost' AND (last_at - first_at) // (orders - 1) > 0
                AND getvariable('now') >= last_at + 2 * ((last_at - first_at) // (orders - 1)) THEN 'churn_risk' END,
            CASE WHEN orders >= 3 AND promo_share >= 0.49995 THEN 'coupon_lover' END,
            CASE WHEN orders >= 2 AND revenue + refunded > 0 AND 2 * refunded >= revenue + refunded
                THEN 'refund_prone' END
        ], lambda tag: tag IS NOT NULL
    ) AS tags,
    coalesce(categories, []) AS favourite_categories, coalesce(viewed, []) AS last_viewed,
    coalesce(consent, []) AS consent, coalesce(other_currencies, []) AS other_currencies,
    coalesce(foreign_refunds, 0) AS foreign_refunds, coalesce(carts, []) AS carts,
    coalesce(channels, []) AS favourite_channels, coalesce(sku_cycles, []) AS sku_cycle_days,
    coalesce(category_cycles, []) AS category_cycle_days, weekday AS usual_weekday, hour AS usual_hour, promo_share,
    CASE WHEN orders > 0 THEN since ELSE first_seen END AS lifecycle_since, until AS lifecycle_until,
    spend AS tier_spend_minor, next_name AS tier_next, gap AS tier_gap_minor, tier_until,
    greatest(capped(points), -9223372036854775807::HUGEINT) AS points,
    list_filter(
        [
            'orders:' || CASE WHEN orders >= 100 THEN 100 WHEN orders >= 50 THEN 50 WHEN orders >= 10 THEN 10
                WHEN orders >= 5 THEN 5 WHEN orders >= 1 THEN 1 END,
            'streak:' || CASE WHEN longest >= 100 THEN 100 WHEN longest >= 30 THEN 30 WHEN longest >= 7 THEN 7 END
        ], lambda badge: badge IS NOT NULL
    ) AS badges,
    coalesce(current, 0) AS streak_days, nps_score, coalesce(tickets, 0) AS tickets,
    coalesce(complaints, 0) AS complaints, first_response AS first_response_ms, resolution AS resolution_ms,
    chat_response AS chat_response_ms, satisfaction, sent AS messages_sent, opened AS messages_opened,
    clicked AS messages_clicked, timezone, least(until, tier_until, recent_until) AS next_change_at
FROM joined
"""
