"""`python -m tests.live.odd_worker FAULT worker ...`: the command `kith` with a fault built in.

- `small-store`: stores keep so little in memory that they write to the disk all the time.
- `breaks`: an event whose id begins with `breaks-identify`, `breaks-resolve` or `breaks-profile` breaks that stage, as
  an error in the code would.
- `dies:POINT:N`: kills itself when the lake stage comes to that point for the Nth time.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from cli.main import main
from profiles.fold import Folder
from stream.graph_view import GraphView
from stream.live_graph import LiveGraph
from stream.stage_lake import LakeStage
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


def dies(at: str, number: int) -> None:
    """Make the lake stage end its process by SIGKILL."""
    count = itertools.count(1)

    def fault(point: str) -> None:
        if point == at and next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    genuine: Callable[..., None] = LakeStage.__init__

    def init(self: LakeStage, *arguments: Any, **options: Any) -> None:
        genuine(self, *arguments, **options, fault=fault)

    LakeStage.__init__ = init  # type: ignore[method-assign]


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    if fault == "small-store":
        Store.__init__.__defaults__ = (1, MAX_AGE_S)
    elif fault == "breaks":
        breaks(GraphView, "lookup", "identify")
        breaks(LiveGraph, "observe", "resolve")
        breaks(Folder, "fold", "profile")
    elif fault.startswith("dies:"):
        _, point, number = fault.split(":")
        dies(point, int(number))
    else:
        sys.exit(f"no fault {fault!r}")
    main()
