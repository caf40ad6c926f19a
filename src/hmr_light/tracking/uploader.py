"""The process beside a run that keeps MLflow up to date: `python -m hmr_light.tracking.uploader RUN_DIR`.

It reads the journal: a slow or absent server costs the run nothing. A line on standard input says that the journal is
complete; the end of standard input without a line says that the run was killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path

from hmr_light.errors import UserError
from hmr_light.paths import without_secret
from hmr_light.tracking.journal import FILE_NAME, Journal, is_written_to, read_journal
from hmr_light.tracking.mlflow_writer import MlflowWriter
from hmr_light.tracking.state import sender_lock
from hmr_light.tracking.store import safe_text

INTERVAL_SECONDS = 2.0
LONGEST_INTERVAL_SECONDS = 60.0
LEFT_UNSENT = 3


def main() -> int:
    """Send until told to finish; returns 0 if MLflow has everything, or another process sends it."""
    os.nice(10)
    run_dir, uri = Path(sys.argv[1]), os.environ.pop("HMR_LIGHT_UPLOADER_URI")
    while True:
        with sender_lock(run_dir) as mine:
            if mine:
                return _upload(run_dir, uri)
        if _wait(INTERVAL_SECONDS):
            return 0


def _upload(run_dir: Path, uri: str) -> int:
    writer: MlflowWriter | None = None
    interval, was_down = INTERVAL_SECONDS, False
    finishing = False
    while True:
        try:
            writer = writer or MlflowWriter(run_dir, uri, _say)
            writer.send()
            if was_down:
                _say(f"MLflow at {without_secret(uri)} answers again.")
            interval, was_down = INTERVAL_SECONDS, False
        except Exception as error:  # no error may end the sending
            if not was_down:
                text = error.message if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                _say(f"{safe_text(text, uri)}. The run goes on; its figures wait in {run_dir / FILE_NAME}")
            interval, was_down = min(2 * interval, LONGEST_INTERVAL_SECONDS), True
        if finishing:
            return LEFT_UNSENT if was_down else 0
        finishing = _wait(interval)


def _wait(seconds: float) -> bool:
    """Whether the run has ended; waits `seconds` at most for it to do so."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    if not ready:
        return False
    if not sys.stdin.readline():
        close_if_killed(Path(sys.argv[1]))
    return True


def close_if_killed(run_dir: Path) -> None:
    """Write the end into the journal of a run that was killed, and could not."""
    last = ""
    for entry, _ in read_journal(run_dir):
        last = entry["kind"] if entry["kind"] in ("run", "resume", "status") else last
    if last in ("run", "resume") and not is_written_to(run_dir):
        journal = Journal(run_dir)
        journal.append("status", status="KILLED", error="the process was killed")
        journal.close()


def _say(message: str) -> None:
    with contextlib.suppress(OSError):  # the run may be gone
        os.write(sys.stdout.fileno(), f"{message}\n".encode())


if __name__ == "__main__":
    # Not sys.exit: MLflow's threads may be waiting for a server that is gone.
    os._exit(main())
