"""Loader processes: how they start, and the message when one of them dies."""

from __future__ import annotations

import multiprocessing
import re
import signal
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from torch.utils.data import dataloader

from hmr_light.config.signals import STOP_SIGNALS, StopRequest, signal_when_parent_dies
from hmr_light.data.dataset import worker_init
from hmr_light.data.distributed import is_peer_failure
from hmr_light.errors import Interrupted, UserError

GRACE_SECONDS = 20
"""How long a loader process works on after it was asked to end; a step should be done by then."""
_SHARED_MEMORY = re.compile(r"shared memory|Bus error|</torch_\w+>")


def loader_processes(workers: int) -> dict[str, Any]:
    """The arguments of a `DataLoader` with `workers` processes."""
    if not workers:
        return {"num_workers": 0}
    known = multiprocessing.get_all_start_methods()
    method = multiprocessing.get_start_method(allow_none=True)
    # One of joblib's processes, as a sweep has them, would start others in joblib's own way, and a loader cannot do so.
    context = method if method is None or method in known else known[0]
    return {"num_workers": workers, "worker_init_fn": start_loader, "multiprocessing_context": context}


def start_loader(worker: int) -> None:
    """For `DataLoader(worker_init_fn=...)`: a loader process ignores requests to stop, since the training process
    finishes its step first; it ends when the training process is killed.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(GRACE_SECONDS))
    signal_when_parent_dies(signal.SIGKILL)
    sys.excepthook = _but_for_lost_connections
    worker_init(worker)


def _but_for_lost_connections(
    kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
) -> None:
    """`sys.excepthook` of a loader process: the thread that hands over batches sees first that training was killed."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


@contextmanager
def explain_worker_failures(stop: StopRequest | None = None) -> Iterator[None]:
    """Turn what torch raises when a loader process dies, or another rank after a request to stop, into one message.

    The training state in memory may be half a step ahead then; the last checkpoint is sound.
    """
    try:
        yield
    except BaseException as error:
        explained = _explain(error, stop is not None and stop.requested)
        # A loader ends its processes when nothing refers to it; otherwise Python would wait for them when it exits.
        traceback.clear_frames(error.__traceback__)
        if explained:
            raise explained from error
        raise


def is_loader_failure(error: BaseException | None) -> bool:
    """Whether torch raised it because a loader process died."""
    return isinstance(error, RuntimeError) and "DataLoader worker" in str(error) and "Caught " not in str(error)


def _explain(error: BaseException, stopping: bool) -> UserError | Interrupted | None:
    if isinstance(error, RuntimeError) and _SHARED_MEMORY.search(str(error)):
        return UserError(
            "there is too little shared memory for the loader processes",
            "Give the machine more (/dev/shm; docker run --shm-size=8g), or load without them: data.workers=0.",
        )
    workers = _workers(error) if is_loader_failure(error) or _broke_off(error) else []
    by_signal = _end(workers) if workers else None
    died = is_loader_failure(error) or bool(workers)
    if stopping and (died or (isinstance(error, RuntimeError) and is_peer_failure(error))):
        return Interrupted("The last checkpoint is sound.")
    if died:
        reason = re.search(r"killed by signal: ([\w ]+)", str(error))
        name = reason[1] if reason else by_signal
        return UserError(
            f"a loader process died{f' (signal {name})' if name else ''}",
            "The system kills processes for which it has no memory: give it more, or lower data.workers.",
        )
    return None


def _workers(error: BaseException) -> list[BaseProcess]:
    """The loader processes of the loader that raised `error`; none if something else did."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if _module(frame) == dataloader.__name__]
    return [worker for frame in frames[-1:] for worker in getattr(frame.f_locals.get("self"), "_workers", [])]


def _end(workers: list[BaseProcess]) -> str | None:
    """End the processes that are left; return the name of the signal that ended the first."""
    with suppress(RuntimeError):  # torch's own exception about a dead process, raised once
        ended = wait([worker.sentinel for worker in workers], timeout=1.0)
        for worker in workers:
            if worker.sentinel in ended:
                worker.join()
    numbers = [-worker.exitcode for worker in workers if worker.exitcode and worker.exitcode < 0]
    for worker in workers:
        with suppress(RuntimeError):
            worker.kill()
            worker.join()
    return signal.strsignal(numbers[0]) if numbers else None


def _broke_off(error: BaseException) -> bool:
    """Whether a transfer from a loader process broke off, just before torch can know that the process is dead."""
    handed_over = any(
        _module(frame).startswith("multiprocessing.") for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    return handed_over and isinstance(error, ConnectionError | EOFError | FileNotFoundError)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))
