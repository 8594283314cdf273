"""The rules of the core, ready to use, as the data that a configuration overrides field by field."""

from typing import Any

_AN_ORDER = "order.placed"


def _dormancy(days: int) -> dict[str, Any]:
    return {
        "title": {"en": f"No order for {days} days", "zh": f"沉睡 {days} 天"},
        "explanation": {
            "en": f"{days} days have passed since the last paid order. Any paid order starts the count anew.",
            "zh": f"距最近一次支付订单已满 {days} 天。任何新的支付订单都会重新计时。",
        },
        "since": {"last": "order.paid"},
        "after": f"{days}d",
        "expires_after": "7d",
        "emit": {"order_id": "order.id", "skus": "order.skus"},
    }


def _second_order(days: int) -> dict[str, Any]:
    return {
        "title": {"en": f"No second order after {days} days", "zh": f"首单后 {days} 天未复购"},
        "explanation": {
            "en": f"{days} days have passed since the first paid order and there is no second one.",
            "zh": f"首个支付订单已过 {days} 天，仍没有第二单。有了第二单即取消。",
        },
        "since": {"first": "order.paid"},
        "until": "order.paid",
        "after": f"{days}d",
        "expires_after": "7d",
        "emit": {"order_id": "order.id", "skus": "order.skus"},
    }


CATALOGUE: dict[str, dict[str, Any]] = {
    "welcome": {
        "title": {"en": "Welcome", "zh": "欢迎新客"},
        "explanation": {
            "en": "The customer identified themselves for the first time: greet them at once.",
            "zh": "客户首次表明身份，立即问候。",
        },
        "since": {"first": "customer.identified"},
        "expires_after": "24h",
    },
    "cart-abandon": {
        "title": {"en": "Cart left behind", "zh": "购物车遗留"},
        "explanation": {
            "en": "A cart with goods in it has not changed for 24 hours. It is called off when the cart is emptied or "
            "anything is ordered after the change, under any identifier; a cart that changes again counts anew.",
            "zh": "购物车里有商品且 24 小时没有变动。购物车清空，或此后以任一身份下单，即取消；再次变动则重新计时。",
        },
        "since": "cart.changed",
        "key": "cart_id",
        "until": _AN_ORDER,
        "after": "24h",
        "expires_after": "24h",
        "emit": {"cart_id": "cart.id", "items": "cart.lines", "value": "cart.value"},
    },
    "browse-no-order": {
        "title": {"en": "Browsed without an order", "zh": "浏览未下单"},
        "explanation": {
            "en": "Products were viewed on a day and nothing was ordered after the first view: 10:00 the next day.",
            "zh": "某天浏览过商品，且首次浏览后没有下单：次日 10:00 触发。",
        },
        "since": {"first": "product.viewed"},
        "key": "day",
        "until": _AN_ORDER,
        "after": "1d",
        "at": "10:00",
        "expires_after": "12h",
        "emit": {"day": "day"},
    },
    "reorder-due": {
        "title": {"en": "Time to reorder", "zh": "该补货了"},
        "explanation": {
            "en": "A pack is used up in 5 days: time of the newest paid purchase of the SKU, plus its consumption days "
            "times the quantity, less 5 days, not before the purchase. A later purchase of the SKU counts anew.",
            "zh": "商品还有 5 天用完：该 SKU 最近一次支付购买的时间，加消耗周期乘以数量，减 5 天，且不早于购买时间。"
            "再次购买该 SKU 则重新计时。",
        },
        "since": {"last": "order.paid"},
        "key": "sku",
        "after": "cycle - 5d",
        "expires_after": "5d",
        "emit": {"sku": "sku", "quantity": "quantity", "cycle_days": "cycle_days", "order_id": "order.id"},
    },
    "dormancy-60": _dormancy(60),
    "dormancy-90": _dormancy(90),
    "dormancy-180": _dormancy(180),
    "second-order-7": _second_order(7),
    "second-order-30": _second_order(30),
    "birthday": {
        "title": {"en": "Birthday", "zh": "生日关怀"},
        "explanation": {
            "en": "10:00 local time on the birthday, every year from the one in which it became known; 29 February is "
            "the 28th in other years. Once for a person and year.",
            "zh": "生日当天当地时间 10:00，自得知生日的当年起每年一次；2 月 29 日在平年为 28 日。每人每年一次。",
        },
        "since": {"calendar": {"trait": "birthday"}},
        "at": "10:00",
        "expires_after": "12h",
        "emit": {"date": "date"},
    },
    "ticket-resolved": {
        "title": {"en": "Ticket resolved", "zh": "工单已解决"},
        "explanation": {
            "en": "A service ticket was resolved: ask at once whether all is well. Each resolution counts.",
            "zh": "服务工单已解决，立即回访。每次解决都算一次。",
        },
        "since": "ticket.resolved",
        "key": "ticket_id",
        "purpose": "service",
        "expires_after": "24h",
        "emit": {"ticket_id": "ticket.id", "subject": "ticket.subject", "order_id": "ticket.order_id"},
    },
    "low-score": {
        "title": {"en": "Low score", "zh": "低分评价"},
        "explanation": {
            "en": "A chat or ticket was rated 2 or less, or a survey answered with 60 % of its scale or less.",
            "zh": "会话或工单评分不高于 2 分，或问卷得分不高于满分的 60%。",
        },
        "since": "score.low",
        "key": "event",
        "purpose": "service",
        "expires_after": "24h",
        "emit": {"type": "score.type", "score": "score.value", "scale": "score.scale", "object": "score.object"},
    },
}
