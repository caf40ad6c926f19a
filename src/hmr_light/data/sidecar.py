"""What was found out about a large file, kept beside it, so that it need not be found out again.

A stamp holds as long as the file is the one it was made for: the same size, times and place on the disk. The time of
the last change of its status is among them, which nobody can set, so a stamp that comes along with a stranger's file
says nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

from hmr_light.errors import UserError
from hmr_light.paths import atomic_write

LEAST_BYTES = 64 << 20
"""Of a smaller file, everything is found out so fast that a stamp would only be one more file."""


def read_sidecar(path: Path) -> dict[str, str]:
    """What is known of the file `path`; nothing if it has changed since, or has no stamp."""
    try:
        stamp = json.loads(_place(path).read_text())
        known = stamp["known"] if stamp["file"] == _identity(path) else {}
        return {str(key): str(value) for key, value in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def add_to_sidecar(path: Path, **known: str) -> None:
    """Note what was found out. Small files get no stamp, nor do those in a folder that cannot be written."""
    try:
        if path.stat().st_size < LEAST_BYTES:
            return
        content = {"file": _identity(path), "known": read_sidecar(path) | known}
        with atomic_write(_place(path)) as temporary:
            temporary.write_text(json.dumps(content))
    except (OSError, UserError):
        pass


def _place(path: Path) -> Path:
    return path.with_name(f".{path.name}.stamp")


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
