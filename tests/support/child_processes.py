"""Real training processes that begin in a moment: one interpreter has imported everything, and forks each of them.

A child is `hmr-light ARGUMENTS…` in a process of its own. It can be killed from outside at any time, or by a signal of
its own at one named call, and it leaves word of the phase that it was in.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import itertools
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 600.0
"""What counts as hanging, on a machine that may have much else to do."""
PHASES = ("start", "step", "data", "forward", "checkpoint", "validation", "tracking", "end")
PHASE_OF = {
    "hmr_light.training.run:train": "step",
    "torch.utils.data.dataloader:_BaseDataLoaderIter.__next__": "data",
    "hmr_light.training.loop:forward": "forward",
    "hmr_light.checkpoints.format:save_last": "checkpoint",
    "hmr_light.checkpoints.format:save_model": "checkpoint",
    "hmr_light.training.report:score": "validation",
    "hmr_light.tracking.tracker:Tracker.metrics": "tracking",
    "hmr_light.tracking.tracker:Tracker.checkpoint": "tracking",
    "hmr_light.training.run:describe_run": "tracking",
    "hmr_light.commands.train:overlay_sheet": "end",
    "hmr_light.tracking.tracker:Tracker.finish": "end",
}


@dataclass
class Child:
    """One process; `log` is what it prints."""

    child_processes: ChildProcesses
    pid: int
    log: Path
    phase_file: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Its exit status; -9 if a signal 9 ended it."""
        return self.child_processes.wait(self.pid, seconds)

    def has_ended(self) -> bool:
        return self.child_processes.has_ended(self.pid)

    def wait_until_stopped(self) -> None:
        """Return when SIGSTOP has reached it."""
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert not self.has_ended(), self.said
            time.sleep(0.01)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def phase(self) -> str:
        """Where it was last."""
        return PHASES[self.phase_file.read_bytes()[0]]


