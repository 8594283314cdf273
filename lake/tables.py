"""Every table that Kith writes: its columns with their types and meanings, in one place.

The Parquet files, the DuckDB comments and the documentation come from here.
"""

from dataclasses import dataclass

import pyarrow as pa

TIME = pa.timestamp("ms", tz="UTC")
MONEY = pa.int64()


@dataclass(frozen=True)
class Column:
    """A column: its Arrow type and what it means, in English and Chinese."""

    name: str
    type: pa.DataType
    en: str
    zh: str

    @property
    def comment(self) -> str:
        """The meaning in both languages."""
        return f"{self.en} · {self.zh}"


@dataclass(frozen=True)
class Table:
    """A table: what one row is, and its columns in order."""

    name: str
    en: str
    zh: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def comment(self) -> str:
        """The meaning in both languages."""
        return f"{self.en} · {self.zh}"


ONE_ID = Column("one_id", pa.string(), "The person, as known at the end", "人的统一标识（以结束时为准）")

IDENTITIES = Table(
    "identities",
    "One row per identifier that events carried, with the person it belongs to",
    "事件中出现过的每个标识一行，及其所属的人",
    (
        ONE_ID,
        Column("kind", pa.string(), "Kind of identifier", "标识类型"),
        Column("value", pa.string(), "Normalised value", "规范化后的值"),
        Column("first_seen", TIME, "Time of the first event that carried it", "首次出现时间"),
        Column("last_seen", TIME, "Time of the last event that carried it", "最近出现时间"),
        Column("events", pa.int64(), "Number of events that carried it", "携带该标识的事件数"),
    ),
)

TRIGGERS = Table(
    "triggers",
    "One row per trigger whose time came, whatever became of it",
    "每个到期触发一行，无论结果如何",
    (
        Column("trigger_id", pa.string(), "UUIDv5 of rule, instance and anchor: the idempotency key", "触发的幂等键"),
        Column("rule", pa.string(), "Name of the rule", "规则名"),
        Column("rule_version", pa.int32(), "Version of the rule", "规则版本"),
        ONE_ID,
        Column("instance", pa.string(), "What it is about: a cart, SKU, ticket, day; null if the person", "触发对象"),
        Column("anchor_event_id", pa.string(), "Event that it counts from", "锚点事件"),
        Column("anchor_at", TIME, "Time of that event", "锚点时间"),
        Column("due_at", TIME, "When it was due", "应触发时间"),
        Column("fired_at", TIME, "When it fired or was held out, else null", "实际触发时间"),
        Column("outcome", pa.string(), "fired, held_out, suppressed or expired", "结果"),
        Column("reason", pa.string(), "Why it was suppressed: consent or cap", "抑制原因"),
        Column("payload", pa.string(), "What the message carries, as JSON", "消息内容（JSON）"),
    ),
)

EVENTS = Table(
    "events",
    "One row per accepted event",
    "每个被接受的事件一行",
    (
        Column("event_id", pa.string(), "Idempotency key of the event", "事件幂等键"),
        Column("type", pa.string(), "Type of the event", "事件类型"),
        Column("time", TIME, "When it happened", "发生时间"),
        ONE_ID,
        Column("part", pa.string(), "First identifier, kind:value, whose facts it counts among", "所属标识"),
    ),
)

IDENTITY_CHANGES = Table(
    "identity_changes",
    "One row per merge, split, refusal and hub, in the order of the evidence",
    "每次合并、拆分、拒绝与枢纽标识一行",
    (
        Column("at", TIME, "Time of the evidence", "证据时间"),
        Column("change", pa.string(), "merged, split, refused or hub", "变化类型"),
        Column("one_id", pa.string(), "The person that stays (merged, split), is asked for, or is the hub", "留存的人"),
        Column("other_one_id", pa.string(), "The person absorbed, split off or kept apart", "另一人"),
        Column("reason", pa.string(), "limit, unlinked or size for a refusal; the identifier of a hub", "原因"),
        Column("evidence_event_id", pa.string(), "Event that caused it", "证据事件"),
    ),
)

