"""Stopping a training in good order at SIGINT or SIGTERM."""

import signal as signals
import time
from collections.abc import Iterator
from contextlib import contextmanager
from signal import Signals
from types import FrameType

DEBOUNCE_SECONDS = 1.0
"""SLURM and torchrun may both deliver the signal; repeats within this time count once."""


class StopRequest:
    """Whether a training was asked to stop.

    Attributes:
        signal: the signal that asked; None before.
    """

    signal: Signals | None = None
    _since = 0.0

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        """Asks the training to stop after the iteration; a second request stops it at once."""
        del frame
        if self.signal is None:
            self.signal, self._since = Signals(number), time.monotonic()
        elif time.monotonic() - self._since > DEBOUNCE_SECONDS:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Takes SIGINT and SIGTERM as requests while the block runs; call it from the main thread.

    A signal that this process was started to ignore, as a shell does for background jobs, stays ignored.
    """
    request = StopRequest()
    before = {one: signals.getsignal(one) for one in (Signals.SIGINT, Signals.SIGTERM)}
    handled = [one for one, handler in before.items() if handler is not signals.SIG_IGN]
    for one in handled:
        signals.signal(one, request.ask)
    try:
        yield request
    finally:
        for one in handled:
            signals.signal(one, before[one])
