"""Locks that end with the process that has them: the system gives them back even after kill -9.

A study has one lock for whoever reads and changes it, and each worker holds one of its own for as long as it lives: a
trial whose worker's lock is free has nobody who trains it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hmr_light.errors import UserError


class Locks(Protocol):
    """The locks of one study."""

    def alone(self) -> Any:
        """A context in which no other worker is within its own."""

    def hold(self, worker: str) -> None:
        """Take the lock of this process, whose name is `worker`, until it ends."""

    def release(self) -> None:
        """Give that lock back."""

    def is_held(self, worker: str) -> bool:
        """Whether the process of that name is alive."""


class FileLocks:
    """Locks on files in `folder`, for processes that share it."""

    def __init__(self, folder: Path) -> None:
        self._study = folder / "study.lock"
        self._workers = folder / "workers"
        self._workers.mkdir(parents=True, exist_ok=True)
        self._own: int | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        handle = os.open(self._study, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._lock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def hold(self, worker: str) -> None:
        self._own = os.open(self._workers / worker, os.O_RDWR | os.O_CREAT, 0o644)
        self._lock(self._own, fcntl.LOCK_EX)

    def release(self) -> None:
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def is_held(self, worker: str) -> bool:
        try:
            handle = os.open(self._workers / worker, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            self._lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        (self._workers / worker).unlink(missing_ok=True)
        return False

    def _lock(self, handle: int, how: int) -> None:
        try:
            fcntl.flock(handle, how)
        except BlockingIOError:
            raise
        except OSError as error:
            raise UserError(
                f"{self._study.parent} is on a disk without locks: {error.strerror}",
                "Choose another folder by outputs=, or a database: storage=postgresql://…",
            ) from error


class PostgresLocks:
    """PostgreSQL's advisory locks, for processes on any machines; `engine` is SQLAlchemy's."""

    def __init__(self, engine: Any, study: str) -> None:
        self._engine, self._study = engine, study
        self._own: Any = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._connect() as connection:
            self._call(connection, "pg_advisory_lock", "")
            yield  # the lock ends with the connection

    def hold(self, worker: str) -> None:
        self._own = self._connect()
        self._call(self._own, "pg_advisory_lock", worker)

    def release(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None

    def is_held(self, worker: str) -> bool:
        with self._connect() as connection:
            return not self._call(connection, "pg_try_advisory_lock", worker)

    def _connect(self) -> Any:
        """A connection of its own, closed at its end; the server finds within a minute that a machine is gone."""
        from sqlalchemy import text

        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        for name, value in (("idle", 20), ("interval", 10), ("count", 3)):
            connection.execute(text(f"SET tcp_keepalives_{name} = {value}"))
        return connection

    def _call(self, connection: Any, function: str, worker: str) -> Any:
        from sqlalchemy import text

        digest = hashlib.sha256(f"hmr_light\0{self._study}\0{worker}".encode()).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        return connection.execute(text(f"SELECT {function}(:number)"), {"number": number}).scalar()
