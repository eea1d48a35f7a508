"""A training hears the request to end, and ends when it can."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from ssul.training.shutdown import stop_on_signal

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(autouse=True)
def in_the_foreground() -> Iterator[None]:
    """Signals act as they do for a command typed at a terminal; a test run in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


@BOTH
def test_a_signal_is_a_wish_that_interrupts_nothing(number: signal.Signals) -> None:
    with stop_on_signal() as request:
        assert request.signal is None
        os.kill(os.getpid(), number)
        assert request.signal is number


@BOTH
def test_who_asks_twice_is_not_kept_waiting(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with stop_on_signal() as request:
        os.kill(os.getpid(), number)
        now += 0.5
        os.kill(os.getpid(), signal.SIGTERM)  # the same request, passed on by whoever was asked too
        now += 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert request.signal is number


@BOTH
def test_afterwards_signals_do_what_they_did_before(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signal():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before


@BOTH
def test_what_was_to_be_ignored_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)  # as a shell does for what runs in its background
    try:
        with stop_on_signal() as request:
            os.kill(os.getpid(), number)
            assert request.signal is None
    finally:
        signal.signal(number, before)
