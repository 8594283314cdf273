"""The sentences of an explanation, in English and Chinese."""

from typing import NamedTuple


class Words(NamedTuple):
    """The sentences of one language; braces name what is filled in."""

    person: str
    named: str
    nobody: str
    alone: str
    evidence: str
    joined: str
    inside: str
    aside: str
    limit: str
    unlinked: str
    size: str
    unlink: str
    hub: str
    strength: dict[str, str]
    outcome: dict[str, str]


WORDS: dict[str, Words] = {
    "en": Words(
        person="Person {one_id} has {count} identifier(s).",
        named="It is named after its oldest identifier, {ident}, first seen {time} in event {event}.",
        nobody="No event has shown {ident}.",
        alone="No evidence joins it with anything.",
        evidence="{time} {strength} {lo} – {hi} (event {event}): ",
        joined="joined a group of {one} and a group of {other}",
        inside="already in one group",
        aside="set aside, as {hub} is a hub",
        limit="refused by the limit: the person would have {reached} of {kind}, {allowed} allowed",
        unlinked="refused, as a steward unlinked {lo} and {hi}",
        size="refused by the size: the person would have {reached} identifiers, {allowed} allowed",
        unlink="{time} a steward unlinked {lo} – {hi} (event {event})",
        hub="{ident} is a hub: events join it to {values} of {kind}, more than {borne}; its events join nobody",
        strength={"link": "steward's link", "strong": "strong evidence", "weak": "weak evidence"},
        outcome={
            "joined": "joined",
            "inside": "already joined",
            "limit": "refused: limit",
            "unlinked": "refused: unlinked",
            "size": "refused: size",
            "hub": "set aside: hub",
        },
    ),
    "zh": Words(
        person="此人 {one_id} 有 {count} 个标识。",
        named="以最早的标识 {ident} 命名，首次出现于 {time}，事件 {event}。",
        nobody="没有事件出现过 {ident}。",
        alone="没有证据把它与其他标识相连。",
        evidence="{time} {strength} {lo} – {hi}（事件 {event}）：",
        joined="合并了 {one} 个标识的一组与 {other} 个标识的一组",
        inside="已在同一组",
        aside="搁置，因为 {hub} 是公用标识",
        limit="因上限被拒：此人的 {kind} 将有 {reached} 个，允许 {allowed} 个",
        unlinked="被拒，因为管理员已将 {lo} 与 {hi} 解除关联",
        size="因规模被拒：此人将有 {reached} 个标识，允许 {allowed} 个",
        unlink="{time} 管理员解除了 {lo} – {hi} 的关联（事件 {event}）",
        hub="{ident} 是公用标识：事件把它与 {values} 个 {kind} 相连，超过 {borne} 个；它的事件不合并任何人",
        strength={"link": "管理员关联", "strong": "强证据", "weak": "弱证据"},
        outcome={
            "joined": "合并",
            "inside": "已在同组",
            "limit": "被拒：上限",
            "unlinked": "被拒：已解除关联",
            "size": "被拒：规模",
            "hub": "搁置：公用标识",
        },
    ),
}
