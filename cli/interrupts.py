"""Stopping a command that has started other processes."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While it is entered, the first of Ctrl-C, SIGTERM and a closed terminal raises KeyboardInterrupt.

    Those that follow only set `again`, so that what is being stopped is stopped whole, or at once by who looks there.
    """

    def __init__(self) -> None:
        self.asked = False
        self.again = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._former[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self.again = True
        else:
            self.asked = True
            raise KeyboardInterrupt
