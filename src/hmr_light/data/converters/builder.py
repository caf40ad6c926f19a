"""What all converters share: gathering people, and where their joints and boxes go in our labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hmr_light.data.annotations import NUMBERS, Annotations, save_annotations
from hmr_light.data.converters.summary import ConversionSummary
from hmr_light.errors import UserError

Item = TypeVar("Item")

# Where the 17 joints of Human3.6M's and MPI-INF-3DHP's figure (`H36M_NAMES`) stand among the 24 (SPIN, `h36m.py`).
J17_TO_J24 = (14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6)
# The side of a box is that of the tight box times this (SPIN).
BOX_MARGIN = 1.2


class SquareBox(NamedTuple):
    """The box of one person, as annotations have it."""

    center: tuple[float, float]
    """Pixels."""
    scale: float
    """Side of the square / 200, pixels."""


# People whose labels wait as Python values, which take several times the memory, for the rest to be one array.
BLOCK = 4096


class AnnotationBuilder:
    """Gathers the people of a source: each is kept with labels, or left out for a reason, which is counted."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._blocks: dict[str, list[np.ndarray]] = {}
        self._dropped: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()

    def keep(self, imgname: str, box: SquareBox, **labels: Any) -> None:
        """Add a person; `labels` are of the annotations' keys, the same keys for every person of a source."""
        for key, value in ({"imgname": imgname} | box._asdict() | labels).items():
            self._columns.setdefault(key, []).append(value)
        if len(self._columns["imgname"]) == BLOCK:
            self._close_block()

    def _close_block(self) -> None:
        for key, values in self._columns.items():
            block = np.array(values)
            # Annotations have these keys in single precision; the others are needed as they are.
            self._blocks.setdefault(key, []).append(block.astype(np.float32) if key in NUMBERS else block)
        self._columns = {}

    def drop(self, reason: str, count: int = 1) -> None:
        """Count people who are left out for `reason`."""
        self._dropped[reason] += count

    def note(self, reason: str, count: int = 1) -> None:
        """Count labels of a person who is kept that `out` will not have as the source has them."""
        self._notes[reason] += count

    def save(self, out: Path, source: Path, images: Path, next_step: str, remedy: str = "") -> ConversionSummary:
        """Write `out`, which must not exist yet. Raises `UserError`, ending in `remedy`, if nobody was kept."""
        self._close_block()
        kept = sum(map(len, self._blocks.get("imgname", ())))
        dropped, notes = dict(self._dropped.most_common()), dict(self._notes.most_common())
        summary = ConversionSummary(out, kept, dropped, images, next_step, notes=notes)
        if not kept:
            raise UserError(f"nobody in {source} can be used. {summary}", remedy or f"Look at what {source} holds.")
        # A column's blocks go as soon as it is one array, or all people would be in memory twice.
        arrays = {key: np.concatenate(self._blocks.pop(key)) for key in list(self._blocks)}
        save_annotations(out, Annotations.from_arrays(arrays, source))
        return summary


def in_j24(points: np.ndarray, places: Sequence[int], confidence: np.ndarray | float = 1.0) -> np.ndarray:
    """(24, D + 1): `points` (K, D) at their `places` among the 24 joints, each followed by its confidence.

    Where the confidence is 0 the coordinates are, too.
    """
    labels = np.zeros((24, points.shape[1] + 1))
    labels[list(places), :-1] = points
    labels[list(places), -1] = confidence
    return np.where(labels[:, -1:] > 0, labels, 0)


def box_around(points: np.ndarray, margin: float = BOX_MARGIN) -> SquareBox | None:
    """The square box around `points` (K, 2), pixels; none where they span nothing or are not finite."""
    if not len(points):
        return None
    low, high = points.min(0), points.max(0)
    side = float((high - low).max())
    if not (0 < side < math.inf):
        return None
    x, y = (low + high) / 2
    return SquareBox((float(x), float(y)), side * margin / 200)


def inside(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Which of `points` (..., 2), pixels, are in an image of that size, by SPIN's rule: 0 <= x < width."""
    return np.all((points >= 0) & (points < (width, height)), axis=-1)


def image_path(images: Path, name: str, source: Path) -> Path:
    """Where the image `name` of `source` is. Raises `UserError` for names that lead out of the folder `images`."""
    windows = PureWindowsPath(name)
    if not name or name[0] == "/" or windows.anchor or ".." in (*PurePosixPath(name).parts, *windows.parts):
        raise UserError(
            f"{source} names the image {name!r}, which is not inside the folder of images",
            "Such a file is damaged or meant to do harm; fetch it again from where it is published.",
        )
    return images / name


def refuse_existing(out: Path) -> None:
    """Raise `UserError` where `out` exists."""
    if out.exists():
        raise UserError(f"{out} exists already", "Remove it first, or write to another file.")
