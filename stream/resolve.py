"""The resolve stage: the one writer of the identity graph."""

from collections.abc import Callable

from identity.changes import Change
from identity.graph import Graph
from schemas.event import Event
from stream.messages import PartChange, Routed


class Resolve:
    """Adds evidence to the graph and tells the profile stage which parts to create or move.

    `announce` receives every change of people (merged, split, refused, hub) as it happens.
    """

    def __init__(self, graph: Graph, announce: Callable[[Change], None]) -> None:
        self._graph = graph
        self._announce = announce
        self._step = 0

    def request(self, event: Event) -> tuple[PartChange | None, Routed | None]:
        """Return the change of parts the event causes, if any, and then the event on its way to its owner.

        The change must be delivered before the event. A steward's link or unlink is no sighting: it is routed to
        nobody.
        """
        resolution = self._graph.observe(event)
        for change in resolution.changes:
            self._announce(change)
        change_of_parts = None
        if resolution.moves:
            self._step += 1
            change_of_parts = PartChange(self._step, event.time_ms, resolution.moves)
        routed = None if resolution.one_id is None or not event.idents else Routed(resolution.one_id, event)
        return change_of_parts, routed
