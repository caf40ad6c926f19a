"""A SQLite store that was moved together with its home: MLflow has written down where its artifacts were."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hmr_light.tracking.schema import REVISIONS, revision_of

ARTIFACTS = "mlartifacts"
"""The folder of a store's artifacts, beside its file."""
_PLACES = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))


def follow_store(path: Path) -> None:
    """Let the store `path` name the artifacts that lie beside it, where it names those of the place that it was at.

    Otherwise MLflow would show no pictures, and write new ones to the former place. Artifacts that lie elsewhere by
    choice stay there. Does nothing to a store that cannot be written, or whose tables only MLflow knows.
    """
    folder = path.absolute().parent / ARTIFACTS
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
        if revision_of(database) not in REVISIONS:
            return
        written = {place for (place,) in database.execute("SELECT artifact_location FROM experiments") if place}
        for former in {place.rpartition("/")[0] for place in written}:
            if not _has_moved(former, folder):
                continue
            with database:
                for table, column in _PLACES:
                    database.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                        (folder.as_uri(), len(former) + 1, len(former) + 1, f"{former}/"),
                    )


def _has_moved(former: str, folder: Path) -> bool:
    """Whether the artifacts at the address `former` are those that are in `folder` now."""
    parts = urlsplit(former)
    place = Path(unquote(parts.path))
    if parts.scheme != "file" or place.name != ARTIFACTS or place == folder:
        return False
    return folder.is_dir() or not place.exists()
