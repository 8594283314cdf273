"""`python -m tests.live.odd_worker FAULT worker ...`: the command `kith` with a fault built in.

- `small-store`: stores keep so little in memory that they write to the disk all the time.
- `breaks`: an event whose id begins with `breaks-identify`, `breaks-resolve` or `breaks-profile` breaks that stage, as
  an error in the code would.
"""

import sys
from collections.abc import Callable
from typing import Any

from cli.main import main
from profiles.fold import Folder
from stream.graph_view import GraphView
from stream.live_graph import LiveGraph
from stream.store import MAX_AGE_S, Store


def breaks(owner: type, method: str, stage: str) -> None:
    """Make a method raise when it is given, last, an event that is to break the stage."""
    genuine: Callable[..., Any] = getattr(owner, method)

    def broken(self: Any, *arguments: Any) -> Any:
        event = arguments[-1]
        if event.id.startswith(f"breaks-{stage}"):
            raise RuntimeError(f"{event.id} broke {stage}")
        return genuine(self, *arguments)

    setattr(owner, method, broken)


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    if fault == "small-store":
        Store.__init__.__defaults__ = (1, MAX_AGE_S)
    elif fault == "breaks":
        breaks(GraphView, "lookup", "identify")
        breaks(LiveGraph, "observe", "resolve")
        breaks(Folder, "fold", "profile")
    else:
        sys.exit(f"no fault {fault!r}")
    main()
