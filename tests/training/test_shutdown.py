"""A training is asked to stop by a signal, and stops when it can."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from ssul.training.shutdown import stop_on_signal

pytestmark = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(autouse=True)
def in_the_foreground() -> Iterator[None]:
    """Signals act as for a command in the foreground; a test run in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


def test_a_signal_is_a_request_only_inside_the_block(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signal() as request:
        assert request.signal is None
        os.kill(os.getpid(), number)
        assert request.signal is number
    assert signal.getsignal(number) is before


def test_a_second_request_stops_at_once(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with stop_on_signal() as request:
        os.kill(os.getpid(), number)
        now += 0.5
        os.kill(os.getpid(), signal.SIGTERM)  # the same request, passed on by another process
        now += 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert request.signal is number


def test_an_ignored_signal_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)  # as a shell does for background jobs
    with stop_on_signal() as request:
        os.kill(os.getpid(), number)
        assert request.signal is None
