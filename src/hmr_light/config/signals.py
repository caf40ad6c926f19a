"""A request to stop (Ctrl-C, SIGTERM, Slurm's SIGUSR1) becomes a flag that the loop reads between two steps.

Outside the loop the same signals raise `KeyboardInterrupt`; the command line sees to that.
"""

from __future__ import annotations

import ctypes
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
TOGETHER_SECONDS = 0.5
"""Signals within this time are one request."""
_PR_SET_PDEATHSIG = 1


class StopRequest:
    """Whether someone has asked this process to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Catch the signals for the length of the block; a second Ctrl-C interrupts at once.

    One that comes along with another signal is no second one: terminals, make, torchrun and sweeps all pass on the same
    Ctrl-C.
    """
    stop = StopRequest()
    first = math.inf
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if number == signal.SIGINT and time.monotonic() > first + TOGETHER_SECONDS:
            raise KeyboardInterrupt
        first = min(first, time.monotonic())
        stop.requested = True

    previous = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def signal_when_parent_dies(number: int) -> None:
    """Have the system send this process the signal `number` when the one that started it is no more (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
