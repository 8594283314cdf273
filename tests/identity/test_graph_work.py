"""The work an event costs does not grow with what is connected through refused edges, hubs or links."""

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

from identity.graph import Graph
from identity.policy import Policy
from schemas.event import Event, Link
from schemas.settings import Settings

POLICY = Policy.from_settings(Settings())


class Feed:
    """Feeds a graph events with rising times and counts the calls that an event costs."""

    def __init__(self) -> None:
        self.graph = Graph(POLICY)
        self.number = 0
        self.calls = 0

    def event(self, *idents: str, late: int = 0) -> Event:
        self.number += 1
        return Event(f"e{self.number:08}", "app.opened", 1_000_000 + self.number - late, idents, None)

    def link(self, a: str, b: str) -> Event:
        self.number += 1
        return Event(f"e{self.number:08}", "customer.linked", 1_000_000 + self.number, (), Link(a, b))

    def give(self, events: Iterable[Event]) -> None:
        for event in events:
            self.graph.observe(event)

    def cost(self, *events: Event) -> float:
        """Return the calls, of Python and C functions and of generators, that an event costs on average."""
        self.calls = 0
        sys.setprofile(self._count)
        try:
            for event in events:
                self.graph.observe(event)
        finally:
            sys.setprofile(None)
        return self.calls / len(events)

    def _count(self, frame: FrameType, what: str, arg: Any) -> None:
        if what in ("call", "c_call"):
            self.calls += 1


def test_a_chain_of_members_that_share_devices_is_never_gone_through() -> None:
    feed = Feed()

    def meet(i: int) -> list[Event]:
        return [
            feed.event(f"member_id:{i}", f"device_id:{i}"),
            feed.event(f"member_id:{i + 1}", f"device_id:{i}"),
            feed.event(f"member_id:{i}", f"phone:{i}"),
            feed.event(f"member_id:{i}", f"phone:{i}", late=2),
        ]

    feed.give(event for i in range(50) for event in meet(i))
    early = feed.cost(*(event for i in range(50, 100) for event in meet(i)))
    feed.give(event for i in range(100, 20_000) for event in meet(i))
    worked = feed.graph.recomputed
    late = feed.cost(*(event for i in range(20_000, 20_050) for event in meet(i)))
    assert late <= early * 1.2
    middle = feed.cost(feed.event("member_id:10000", "email:a@b.cn"), feed.event("phone:10000", "email:c@d.cn", late=9))
    assert middle <= early * 3
    assert feed.graph.recomputed - worked <= 50 * 10


def test_a_kiosk_of_fifty_thousand_people_costs_no_more_for_the_last_of_them() -> None:
    feed = Feed()
    feed.give(feed.event(f"member_id:{i}", "device_id:kiosk") for i in range(20))
    assert feed.graph.is_hub("device_id:kiosk")
    early = feed.cost(*(feed.event(f"member_id:{i}", "device_id:kiosk") for i in range(20, 120)))
    feed.give(feed.event(f"member_id:{i}", "device_id:kiosk") for i in range(120, 50_000))
    late = feed.cost(*(feed.event(f"member_id:{i}", "device_id:kiosk") for i in range(50_000, 50_100)))
    assert late <= early * 1.2
    assert feed.graph.recomputed <= 20
    assert feed.cost(feed.event("member_id:7", "device_id:own"), feed.event("member_id:7", "phone:7")) <= early * 4


def test_a_member_with_thousands_of_refused_phones_costs_no_more_for_the_next_event() -> None:
    feed = Feed()
    member = "member_id:reseller"

    def busy(i: int) -> list[Event]:
        return [
            feed.event(member, f"phone:{i}"),
            feed.event(member, f"anonymous_id:{i % 100}", f"device_id:{i % 30}"),
            feed.event(f"phone:{i}", f"device_id:other{i}"),
        ]

    feed.give(event for i in range(200) for event in busy(i))
    early = feed.cost(*(event for i in range(200, 250) for event in busy(i)))
    feed.give(event for i in range(250, 5_000) for event in busy(i))
    late = feed.cost(*(event for i in range(5_000, 5_050) for event in busy(i)))
    assert late <= early * 1.2
    news = feed.cost(
        feed.event(member, "email:a@b.cn"),
        feed.event(member, "card_no:1", late=9_000),
        feed.event(member, "email:a@b.cn", late=9_000),
    )
    assert news <= early * 4


def test_links_of_a_thousand_identifiers_cost_the_same_from_first_to_last() -> None:
    feed = Feed()
    feed.give(feed.link("member_id:0", f"phone:{i}") for i in range(50))
    early = feed.cost(*(feed.link("member_id:0", f"phone:{i}") for i in range(50, 100)))
    feed.give(feed.link("member_id:0", f"phone:{i}") for i in range(100, 900))
    late = feed.cost(*(feed.link("member_id:0", f"phone:{i}") for i in range(900, 950)))
    assert late <= early * 1.2
    assert feed.graph.recomputed == 0
    feed.give(feed.event("member_id:0", f"phone:{i}") for i in range(0, 900, 9))
    early = feed.cost(*(feed.event(f"phone:{i}", f"device_id:{i}") for i in range(5)))
    late = feed.cost(*(feed.event(f"phone:{i}", f"device_id:{i}") for i in range(5, 20)))
    assert late <= early * 1.5
    assert len(feed.graph.members(feed.graph.one_id("member_id:0") or "")) == 100 + 20 + 18
