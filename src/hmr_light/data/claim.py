"""One process at a time writes a data set, or a folder of predictions: the others fail at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from hmr_light.errors import UserError


@contextlib.contextmanager
def claim(out: Path, option: str = "source.out") -> Iterator[None]:
    """Hold the file or folder `out`, the value of `option`, against other processes; leaves nothing behind.

    Raises `UserError` if another process holds it. Where no lock can be had (a folder that cannot be written, a disk
    without locks), there is none: the writing itself says what is wrong with the folder.
    """
    path = out.absolute().with_name(f".{out.name}.lock")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _lock(path, stack):
                raise UserError(
                    f"another process is writing {out}", f"Wait until it has ended, or write elsewhere: {option}="
                )
        yield


def _lock(path: Path, stack: contextlib.ExitStack) -> bool:
    """Lock the file `path`, which is removed at the end of `stack`; false if another process has it."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        stack.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # The process that held it may have removed the file between the two calls; then a new one counts.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                stack.callback(path.unlink, missing_ok=True)
                return True
