"""The tracker of a run: an entry is in the journal when the call returns; another process sends it to MLflow."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from hmr_light.config.hints import command_line
from hmr_light.config.strict import flatten
from hmr_light.errors import UserError
from hmr_light.paths import home, without_secret
from hmr_light.tracking.journal import FILE_NAME, Journal, numbers, read_journal
from hmr_light.tracking.state import unsent
from hmr_light.tracking.store import default_uri, normal_uri, redacted

FINISH_SECONDS = 60.0
"""How long the end of a run waits for MLflow to have everything."""
STOP_SECONDS = 5.0
"""The same for a run that is asked to stop: it must end soon, and the journal keeps what is left."""


class Tracker:
    """The tracking of one run; as a context manager it says how the run ended.

    No call waits for MLflow or fails because of it. Every call raises `UserError` if the journal cannot be written.
    """

    def __init__(
        self, run_dir: Path, journal: Journal, uri: str | None, *, ends_run: bool, upload_checkpoints: bool = False
    ) -> None:
        self.run_dir = run_dir
        self._journal = journal
        self._uri = uri
        self._ends_run = ends_run
        self._upload_checkpoints = upload_checkpoints
        self._upload = _start_uploader(run_dir, uri) if uri else None
        self._last_metrics: dict[str, Any] = {}
        self._finished = False

    def params(self, values: Mapping[str, Any]) -> None:
        """What the run was made with; nested mappings become dotted names."""
        self._journal.append("params", values={key: str(value) for key, value in flatten(values).items()})

    def tags(self, values: Mapping[str, str]) -> None:
        """Short texts to find the run by."""
        self._journal.append("tags", values={key: str(value) for key, value in values.items()})

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Figures at `step`, which is the number of epochs done."""
        self._last_metrics = self._journal.append("metrics", step=step, values=numbers(values))

    def dataset(self, name: str, *, context: str, path: Path, people: int, fingerprint: str) -> None:
        """A set of annotations that the run is trained on (`context` training) or evaluated on (evaluation)."""
        entry = {"name": name, "context": context, "path": str(path), "people": people, "fingerprint": fingerprint}
        self._journal.append("dataset", **entry)

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file to keep with the run, in `folder` of its artifacts. Raises `FileNotFoundError` if there is none."""
        self._journal.append("artifact", path=self._relative(path), folder=folder)

    def checkpoint(self, path: Path, *, epoch: int, saved: str, metrics: Mapping[str, float]) -> str:
        """A kept checkpoint, which is one row of the table, and its figures; returns the file's SHA-256.

        `saved` is when it was written, YYMMDD-HHMMSS. A file with the same content is the same checkpoint: a later
        call adds figures to it.
        """
        with Path(path).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        values = numbers(metrics)
        last = self._last_metrics
        # A point that was just written keeps its time: MLflow then stores it once for the run, and links it.
        same = last.get("step") == epoch and values.items() <= last["values"].items()
        at = {"measured": last["time"]} if same else {}
        name = self._relative(path)
        self._journal.append("checkpoint", path=name, sha256=sha256, step=epoch, saved=saved, values=values, **at)
        if self._upload_checkpoints:
            self.artifact(path, "checkpoints")
        return sha256

    def finish(self, status: str = "FINISHED", error: str = "") -> int:
        """Log how the run ended (FINISHED, FAILED, KILLED), and wait a bounded time for MLflow.

        Returns how many entries MLflow lacks; they stay in the journal, and a message says how to send them.
        """
        if self._finished:
            return 0
        self._finished = True
        seconds = STOP_SECONDS if status == "KILLED" else FINISH_SECONDS
        if self._ends_run:
            self._journal.append("status", status=status, error=redacted(error, self._uri) if self._uri else error)
        self._journal.close()
        if self._uri is None or (self._upload and _finish_uploader(self._upload, seconds)):
            return 0
        left = unsent(self.run_dir, self._uri)
        if left:
            print(
                f"tracking: MLflow lacks {left} entries of this run's journal. Send them with:\n"
                f"  {sync_command(self.run_dir, self._uri)}",
                file=sys.stderr,
            )
        return left

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
            return
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        try:
            self.finish("KILLED" if killed else "FAILED", f"{type(error).__name__}: {error}")
        except UserError as second:
            # The first error is the one to report; that the disk is full as well is a note to it.
            error.add_note(str(second))

    def _relative(self, path: Path) -> str:
        absolute = Path(path).resolve(strict=True)
        folder = self.run_dir.resolve()
        return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)


def start_tracking(
    run_dir: Path, *, experiment: str, uri: str | None, run_name: str, upload_checkpoints: bool = False
) -> Tracker:
    """Start the tracking of a run, or go on with it if `run_dir` has a journal (the same MLflow run).

    `uri` is the MLflow tracking URI; None keeps the journal alone. An MLflow that cannot be reached is no error.
    `upload_checkpoints` keeps each checkpoint's file among the run's artifacts too.
    Raises `UserError` for a URI that is none, or a folder that cannot be written.
    """
    address = normal_uri(uri) if uri else None
    journal = Journal(run_dir)
    last_metrics: dict[str, Any] = {}
    begun = False
    for entry, _ in read_journal(run_dir):
        begun |= entry["kind"] == "run"
        last_metrics = entry if entry["kind"] == "metrics" else last_metrics
    if begun:
        journal.append("resume")
    else:
        journal.append("run", key=uuid.uuid4().hex, experiment=experiment, name=run_name)
    tracker = Tracker(run_dir, journal, address, ends_run=True, upload_checkpoints=upload_checkpoints)
    tracker._last_metrics = (
        last_metrics  # the run may have been killed before it logged the checkpoint with these figures
    )
    return tracker


def continue_tracking(run_dir: Path, *, uri: str | None) -> Tracker:
    """Add to a run that exists, figures of an evaluation for example, and leave its status as it is.

    Raises `UserError` if `run_dir` has no journal.
    """
    if not (run_dir / FILE_NAME).is_file():
        raise UserError(f"{run_dir} has no {FILE_NAME}", "Name the folder of a run.")
    address = normal_uri(uri) if uri else None
    return Tracker(run_dir, Journal(run_dir), address, ends_run=False)


def find_run_dir(run: str, uri: str | None) -> Path:
    """The folder of a run that is named by its folder or by its MLflow id. Raises `UserError` if there is none."""
    folder = Path(run).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if uri and "/" not in run:
        from hmr_light.tracking.search import run_dir_of

        return run_dir_of(run, uri)
    raise UserError(f"there is no run {run}", "Name a run's folder, or its MLflow run id.")


def sync_command(run_dir: Path, uri: str) -> str:
    """The command that sends what is left of a journal."""
    where = {} if uri == default_uri(home()) else {"tracking.uri": without_secret(uri)}
    return command_line("sync", {"run_dir": run_dir} | where)


class _Uploader(NamedTuple):
    process: subprocess.Popen[str]
    messages: threading.Thread
    """Prints the messages of the process."""


def _start_uploader(run_dir: Path, uri: str) -> _Uploader | None:
    """Start the process that sends the journal to MLflow; None if the machine has no room for one.

    A process, not a thread: importing and running MLflow would hold Python's lock against the training loop, and the
    loader processes would be forked while MLflow's threads run. It also outlives a killed run and notes its end.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "hmr_light.tracking.uploader", str(run_dir)],
            # The URI may hold a password, which has no place on a command line.
            env={**os.environ, "HMR_LIGHT_UPLOADER_URI": uri, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Ctrl-C is for the training, which tells this process when the journal has its last entry.
            start_new_session=True,
        )
    except OSError as error:
        print(f"tracking: MLflow is not told of this run yet: {error}", file=sys.stderr)
        return None
    messages = threading.Thread(target=_show, args=(process,), daemon=True)
    messages.start()
    return _Uploader(process, messages)


def _show(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(f"tracking: {line.rstrip()}", file=sys.stderr)


def _finish_uploader(uploader: _Uploader, seconds: float) -> bool:
    """Whether MLflow has everything; waits at most `seconds`."""
    process = uploader.process
    assert process.stdin is not None
    # It may have ended already.
    with contextlib.suppress(OSError):
        process.stdin.write("finish\n")
        process.stdin.close()
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        process.kill()  # what it has sent is noted, what it has not is in the journal
        process.wait()
        uploader.messages.join(1.0)
