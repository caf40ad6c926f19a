"""How much of a journal MLflow has: a small file beside it, so that a later process continues where one stopped."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hmr_light.paths import atomic_write, without_secret
from hmr_light.tracking.journal import read_journal

FILE_NAME = "mlflow.json"


@dataclass
class Sent:
    """What MLflow has of a journal."""

    store: str
    """The tracking URI, without a secret."""
    run_id: str = ""
    experiment_id: str = ""
    offset: int = 0
    """Bytes of the journal that are sent."""


def load_sent(run_dir: Path, uri: str) -> Sent:
    """What is known of `uri`; nothing if the file is lost, damaged or of another store: then all is sent again."""
    store = without_secret(uri)
    with contextlib.suppress(OSError, ValueError, TypeError):
        sent = Sent(**json.loads((run_dir / FILE_NAME).read_text()))
        if sent.store == store and isinstance(sent.offset, int):
            return sent
    return Sent(store)


def save_sent(run_dir: Path, sent: Sent) -> None:
    """Write it atomically."""
    with atomic_write(run_dir / FILE_NAME) as temporary:
        temporary.write_text(json.dumps(asdict(sent), indent=1) + "\n")


def mlflow_run_id(run_dir: Path, uri: str | None) -> str | None:
    """The id of a run in the store `uri`; None where nothing of it was sent there."""
    return load_sent(run_dir, uri).run_id or None if uri else None


def unsent(run_dir: Path, uri: str) -> int:
    """How many entries of the journal `uri` lacks."""
    return sum(1 for _ in read_journal(run_dir, load_sent(run_dir, uri).offset))


@contextlib.contextmanager
def sender_lock(run_dir: Path) -> Iterator[bool]:
    """Yield whether this process may send this journal: one does at a time."""
    with (run_dir / ".mlflow.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass  # a disk without locks: sending twice stores once
        yield True
