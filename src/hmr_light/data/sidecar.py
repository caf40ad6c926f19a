"""Facts about a large file that are expensive to find, in a sidecar file beside it.

A sidecar is valid as long as the file is the one it was made for: the same size, times and place on the disk. The time
of the last change of the file's status is among them. Nobody can set that time, so the sidecar that comes with an
untrusted file is not valid.
"""

from __future__ import annotations

import json
from pathlib import Path

from hmr_light.errors import UserError
from hmr_light.paths import atomic_write

LEAST_BYTES = 64 << 20
"""Smaller files have no sidecar: everything about them is found fast."""


def read_sidecar(path: Path) -> dict[str, str]:
    """The facts about the file `path`; none if it has changed since, or has no sidecar."""
    try:
        sidecar = json.loads(_place(path).read_text())
        known = sidecar["known"] if sidecar["file"] == _identity(path) else {}
        return {str(key): str(value) for key, value in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def add_to_sidecar(path: Path, **known: str) -> None:
    """Add facts. Small files get no sidecar, nor do those in a folder that cannot be written."""
    try:
        if path.stat().st_size < LEAST_BYTES:
            return
        content = {"file": _identity(path), "known": read_sidecar(path) | known}
        with atomic_write(_place(path)) as temporary:
            temporary.write_text(json.dumps(content))
    except (OSError, UserError):
        pass


def _place(path: Path) -> Path:
    return path.with_name(f".{path.name}.sidecar")


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
