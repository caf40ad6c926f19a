"""The journal: everything a run says of itself, one JSON object a line, appended and flushed at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hmr_light.errors import UserError
from hmr_light.paths import as_text

FILE_NAME = "journal.jsonl"

Entry = dict[str, Any]
"""`kind`, `time` (ms since 1970) and what belongs to the kind."""


def has_journal(run_dir: Path) -> bool:
    """Whether a run is there, to take figures."""
    return (run_dir / FILE_NAME).is_file()


class Journal:
    """The writing end. Each entry is one `write` in append mode: two processes may add to one journal."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / FILE_NAME
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._cannot_write(error) from error
        # Shared by all writers; who can take it alone knows that none is alive. Some network disks have no locks.
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_SH)
        # A process that died while writing, or a disk that was full, left part of a line.
        self._may_be_torn = True

    def append(self, kind: str, **payload: Any) -> Entry:
        """Write one entry; returns it. Raises `UserError` when the disk is full or read-only."""
        entry = {"kind": kind, "time": time.time_ns() // 1_000_000, **payload}
        line = json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
        if self._may_be_torn:
            self._end_torn_line()
        # Bytes that Python could not read: UTF-8 of a terminal that has none, or a damaged name of a file.
        self._write(as_text(line).encode())
        return entry

    def close(self) -> None:
        """Flush to the disk itself and close; a second call does nothing."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def _end_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            self._write(b"\n")
        self._may_be_torn = False

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._file, data)
            if written < len(data):
                raise OSError(28, "only part of the line fitted")
        except OSError as error:
            self._may_be_torn = True
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write {self.path}: {error.strerror or error}",
            "Free some space or choose a folder that you can write to.",
        )


def read_journal(run_dir: Path, offset: int = 0) -> Iterator[tuple[Entry, int]]:
    """Yield each complete entry from byte `offset` on, with the offset behind it. Torn lines are passed over."""
    with (run_dir / FILE_NAME).open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return  # its writer is not done with it
            offset += len(line)
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and {"kind", "time"} <= entry.keys():
                    yield entry, offset


def is_written_to(run_dir: Path) -> bool:
    """Whether a process that writes this journal is alive."""
    with (run_dir / FILE_NAME).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


def numbers(values: Mapping[str, float]) -> dict[str, float | str]:
    """Figures as JSON holds them: what is not finite becomes the text that `float` reads."""
    return {str(key): value if math.isfinite(value := float(raw)) else str(value) for key, raw in values.items()}


def run_key(run_dir: Path) -> str | None:
    """What tells a run from all others, wherever its folder is; None for a folder without a journal."""
    with contextlib.suppress(OSError):
        return next((str(entry["key"]) for entry, _ in read_journal(run_dir) if entry["kind"] == "run"), None)
    return None
