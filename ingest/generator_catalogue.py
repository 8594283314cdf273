"""What the generated shop sells and the words its customers use: names in Chinese and English, prices, cycles."""

from typing import NamedTuple


class Product(NamedTuple):
    """One article. `price_minor` is in fen; `days` is how long a pack lasts, None for what is not used up."""

    sku: str
    zh: str
    en: str
    category: str
    brand: str
    price_minor: int
    days: int | None


_ROWS = """
咖啡茶饮
CF-1001|云南日晒咖啡豆 454g|Yunnan natural coffee beans 454g|山岚咖啡|128|30
CF-1002|挂耳咖啡 20 包|Drip coffee bags x20|山岚咖啡|69.9|20
CF-1003|冷萃咖啡液 12 杯|Cold brew concentrate x12|山岚咖啡|59|14
TE-1004|明前龙井 100g|Pre-Qingming Longjing tea 100g|青渚茶|268|45
TE-1005|凤凰单丛 125g|Phoenix oolong 125g|青渚茶|158|60
CF-1006|手冲壶套装|Pour-over kettle set|山岚咖啡|399|
母婴
BB-2001|婴儿纸尿裤 L 码 76 片|Baby nappies size L x76|小满|149|25
BB-2002|幼儿配方奶粉 3 段 800g|Toddler formula stage 3 800g|小满|298|20
BB-2003|婴儿湿巾 80 抽 × 6|Baby wipes 80 x6|小满|49.9|30
BB-2004|安全座椅|Child car seat|小满|1680|
BB-2005|宝宝连体衣|Baby bodysuit|小满|79|
美妆个护
BE-3001|玻尿酸面膜 28 片|Hyaluronic face masks x28|白露|139|28
BE-3002|氨基酸洁面乳|Amino acid cleanser|白露|89|60
BE-3003|防晒霜 SPF50+|Sunscreen SPF50+|白露|119|90
BE-3004|抗皱精华液 30ml|Anti-wrinkle serum 30ml|白露|459|60
BE-3005|月抛隐形眼镜 6 片|Monthly contact lenses x6|明眸|168|90
BE-3006|电动牙刷头 4 支|Toothbrush heads x4|白露|79|120
营养保健
HE-4001|鱼油软胶囊 60 粒|Fish oil softgels x60|衡养|129|30
HE-4002|复合维生素 90 片|Multivitamin x90|衡养|99|90
HE-4003|乳清蛋白粉 2kg|Whey protein 2kg|衡养|368|40
HE-4004|益生菌 30 条|Probiotics x30|衡养|158|30
宠物
PE-5001|膨润土猫砂 10kg|Clumping cat litter 10kg|爪爪|45|30
PE-5002|无谷成猫粮 5kg|Grain-free cat food 5kg|爪爪|189|45
PE-5003|狗狗洁齿棒 28 支|Dental chews x28|爪爪|69|28
PE-5004|自动喂食器|Automatic feeder|爪爪|329|
家居
HO-6001|纯棉四件套|Cotton bedding set|素履|399|
HO-6002|乳胶枕|Latex pillow|素履|239|
HO-6003|香薰蜡烛|Scented candle|素履|88|
HO-6004|不粘炒锅 30cm|Non-stick wok 30cm|素履|219|
HO-6005|抽纸 24 包|Tissues x24|素履|39.9|40
HO-6006|洗衣凝珠 60 颗|Laundry pods x60|素履|59.9|45
数码家电
DI-7001|降噪蓝牙耳机|Noise-cancelling earbuds|听潮|799|
DI-7002|扫地机器人|Robot vacuum|听潮|2599|
DI-7003|空气净化器滤芯|Air purifier filter|听潮|199|180
DI-7004|智能手环|Fitness band|听潮|249|
DI-7005|65W 氮化镓充电器|65W GaN charger|听潮|129|
DI-7006|投影仪|Projector|听潮|3999|
服饰鞋包
CL-8001|羊绒围巾|Cashmere scarf|野步|459|
CL-8002|速干 T 恤|Quick-dry T-shirt|野步|99|
CL-8003|轻便跑鞋|Light running shoes|野步|469|
CL-8004|羽绒服|Down jacket|野步|1299|
CL-8005|双肩包|Backpack|野步|299|
CL-8006|棉袜 5 双|Cotton socks x5|野步|39|
食品生鲜
FO-9001|每日坚果 30 包|Daily nuts x30|田垄|109|30
FO-9002|五常大米 5kg|Wuchang rice 5kg|田垄|79|30
FO-9003|车厘子 2kg|Cherries 2kg|田垄|199|
FO-9004|鲜牛奶 月卡|Fresh milk monthly card|田垄|168|30
FO-9005|手工月饼礼盒|Mooncake gift box|田垄|258|
FO-9006|螺蛳粉 10 包|River-snail noodles x10|田垄|89|
"""


