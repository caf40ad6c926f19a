"""Numbers of the images of a set that are computed once and kept on disk, in memory-mapped arrays.

A cache is a folder, in whose name is all that its numbers depend on. Its file `rows_done` says how far the computation
has come: one that was interrupted goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hmr_light.config.signals import StopRequest
from hmr_light.data.annotations import fingerprint
from hmr_light.data.dataset import MeshDataset
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write, home

VERSION = 2
_SAVED_EVERY = 16
"""Batches between notes of how far a cache is: what is computed again after an interruption."""

Rows = dict[str, np.ndarray]
"""Some rows of each array of a cache, by the array's name."""


def cache_folder(kind: str, dataset: MeshDataset, **facts: Any) -> Path:
    """Where numbers of this `kind` about the images of `dataset` are kept.

    `facts` are what they depend on beside the images as they are in the files, and how they are cropped.
    """
    facts |= {
        "version": VERSION,
        "annotations": fingerprint(dataset.annotations),
        "images": str(dataset.image_root.resolve()),
        "image_size": dataset.image_size,
        "contrast": dataset.contrast,
        "shuffle_images": dataset.shuffle_images,
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    return home() / "cache" / kind / key[:24]


def fill(
    folder: Path,
    rows: int,
    compute: Callable[[int], Iterator[Rows]],
    what: str,
    say: Callable[[str], None],
    stop: StopRequest,
    off: str,
) -> None:
    """Compute the rows of the cache `folder` that it lacks; `rows` are all.

    `compute(n)` yields the rows from number n on, some at a time. Returns early after a request to stop. `what` names
    the numbers, and `off` the option that does without them. Raises `UserError` where the disk is full.
    """
    done = _rows_done(folder)
    if done >= rows:
        say(f"{what}: from {folder}")
        return
    say(f"{what}: {rows} to compute, {done} done; {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.memmap] = {}
    for number, values in enumerate(compute(done), 1):
        if not arrays:
            arrays = {name: _array(folder, name, rows, value, off) for name, value in values.items()}
        end = done + len(next(iter(values.values())))
        for name, value in values.items():
            arrays[name][done:end] = value
        done = end
        if number % _SAVED_EVERY == 0 or done == rows or stop.requested:
            for array in arrays.values():
                array.flush()
            with atomic_write(folder / "rows_done") as temporary:
                temporary.write_text(str(done))
            say(f"{what}: {done} of {rows}")
            if stop.requested:
                return


def open_cache(folder: Path) -> Rows:
    """The arrays of the cache `folder`, mapped into memory."""
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}


def _array(folder: Path, name: str, rows: int, example: np.ndarray, off: str) -> np.memmap:
    path = folder / f"{name}.npy"
    if not path.is_file():
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
        os.close(handle)
        try:
            shape = (rows, *example.shape[1:])
            np.lib.format.open_memmap(temporary, mode="w+", dtype=example.dtype, shape=shape)
            if hasattr(os, "posix_fallocate"):
                # Otherwise a full disk ends the process with a signal when a page is written.
                with Path(temporary).open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, Path(temporary).stat().st_size)
            Path(temporary).chmod(0o644)
            with suppress(FileExistsError):  # another process has made it at the same time
                os.link(temporary, path)
        except OSError as error:
            message = f"cannot keep {name} in {folder}: {error.strerror}"
            raise UserError(message, f"Free some space, or set {off}.") from None
        finally:
            Path(temporary).unlink(missing_ok=True)
    return np.lib.format.open_memmap(path, mode="r+")


def _rows_done(folder: Path) -> int:
    path = folder / "rows_done"
    return int(path.read_text()) if path.is_file() else 0