DEADLETTERS = Table(
    "deadletters",
    "One row per line that was not accepted",
    "每条未被接受的输入一行",
    (
        Column("source", pa.string(), "File it came from, - for standard input", "来源文件"),
        Column("line", pa.int64(), "Line or row number, from 1", "行号（从 1 起）"),
        Column("reason", pa.string(), "Why, as one of the reasons of the contract", "原因"),
        Column("detail", pa.string(), "Which field is wrong and why", "详情"),
        Column("raw", pa.binary(), "The bytes as they came, without the line end", "原始字节"),
    ),
)

EVIDENCE = Table(
    "evidence",
    "What people were made of: each identifier's first sighting, each pair shown together, each steward's command",
    "身份合并的全部证据：首次出现、同现关系与人工指令",
    (
        Column("kind", pa.string(), "seen, edge, link or unlink", "证据类型"),
        Column("a", pa.string(), "The identifier, kind:value; of a pair the lower one", "标识（成对时为较小者）"),
        Column("b", pa.string(), "The higher identifier of the pair; null for seen", "较大的标识"),
        Column("time", TIME, "When it was first seen or shown; of a command its time", "最早证据时间"),
        Column("event_id", pa.string(), "Event that showed it", "证据事件"),
    ),
)

LATE_EVENTS = Table(
    "late_events",
    "One row per person and event that the live pipeline worked off after a later event of who that person then was, "
    "or after the clock: the triggers of nobody else can differ from a replay's",
    "每人每个事件一行：晚于其当时所属之人的更晚事件（或时钟）才被处理；其他人的触发与重放一致",
    (
        Column("event_id", pa.string(), "Idempotency key of the event", "事件幂等键"),
        Column(
            "one_id",
            pa.string(),
            "Whom it concerns: a person who has parts now that were one person's with the event's part then",
            "相关的人：其现有部分当时与该事件同属一人",
        ),
        Column("part", pa.string(), "First identifier, whose facts it counts among; null: a command", "所属标识"),
        Column("time", TIME, "When it happened", "发生时间"),
        Column("late_by_ms", pa.int64(), "How much later what came before it was, in ms", "迟到毫秒数"),
    ),
)

_ORDER_ID = Column("order_id", pa.string(), "The order", "订单号")
_ITEM = pa.struct([("sku", pa.string()), ("quantity", pa.int64()), ("unit_price_minor", MONEY)])

ORDERS = Table(
    "orders",
    "One row per counted order: paid, and its amount known",
    "每个计入的订单（已支付且金额已知）一行",
    (
        ONE_ID,
        _ORDER_ID,
        Column("paid_at", TIME, "When it was first paid", "首次支付时间"),
        Column("placed_at", TIME, "When it was placed; null if unknown", "下单时间"),
        Column("delivered_at", TIME, "When it was delivered; null if not yet", "送达时间"),
        Column("currency", pa.string(), "Its currency", "币种"),
        Column("amount_minor", MONEY, "What was paid, in minor units", "支付金额（最小货币单位）"),
        Column("refunded_minor", MONEY, "What was given back, at most the amount", "退款金额（最小货币单位）"),
        Column("discount_minor", MONEY, "Discount; null if unknown", "折扣（最小货币单位）"),
        Column("shipping_minor", MONEY, "Shipping; null if unknown", "运费（最小货币单位）"),
        Column("cancelled", pa.bool_(), "Whether it was cancelled", "是否取消"),
        Column("coupon", pa.string(), "Coupon used", "优惠券"),
        Column("channel", pa.string(), "Channel it came by", "渠道"),
        Column("store", pa.string(), "Store", "门店"),
        Column("cart_id", pa.string(), "Cart it came from", "购物车"),
        Column("part", pa.string(), "Identifier whose part holds the first payment", "所属标识"),
        Column("event_id", pa.string(), "Event of the first payment", "首次支付事件"),
    ),
)

