"""Loader processes: how they start, and what is said when one of them dies."""

from __future__ import annotations

import ctypes
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from hmr_light.data.dataset import worker_init
from hmr_light.errors import Interrupted, UserError
from hmr_light.training.distributed import is_of_a_peer
from hmr_light.training.signals import STOP_SIGNALS, StopRequest

_PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 20
"""How long a loader process works on after it was asked to end; a step should be done by then."""
_SHARED_MEMORY = re.compile(r"shared memory|Bus error|</torch_\w+>")


def start_loader(worker: int) -> None:
    """For `DataLoader(worker_init_fn=...)`: what asks to stop is for the training process, whose loaders live on until
    it has finished its step; if it is killed, they end with it.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(GRACE_SECONDS))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    worker_init(worker)


@contextmanager
def told_plainly(stop: StopRequest | None = None) -> Iterator[None]:
    """Say as one message what torch raises when a loader process dies, or, after a request to stop, a peer.

    The training state may be half a step ahead then; what is saved is sound.
    """
    try:
        yield
    except BaseException as error:
        text = _broken_off(error) or (str(error) if isinstance(error, RuntimeError) else "")
        # A loader ends its processes when nobody holds it any more; else Python would wait for them when it exits.
        traceback.clear_frames(error.__traceback__)
        if text and (told := _in_plain_words(error, text, stop is not None and stop.requested)):
            raise told from error
        raise


def _broken_off(error: BaseException) -> str:
    """What torch says of a loader that died as it handed over a batch, which breaks off before torch learns of it."""
    modules = {str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)}
    taken_over = "torch.utils.data.dataloader" in modules and any(
        name.startswith("multiprocessing.") for name in modules
    )
    if not taken_over or not isinstance(error, ConnectionError | EOFError | FileNotFoundError):
        return ""
    try:
        time.sleep(1.0)  # torch raises it as soon as the system tells of the death
    except RuntimeError as death:
        return str(death)
    return "DataLoader worker"


def _in_plain_words(error: BaseException, text: str, stopping: bool) -> UserError | Interrupted | None:
    if _SHARED_MEMORY.search(text):
        return UserError(
            "there is too little shared memory for the loader processes",
            "Give the machine more (/dev/shm; docker run --shm-size=8g), or load without them: data.workers=0.",
        )
    died = "DataLoader worker" in text and "Caught " not in text
    if stopping and (died or (isinstance(error, RuntimeError) and is_of_a_peer(error))):
        return Interrupted("The last checkpoint is sound.")
    if died:
        reason = re.search(r"killed by signal: ([\w ]+)", text)
        return UserError(
            f"a loader process died{f' (signal {reason[1]})' if reason else ''}",
            "The system kills processes for which it has no memory: give it more, or lower data.workers.",
        )
    return None
