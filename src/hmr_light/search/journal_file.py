"""The file that a study is kept in: Optuna's journal, one JSON object a line, written so that a kill leaves it whole.

Optuna's own file does not survive a line that was cut off, and its lock outlives the process that had it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from hmr_light.errors import UserError


class JournalFile(BaseJournalBackend):
    """`path` as the backend of `optuna.storages.JournalStorage`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._offsets = [0]
        """Where each line that was read begins, and where the next one will."""

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The objects of the lines from that number on. Raises `UserError` for a line that is damaged."""
        number = min(log_number_from, len(self._offsets) - 1)
        with self.path.open("rb") as file:
            file.seek(self._offsets[number])
            for line in file:
                if not line.endswith(b"\n"):
                    return  # its writer is not done with it, or was killed: the next one removes it
                if number + 1 == len(self._offsets):
                    self._offsets.append(self._offsets[-1] + len(line))
                if number >= log_number_from:
                    yield self._read(line, number)
                number += 1

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add a line for each of `logs`, all or none. Raises `UserError` where the disk takes no more."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = self._whole(handle)
            try:
                if os.write(handle, lines) < len(lines):
                    raise OSError(28, "No space left on device")
                os.fsync(handle)
            except OSError as error:
                os.ftruncate(handle, size)
                raise UserError(
                    f"cannot write {self.path}: {error.strerror}", "Free some space; then repeat the command."
                ) from error
        finally:
            os.close(handle)

    def _whole(self, handle: int) -> int:
        """The size of the file without a last line that was cut off, which is removed."""
        size = whole = os.fstat(handle).st_size
        while whole and os.pread(handle, 1, whole - 1) != b"\n":
            whole -= 1
        if whole < size:
            os.ftruncate(handle, whole)
        return whole

    def _read(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise UserError(
                f"{self.path}, line {number + 1}, is damaged",
                "Remove that line if it is the last one, or begin another study: study=NAME",
            )
        return entry
