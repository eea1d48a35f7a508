"""Stopping a training in good order at SIGINT or SIGTERM."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

DEBOUNCE_SECONDS = 1.0  # seconds: SLURM tells every process, and torchrun those that it has started once more


class StopRequest:
    """What a training was asked.

    Attributes:
        by: the signal that asked it to end; None as long as none did.
    """

    by: signal.Signals | None = None
    _since = 0.0

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        """Asks it to end after the iteration; asked again it ends at once."""
        del frame
        if self.by is None:
            self.by, self._since = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._since > DEBOUNCE_SECONDS:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Takes SIGINT and SIGTERM as wishes while the block runs; call it from the main thread.

    Whoever started this process so that it ignores one of them, as a shell does for what runs in its background, is
    obeyed.
    """
    asked = StopRequest()
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    heard = [one for one, handler in before.items() if handler is not signal.SIG_IGN]
    for one in heard:
        signal.signal(one, asked.ask)
    try:
        yield asked
    finally:
        for one in heard:
            signal.signal(one, before[one])
