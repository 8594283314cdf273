"""The identify stage: find the person of an event in a copy of the identity graph, or ask the resolver."""

from identity.graph import Graph
from schemas.event import Event
from stream.messages import Request, Routed


class Identify:
    """Routes events by a copy of the graph, which may be stale: a wrong address comes back to the resolver."""

    def __init__(self, graph: Graph) -> None:
        self._lookup = graph.lookup

    def route(self, event: Event) -> Routed | Request:
        """Return where the event goes: to its person when nothing in it is news, else to the resolver."""
        one_id = self._lookup(event)
        return Request(event) if one_id is None else Routed(one_id, event)
