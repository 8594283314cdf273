"""Progress of long work on standard error."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PHASES = {
    "invent": "inventing (events)",
    "read": "reading (bytes)",
    "messages": "reading (messages)",
    "run": "replaying (events)",
    "people": "profiles (people)",
    "tables": "writing (tables)",
    "publish": "publishing (bytes)",
    "merging": "merging (groups)",
    "graph": "reading (identifiers)",
    "state": "reading (people)",
    "facts": "facts (of the lake)",
    "profiles": "comparing (people)",
    "triggers": "triggers (events)",
    "checking": "checking (files)",
}


class ReplayProgress:
    """A bar for each phase of a replay; silent when `quiet`. On a pipe only the finished bars are printed."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._tasks: dict[str, TaskID] = {}

    def report(self, phase: str, done: int, total: int) -> None:
        """Show how far a phase is; `total` 0 means not known."""
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(PHASES[phase], total=total or None)
        self._bars.update(self._tasks[phase], completed=done, total=total or None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