def _products() -> tuple[Product, ...]:
    found: list[Product] = []
    category = ""
    for row in _ROWS.strip().splitlines():
        if "|" not in row:
            category = row
            continue
        sku, zh, en, brand, yuan, days = row.split("|")
        whole, _, cents = yuan.partition(".")
        price = int(whole) * 100 + int((cents + "00")[:2])
        found.append(Product(sku, zh, en, category, brand, price, int(days) if days else None))
    return tuple(found)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PRODUCTS = _products()
CATEGORIES = tuple(dict.fromkeys(product.category for product in PRODUCTS))
CONSUMABLES = tuple(product for product in PRODUCTS if product.days is not None and product.days <= 60)
# What people of a small, a usual and a large purse choose from.
CHEAP = tuple(product for product in PRODUCTS if product.price_minor <= 10_000)
USUAL = tuple(product for product in PRODUCTS if 4_000 <= product.price_minor <= 50_000)
DEAR = tuple(product for product in PRODUCTS if product.price_minor >= 15_000)

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许邓冯韩曹"
GIVEN = _words(
    "子涵 雨桐 浩然 欣怡 梓萱 宇轩 思远 佳宁 静怡 俊杰 晓燕 建国 志强 丽华 秀英 海涛 明哲 若曦 诗涵 一诺 "
    "伟 芳 娜 敏 磊 洋 艳 勇 军 杰 娟 涛 超 霞 平 刚 桂英 文博 语嫣 安琪"
)
CITIES = _words("上海 北京 深圳 广州 杭州 成都 南京 武汉 西安 重庆 苏州 长沙 青岛 厦门 昆明 哈尔滨")
SEARCHES = _words(
    "咖啡豆 猫砂 纸尿裤 防晒霜 面膜 跑鞋 羽绒服 耳机 扫地机器人 坚果 大米 奶粉 鱼油 送妈妈的礼物 双十一 优惠券 "
    "月饼 空气净化器 coffee sunscreen 年货 开学 618"
)

TICKET_SUBJECTS = (
    ("物流一直没更新", "delivery"),
    ("收到的商品有破损", "quality"),
    ("想退货，尺码不合适", "return"),
    ("发票抬头开错了", "invoice"),
    ("优惠券用不了", "promotion"),
    ("少发了一件", "delivery"),
    ("积分没有到账", "points"),
    ("Wrong size delivered", "return"),
)
CHAT_CUSTOMER = (
    "在吗？",
    "这个多少天能到？",
    "有没有优惠？",
    "我的订单怎么还没发货",
    "可以改地址吗",
    "谢谢！",
    "敏感肌可以用吗？😊",
    "Do you ship to Hong Kong?",
)
CHAT_AGENT = (
    "亲，您好，请问有什么可以帮您？",
    "预计 2-3 天送达哦",
    "已经为您备注",
    "这边帮您核实一下",
    "感谢您的耐心等待",
    "还有其他问题吗？",
)
SURVEY_GOOD = ("很满意，会推荐给朋友", "物流快，包装好", "Great coffee!", "一直回购")
SURVEY_BAD = ("客服回复太慢", "和描述不符", "价格比别家贵", "包装破了")
CANCEL_REASONS = ("超时未支付", "不想要了", "地址填错", "重复下单")
REFUND_CHANNELS = ("七天无理由", "质量问题", "价格保护")
