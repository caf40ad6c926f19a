"""A user's own files as part of the rendered dataset: which of them a split may see, and what they are."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

from hmr_light.errors import UserError

SPLITS = ("test-ood", "test", "val", "train")


def files_below(folder: str, suffixes: tuple[str, ...], key: str) -> list[Path]:
    """The files below `folder` with one of the suffixes, sorted. Raises `UserError`, naming the option `key`."""
    root = Path(folder).expanduser()
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if len(files) < len(SPLITS):
        raise UserError(
            f"source.{key}={folder} holds {len(files)} files ({', '.join(suffixes)})",
            f"Give a folder with {len(SPLITS)} or more, for every split takes others.",
        )
    return files


def share_of_split(files: list[Path], split: str) -> list[Path]:
    """The files that a split may see: a tenth for each of the small ones, the rest for train; no two share one."""
    shuffled = sorted(files, key=lambda path: (zlib.crc32(path.name.encode()), str(path)))
    small = max(1, len(files) // 10)
    start = SPLITS.index(split) * small
    return shuffled[start:] if split == "train" else shuffled[start : start + small]


def digest_of(files: list[Path]) -> str:
    """A hash of names and sizes of files: a dataset made with others is another one."""
    lines = "\n".join(f"{path.name} {path.stat().st_size}" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()