ORDER_ITEMS = Table(
    "order_items",
    "One row per line of a counted order",
    "订单的每个商品行一行",
    (
        ONE_ID,
        _ORDER_ID,
        Column("line", pa.int32(), "Number of the line, from 1", "行号（从 1 起）"),
        Column("sku", pa.string(), "The product", "商品"),
        Column("name", pa.string(), "Its name", "商品名"),
        Column("category", pa.string(), "Its category", "品类"),
        Column("quantity", pa.int64(), "Units", "件数"),
        Column("unit_price_minor", MONEY, "Price of a unit, in minor units", "单价（最小货币单位）"),
        Column("consumption_days", pa.int64(), "Days that a unit lasts", "可用天数"),
        Column("paid_at", TIME, "When the order was first paid", "首次支付时间"),
    ),
)

CARTS = Table(
    "carts",
    "One row per cart that is not empty",
    "每个非空购物车一行",
    (
        ONE_ID,
        Column("cart_id", pa.string(), "The cart; null: the one without an id", "购物车；空表示无编号的购物车"),
        Column("items", pa.int64(), "Units in it", "件数"),
        Column("value_minor", MONEY, "Its value in minor units of the setting's currency", "金额（最小货币单位）"),
        Column("changed_at", TIME, "When it last changed", "最近变化时间"),
        Column("lines", pa.list_(_ITEM), "What is in it", "商品行"),
    ),
)

TICKETS = Table(
    "tickets",
    "One row per ticket",
    "每个工单一行",
    (
        ONE_ID,
        Column("ticket_id", pa.string(), "The ticket", "工单号"),
        Column("open", pa.bool_(), "Whether it is open", "是否未解决"),
        Column("opened_at", TIME, "When it was first opened; null if that is not known", "首次开启时间"),
        Column("replied_at", TIME, "When it was first answered; null if not yet", "首次回复时间"),
        Column("resolved_at", TIME, "When it was last resolved; null if open", "解决时间"),
        Column("first_response_ms", pa.int64(), "From the first opening to the first reply", "首次响应时长（毫秒）"),
        Column("resolution_ms", pa.int64(), "From the first opening to the resolution", "解决时长（毫秒）"),
        Column("rating", pa.int8(), "Latest rating, 1 to 5", "最近评分"),
        Column("complaint", pa.bool_(), "Whether it is a complaint by its category", "是否投诉"),
        Column("category", pa.string(), "Its category", "类别"),
        Column("priority", pa.string(), "Its priority", "优先级"),
        Column("subject", pa.string(), "Its subject", "主题"),
        Column("sku", pa.string(), "Product it is about", "商品"),
        Column("order_id", pa.string(), "Order it is about", "订单号"),
    ),
)

TAGS = Table(
    "tags",
    "One row per tag of a person",
    "每人每个标签一行",
    (
        ONE_ID,
        Column("tag", pa.string(), "The tag", "标签"),
        Column("rule", pa.string(), "Rule that gives it", "规则"),
        Column("rule_version", pa.int32(), "Version of the rule", "规则版本"),
        Column("since", TIME, "Since when; null if that is not known", "起始时间"),
        Column("facts", pa.string(), "The facts behind it, as JSON", "依据（JSON）"),
    ),
)

CONSENTS = Table(
    "consents",
    "One row per purpose, and channel if one was named, of each person who said a word on it",
    "每人每用途（及渠道）的授权一行",
    (
        ONE_ID,
        Column("purpose", pa.string(), "What for", "用途"),
        Column("channel", pa.string(), "By which channel; null: the purpose as a whole", "渠道；空表示整个用途"),
        Column("granted", pa.bool_(), "Whether it may be: by the latest word that covers it", "是否授权"),
        Column("at", TIME, "When that word was said", "表态时间"),
        Column("event_id", pa.string(), "Event of that word", "表态事件"),
    ),
)

PEOPLE_TABLES = (ORDERS, ORDER_ITEMS, CARTS, TICKETS, TAGS, CONSENTS)
"""What people have, a row each; beside their profiles."""

TABLES = (IDENTITIES, TRIGGERS, EVENTS, IDENTITY_CHANGES, DEADLETTERS, EVIDENCE, *PEOPLE_TABLES)
"""All tables of a replay but that of profiles, whose columns are in `lake.profile_table`."""
