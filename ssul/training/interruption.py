"""Ending a training in good order when somebody asks for it: Ctrl-C, or a machine that is taken away."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """What a training was asked.

    Attributes:
        by: the signal that asked it to end; None as long as none did.
    """

    by: signal.Signals | None = None

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        """Asks it to end after the iteration; asked twice it ends at once."""
        del frame
        if self.by is not None:
            raise KeyboardInterrupt
        self.by = signal.Signals(number)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Takes SIGINT and SIGTERM as wishes while the block runs; call it from the main thread.

    Whoever started this process so that it ignores one of them, as a shell does for what runs in its background, is
    obeyed.
    """
    asked = Interruption()
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    heard = [one for one, handler in before.items() if handler is not signal.SIG_IGN]
    for one in heard:
        signal.signal(one, asked.ask)
    try:
        yield asked
    finally:
        for one in heard:
            signal.signal(one, before[one])
