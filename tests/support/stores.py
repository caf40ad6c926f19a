"""MLflow stores in SQLite files. MLflow takes a second to make one: the first is made, each later one is its copy."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from hmr_light.tracking.store import connect, default_uri, sqlite_path


@functools.cache
def _made() -> bytes:
    """The file of a store that has just been made."""
    with tempfile.TemporaryDirectory() as folder:
        uri = default_uri(Path(folder))
        connect(uri, create=True)
        return sqlite_path(uri).read_bytes()


def store_in(folder: Path) -> str:
    """The URI of the store of the home `folder`, which is empty unless there is one already."""
    uri = default_uri(folder)
    if not sqlite_path(uri).exists():
        folder.mkdir(parents=True, exist_ok=True)
        sqlite_path(uri).write_bytes(_made())
    return uri
