"""The settings the reference knows, with the defaults of the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# kind, strength, limit per person, hub
POLICY: list[tuple[str, str, int, int | None]] = [
    ("member_id", "strong", 1, None),
    ("phone", "strong", 5, 5),
    ("email", "strong", 5, 5),
    ("wechat_unionid", "strong", 1, 5),
    ("wechat_openid", "strong", 20, 5),
    ("taobao_id", "strong", 20, 5),
    ("jd_id", "strong", 20, 5),
    ("card_no", "strong", 20, 5),
    ("external_id", "strong", 20, 5),
    ("device_id", "weak", 20, 5),
    ("anonymous_id", "weak", 100, 5),
]

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration(text: str) -> int:
    digits = "".join(c for c in text if c.isdigit())
    return int(digits) * UNITS[text.strip()[len(digits) :].strip()]


@dataclass
class Settings:
    currency: str = "CNY"
    timezone: str = "Asia/Shanghai"
    default_region: str = "CN"
    space: str = "default"
    max_line: int = 1 << 20
    kinds: list[tuple[str, str, int, int | None]] = field(default_factory=lambda: list(POLICY))
    max_size: int = 1000
    quiet: tuple[str, str] | None = ("22:00", "08:00")
    caps: dict[str, tuple[int, int]] = field(default_factory=lambda: {"marketing": (2, 86_400_000)})
    hold: str = "sticky"  # or "recheck": README, T1
    order: str = "rule"  # or "due": README, T2

    def __post_init__(self) -> None:
        self.place = {k[0]: i for i, k in enumerate(self.kinds)}
        self.strong = {k[0]: k[1] == "strong" for k in self.kinds}
        self.limit = {k[0]: k[2] for k in self.kinds}
        self.hub = {k[0]: k[3] for k in self.kinds}


def from_dict(raw: dict[str, Any] | None) -> Settings:
    """`identity.kinds` is a whole policy (list of dicts, in order) or a map of kind to the fields that change."""
    raw = raw or {}
    known: dict[str, Any] = {
        k: raw[k] for k in ("currency", "timezone", "default_region", "space", "max_line") if k in raw
    }
    identity = raw.get("identity", {})
    if "max_size" in identity:
        known["max_size"] = identity["max_size"]
    kinds = identity.get("kinds")
    if isinstance(kinds, list):
        known["kinds"] = [(k["kind"], k.get("strength", "strong"), k["limit"], k.get("hub")) for k in kinds]
    elif isinstance(kinds, dict):
        table = {k[0]: list(k) for k in POLICY}
        for kind, change in kinds.items():
            row = table.setdefault(kind, [kind, "weak", 20, 5])
            for at, name in ((1, "strength"), (2, "limit"), (3, "hub")):
                row[at] = change.get(name, row[at])
        known["kinds"] = [tuple(row) for row in table.values()]
    triggers = raw.get("triggers", {})
    if "quiet_hours" in triggers:
        quiet = triggers["quiet_hours"]
        known["quiet"] = None if quiet in ("off", None, False) else (quiet["from"], quiet["to"])
    if "cap" in triggers:
        caps = {} if triggers["cap"] in ("off", None, False) else triggers["cap"]
        known["caps"] = {
            purpose: (int(text.split(" per ")[0]), duration(text.split(" per ")[1])) for purpose, text in caps.items()
        }
    known.update(raw.get("readings", {}))
    return Settings(**known)
