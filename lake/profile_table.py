"""The profiles table: one row per person, its columns those of the derived profile.

The English meanings are the descriptions of the public model in `schemas.profile`; types and Chinese meanings are
here.
"""

import pyarrow as pa

from lake.tables import MONEY, ONE_ID, TIME, Column, Table
from profiles.derived import COLUMNS
from schemas.profile import Profile

_CURRENCY_SUMS = pa.struct(
    [("currency", pa.string()), ("orders", pa.int64()), ("revenue_minor", MONEY), ("refunded_minor", MONEY)]
)
_CART_LINE = pa.struct([("sku", pa.string()), ("quantity", pa.int64()), ("unit_price_minor", MONEY)])
_CART = pa.struct(
    [
        ("cart_id", pa.string()),
        ("items", pa.int64()),
        ("value_minor", MONEY),
        ("changed_at", TIME),
        ("lines", pa.list_(_CART_LINE)),
    ]
)
_DAYS = pa.map_(pa.string(), pa.float64())
_TEXTS = pa.list_(pa.string())

_TYPES: dict[str, tuple[pa.DataType, str]] = {
    "first_seen": (TIME, "首个事件时间"),
    "last_seen": (TIME, "最近事件时间"),
    "events": (pa.int64(), "事件数"),
    "orders": (pa.int64(), "已支付订单数"),
    "items": (pa.int64(), "购买件数"),
    "currency": (pa.string(), "最常用币种"),
    "revenue_minor": (MONEY, "净收入（最小货币单位）"),
    "refunded_minor": (MONEY, "退款（最小货币单位）"),
    "aov_minor": (MONEY, "客单价（最小货币单位）"),
    "first_order_at": (TIME, "首单时间"),
    "last_order_at": (TIME, "末单时间"),
    "cart_items": (pa.int64(), "购物车件数"),
    "cart_value_minor": (MONEY, "购物车金额（最小货币单位）"),
    "open_tickets": (pa.int64(), "未解决工单数"),
    "nps": (pa.string(), "NPS 分组"),
    "rfm_r": (pa.int8(), "最近消费得分"),
    "rfm_f": (pa.int8(), "消费频次得分"),
    "rfm_m": (pa.int8(), "消费金额得分"),
    "rfm_segment": (pa.string(), "RFM 客群"),
    "lifecycle": (pa.string(), "生命周期阶段"),
    "tier": (pa.string(), "会员等级"),
    "clv_minor": (MONEY, "客户终身价值（最小货币单位）"),
    "completeness": (pa.float64(), "画像完整度"),
    "tags": (_TEXTS, "标签"),
    "favourite_categories": (_TEXTS, "偏好品类"),
    "last_viewed": (_TEXTS, "最近浏览商品"),
    "consent": (pa.map_(pa.string(), pa.bool_()), "各用途与渠道的授权"),
    "other_currencies": (pa.list_(_CURRENCY_SUMS), "其他币种的订单与金额"),
    "foreign_refunds": (pa.int64(), "币种与订单不符而未计的退款数"),
    "carts": (pa.list_(_CART), "各购物车现状"),
    "favourite_channels": (_TEXTS, "偏好渠道"),
    "sku_cycle_days": (_DAYS, "各商品复购周期（天）"),
    "category_cycle_days": (_DAYS, "各品类复购周期（天）"),
    "usual_weekday": (pa.int8(), "常下单星期"),
    "usual_hour": (pa.int8(), "常下单时段"),
    "promo_share": (pa.float64(), "促销订单占比"),
    "lifecycle_since": (TIME, "当前阶段开始时间"),
    "lifecycle_until": (TIME, "若无新行为，阶段变化时间"),
    "tier_spend_minor": (MONEY, "计入等级的净消费"),
    "tier_next": (pa.string(), "下一等级"),
    "tier_gap_minor": (MONEY, "距下一等级金额"),
    "tier_until": (TIME, "若无新行为，等级变化时间"),
    "points": (pa.int64(), "积分余额"),
    "badges": (_TEXTS, "徽章"),
    "streak_days": (pa.int64(), "连续签到天数"),
    "nps_score": (pa.float64(), "最近一次 NPS 评分"),
    "tickets": (pa.int64(), "工单数"),
    "complaints": (pa.int64(), "投诉数"),
    "first_response_ms": (pa.int64(), "首次响应时长（毫秒）"),
    "resolution_ms": (pa.int64(), "解决时长（毫秒）"),
    "chat_response_ms": (pa.int64(), "聊天响应时长（毫秒）"),
    "satisfaction": (pa.float64(), "服务满意度"),
    "messages_sent": (pa.int64(), "已发消息数"),
    "messages_opened": (pa.int64(), "已打开消息数"),
    "messages_clicked": (pa.int64(), "已点击消息数"),
    "timezone": (pa.string(), "时区"),
    "next_change_at": (TIME, "若无新行为，画像下次变化时间"),
    "tag_reasons": (pa.string(), "每个标签的依据（JSON）"),
}

_REASONS = "Each tag with its rule, version and the facts behind it, as JSON."


def _meaning(name: str) -> str:
    field = Profile.model_fields.get(name)
    return _REASONS if field is None or field.description is None else field.description


PROFILES = Table(
    "profiles",
    "One row per person",
    "每人一行",
    (ONE_ID, *(Column(name, _TYPES[name][0], _meaning(name), _TYPES[name][1]) for name in COLUMNS)),
)