class ChildProcesses:
    """The interpreter that forks; `around` is a command that is to run it."""

    def __init__(self, folder: Path, *around: str) -> None:
        self.folder = folder
        self._count = 0
        self._ended: dict[int, int] = {}
        self._unread = b""
        self._process = subprocess.Popen(
            [*around, sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HMR_LIGHT_HOME": str(folder)},
        )
        assert self._read(PATIENCE_SECONDS) == {"ready": True}

    def start(
        self, *arguments: str, at: tuple[str, int] | None = None, by: int = signal.SIGKILL, **environment: str
    ) -> Child:
        """Start `hmr-light ARGUMENTS…`.

        With `at` it gets the signal `by` when it is about to call `module:name` for the n-th time, however quick it is.
        """
        self._count += 1
        log, phase = self.folder / f"{self._count:03d}.log", self.folder / f"{self._count:03d}.phase"
        log.touch()
        phase.write_bytes(b"\0")
        request = {"arguments": arguments, "env": environment, "log": str(log), "phase": str(phase), "at": at, "by": by}
        return Child(self, self._fork(request), log, phase)

    def run(self, *arguments: str, cwd: Path, env: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run `hmr-light ARGUMENTS…` to its end, in the folder `cwd` and with the environment `env` alone."""
        self._count += 1
        log, errors = self.folder / f"{self._count:03d}.out", self.folder / f"{self._count:03d}.err"
        request = {"arguments": arguments, "env": env, "log": str(log), "errors": str(errors), "cwd": str(cwd)}
        pid = self._fork(request)
        try:
            status = self.wait(pid, timeout)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(list(arguments), status, log.read_text(), errors.read_text())

    def _fork(self, request: dict[str, Any]) -> int:
        """The id of the new process."""
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(request) + "\n").encode())
        self._process.stdin.flush()
        while "started" not in (answer := self._read(PATIENCE_SECONDS)):
            self._ended[answer["pid"]] = answer["status"]
        return int(answer["started"])

    def wait(self, pid: int, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        while pid not in self._ended:
            answer = self._read(deadline - time.monotonic())
            self._ended[answer["pid"]] = answer["status"]
        return self._ended.pop(pid)

    def has_ended(self, pid: int) -> bool:
        with contextlib.suppress(TimeoutError):
            while pid not in self._ended:
                answer = self._read(0)
                self._ended[answer["pid"]] = answer["status"]
        return pid in self._ended

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self, seconds: float) -> dict[str, Any]:
        """The next line; read by hand, for `select` does not see what a buffered stream holds back."""
        assert self._process.stdout is not None
        handle, deadline = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._unread:
            ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("the process is still running")
            if not (part := os.read(handle, 4096)):
                raise RuntimeError("the child_processes has died")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)


@contextlib.contextmanager
def open_child_processes(folder: Path, *around: str) -> Iterator[ChildProcesses]:
    one = ChildProcesses(folder, *around)
    try:
        yield one
    finally:
        one.close()


def _serve() -> dict[str, Any]:
    """Fork a child a request; returns the request in the child."""
    print(json.dumps({"ready": True}), flush=True)
    while True:
        # One byte at a time is enough, and leaves nothing in a buffer that `select` cannot see.
        ready, _, _ = select.select([0], [], [], 0.01)
        if ready:
            line = b""
            while not line.endswith(b"\n"):
                if not (byte := os.read(0, 1)):
                    os._exit(0)
                line += byte
            pid = os.fork()
            if pid == 0:
                return json.loads(line)
            print(json.dumps({"started": pid}), flush=True)
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                print(json.dumps({"pid": pid, "status": os.waitstatus_to_exitcode(status)}), flush=True)


def _around(place: str, enter: Callable[[], None], leave: Callable[[], None]) -> None:
    """Call `enter` before and `leave` after every call of the function `module:name`, which does what it did."""
    module, _, path = place.partition(":")
    owner = functools.reduce(getattr, path.split(".")[:-1], importlib.import_module(module))
    name = path.rpartition(".")[2]
    original = getattr(owner, name)

    @functools.wraps(original)
    def watched(*arguments: Any, **options: Any) -> Any:
        enter()
        try:
            return original(*arguments, **options)
        finally:
            leave()

    setattr(owner, name, watched)


def _observe(phase_file: str, at: tuple[str, int] | None, by: int) -> None:
    """Keep the phase in a file that outlives the process, and get the signal `by` at the call that `at` names."""
    with open(phase_file, "r+b") as file:  # noqa: PTH123
        shown = mmap.mmap(file.fileno(), 1)
    me, stack = os.getpid(), [0]

    def enter(phase: int) -> None:
        stack.append(phase)
        if os.getpid() == me:
            shown[0] = phase

    def leave() -> None:
        stack.pop()
        if os.getpid() == me:
            shown[0] = stack[-1]

    for place, phase in PHASE_OF.items():
        _around(place, functools.partial(enter, PHASES.index(phase)), leave)
    if at:
        calls = itertools.count(1)

        def ring() -> None:
            if os.getpid() == me and next(calls) == at[1]:
                os.kill(me, by)

        _around(at[0], ring, lambda: None)


def _main() -> None:
    # As the command line does it before it imports them.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    import torch

    torch.set_num_threads(1)
    import mlflow.tracking  # noqa: F401
    import torch._dynamo
    import torchvision  # noqa: F401

    from hmr_light.cli import COMMANDS, main

    for command in COMMANDS:
        importlib.import_module(f"hmr_light.commands.{command}")
    importlib.import_module("hmr_light.search.reports")
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.few_rounds import take_few_rounds
    from support.patience import be_patient

    take_few_rounds()
    be_patient()
    gc.freeze()  # what is never looked at again stays shared

    request = _serve()
    os.setsid()
    if cwd := request.get("cwd"):
        os.environ.clear()
        os.chdir(cwd)
    os.environ.update(request["env"])
    for stream, name in ((1, request["log"]), (2, request.get("errors", request["log"]))):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if phase := request.get("phase"):
        _observe(phase, request["at"], request["by"])
    try:
        main(request["arguments"])
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    # An interpreter's end, but for freeing every object that it has.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status or 0))


if __name__ == "__main__":
    _main()
