"""The sentences of a customer's story, in English and Chinese."""

from typing import Final

from lake.report_words import Both

# Event type: the kind of line it makes, and what happened. Neighbours of one kind are told together.
EVENTS: Final[dict[str, tuple[str, str, str]]] = {
    "page.viewed": ("browse", "page viewed", "浏览页面"),
    "product.viewed": ("browse", "product viewed", "浏览商品"),
    "category.viewed": ("browse", "category viewed", "浏览类目"),
    "search.performed": ("browse", "search", "搜索"),
    "app.opened": ("browse", "app opened", "打开应用"),
    "cart.added": ("cart", "put in the cart", "加入购物车"),
    "cart.removed": ("cart", "taken out of the cart", "移出购物车"),
    "cart.cleared": ("cart", "cart cleared", "清空购物车"),
    "checkout.started": ("cart", "checkout started", "开始结算"),
    "order.placed": ("order", "order placed", "下单"),
    "order.paid": ("order", "order paid", "支付订单"),
    "order.cancelled": ("order", "order cancelled", "取消订单"),
    "order.refunded": ("order", "order refunded", "退款"),
    "order.delivered": ("order", "order delivered", "签收"),
    "chat.started": ("chat", "chat started", "开始会话"),
    "chat.message": ("chat", "message", "消息"),
    "chat.ended": ("chat", "chat ended", "结束会话"),
    "chat.rated": ("chat", "chat rated", "评价会话"),
    "ticket.opened": ("ticket", "ticket opened", "提交工单"),
    "ticket.assigned": ("ticket", "ticket assigned", "分派工单"),
    "ticket.replied": ("ticket", "ticket replied to", "回复工单"),
    "ticket.resolved": ("ticket", "ticket resolved", "解决工单"),
    "ticket.reopened": ("ticket", "ticket reopened", "重开工单"),
    "ticket.rated": ("ticket", "ticket rated", "评价工单"),
    "customer.identified": ("customer", "identified", "表明身份"),
    "customer.consented": ("consent", "a word on consent", "表态授权"),
    "survey.answered": ("survey", "survey answered", "回答问卷"),
    "points.changed": ("points", "points changed", "积分变动"),
    "customer.checked_in": ("checkin", "checked in", "签到"),
    "message.sent": ("message", "message sent", "发送消息"),
    "message.opened": ("message", "message opened", "打开消息"),
    "message.clicked": ("message", "message clicked", "点击消息"),
}
WHY: Final[dict[str, Both]] = {
    "fired": {
        "en": "fired: its time had come, and consent, caps and hours allowed it",
        "zh": "触发：时间已到，授权、频控与时段均允许",
    },
    "held_out": {"en": "held out: in the control group, so nothing was sent", "zh": "对照组：不发送"},
    "suppressed consent": {
        "en": "suppressed: there was no consent for its purpose at that time",
        "zh": "抑制：当时没有该用途的授权",
    },
    "suppressed cap": {
        "en": "suppressed: enough messages had been sent by then",
        "zh": "抑制：当时已达到频次上限",
    },
    "expired": {"en": "expired: it became known too late to be of use", "zh": "过期：得知时已错过时效"},
}
SENTENCES: Final[dict[str, Both]] = {
    "as": {"en": "as {idents}", "zh": "标识 {idents}"},
    "merged": {"en": "Two became one · {other} joined {one}", "zh": "合并为一人 · {other} 并入 {one}"},
    "split": {"en": "One became two · {other} left {one}", "zh": "拆分为两人 · {other} 从 {one} 分出"},
    "refused": {"en": "Kept apart · {one} and {other}: {why}", "zh": "未合并 · {one} 与 {other}：{why}"},
    "hub": {
        "en": "Shared identifier · {why} stands for many people and joins nobody",
        "zh": "枢纽标识 · {why} 属于许多人，不再用于合并",
    },
    "edge": {"en": "{type} {event} showed {a} together with {b}", "zh": "{type} {event} 中 {a} 与 {b} 同时出现"},
    "link": {"en": "a steward linked {a} and {b} ({event})", "zh": "人工关联 {a} 与 {b}（{event}）"},
    "unlink": {"en": "a steward unlinked {a} and {b} ({event})", "zh": "人工取消关联 {a} 与 {b}（{event}）"},
    "event": {"en": "evidence: {type} {event} of {part}", "zh": "证据：{part} 的 {type} {event}"},
    "anchor": {"en": "counted from {type} {event}", "zh": "起算：{type} {event}"},
    "tag": {"en": "Tag {name} · by {rule} v{version}", "zh": "标签 {name} · 规则 {rule} v{version}"},
    "profile": {
        "en": "In the end · {lifecycle}, {segment}, {orders} orders, {revenue} net; tags follow with their reasons",
        "zh": "最终 · {lifecycle}、{segment}、{orders} 单、净收入 {revenue}；以下是标签及原因",
    },
    "identifiers": {"en": "Known as · {idents}", "zh": "全部标识 · {idents}"},
}
