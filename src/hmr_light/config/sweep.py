"""A sweep whose runs may have processes of their own (joblib's): a stop reaches all of them, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hmr_light.config.signals import STOP_SIGNALS, signal_when_parent_dies
from hmr_light.errors import Interrupted, UserError


class Sweep:
    """The runs of one `hmr-light COMMAND -m`; `folder` is what their processes share while it lasts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid = os.getpid()

    @property
    def is_stopping(self) -> bool:
        """Whether no further run is to begin."""
        return (self._folder / "stop").exists()

    def processes(self) -> list[int]:
        """Those that have a run at hand, other than the one that began the sweep and this one."""
        return [int(path.name) for path in self._folder.glob("[0-9]*") if int(path.name) != os.getpid()]

    def stop(self) -> None:
        """Ask every process to stop."""
        (self._folder / "stop").touch()
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)

    def run(self, task: Callable[[], Any]) -> Any:
        """`task()`. In a process of its own a request to stop is not raised: joblib would kill the others for it."""
        if os.getpid() == self._pid:
            return task()
        mine = self._folder / str(os.getpid())
        try:
            _handle(signal.default_int_handler)
            signal_when_parent_dies(signal.SIGTERM)
            mine.touch()
            return None if self.is_stopping else task()
        except KeyboardInterrupt as stopped:
            _handle(signal.SIG_IGN)
            if text := str(stopped):
                print(f"hmr-light: stopped. {text.splitlines()[0]}", file=sys.stderr)
            if not self.is_stopping:
                self.stop()
        finally:
            # Until its next run there is nothing to save.
            _handle(signal.SIG_IGN)
            signal_when_parent_dies(signal.SIGKILL)
            mine.unlink(missing_ok=True)
            if os.getppid() != self._pid:  # to hand over a result, it would wait for ever
                os._exit(1)


def _handle(handler: Any) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, handler)


@contextmanager
def sweep() -> Iterator[Sweep]:
    """For the length of a sweep: catch what asks to stop, and hand it on to the processes; a second Ctrl-C ends them.

    Raises `Interrupted` when they have stopped, and `UserError` if one of them was killed.
    """
    with tempfile.TemporaryDirectory(prefix="hmr-light-sweep-") as folder:
        one = Sweep(Path(folder))

        def on_signal(number: int, frame: FrameType | None) -> None:
            if not one.processes() or (one.is_stopping and number == signal.SIGINT):
                raise KeyboardInterrupt
            one.stop()

        is_main = threading.current_thread() is threading.main_thread()
        previous = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS} if is_main else {}
        try:
            yield one
        except Exception as error:
            if type(error).__name__ != "TerminatedWorkerError":  # joblib's, which is an extra
                raise
            raise UserError(
                "a process of the sweep was killed, and joblib has ended the others",
                "The system kills processes for which it has no memory: give it more, or lower hydra.launcher.n_jobs.\n"
                "  Then go on with the same command and resume=auto",
            ) from error
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        if one.is_stopping:
            raise Interrupted("What its runs had done is saved.\n  Go on with the same command and resume=auto")
