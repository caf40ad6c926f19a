"""What asks to stop is noted once, however often it is passed on; who asks again is obeyed at once."""

from __future__ import annotations

import itertools
import os
import signal
import time

import pytest

from hmr_light.config.signals import STOP_SIGNALS, TOGETHER_SECONDS, stop_request


@pytest.mark.parametrize(("first", "second"), list(itertools.product(STOP_SIGNALS, STOP_SIGNALS)))
def test_a_second_interrupt_counts_if_it_does_not_come_along_with_the_first(first: int, second: int) -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with stop_request() as stop:
        assert not stop.requested
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), second)
        assert stop.requested
        time.sleep(TOGETHER_SECONDS + 0.1)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
