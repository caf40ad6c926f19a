"""Where the people are in images: boxes read from a file, or the whole image for want of better."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmr_light.data.annotations import load_annotations
from hmr_light.data.coco import read_coco, tight_box, why_no_person
from hmr_light.errors import UserError

MARGIN = 1.2
"""Side of the cropped box over the longer side of the tight one, as in training."""
_COLUMNS = ("image", "x", "y", "width", "height")


class Box(NamedTuple):
    """The square that is cropped for one person."""

    center: np.ndarray
    """(2,) pixels; (0, 0) is the centre of the top left pixel."""
    scale: float
    """Side / 200, pixels."""


def box_of_corner(x: float, y: float, width: float, height: float) -> Box:
    """The box around a tight one as COCO writes it: top left corner, from the image's corner, and sides, pixels."""
    if not (math.isfinite(x + y + width + height) and width > 0 and height > 0):
        raise ValueError(f"[{x}, {y}, {width}, {height}] is not a box")
    return Box(np.array([x + width / 2 - 0.5, y + height / 2 - 0.5]), MARGIN * max(width, height) / 200)


def whole_image(width: int, height: int) -> Box:
    """The square around the whole image."""
    return Box(np.array([(width - 1) / 2, (height - 1) / 2]), max(width, height) / 200)


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """The boxes of each image in a json, csv or npz file, by the image's name as the file has it.

    - json: {"image.jpg": [[x, y, width, height], …]}, or a file in COCO's format (`images`, and `annotations` with
      `bbox`; entries that are no people, crowds and boxes without a size are left out, and said);
    - csv: a line a person with the columns image, x, y, width, height;
    - npz: annotations, with `imgname`, `center` and `scale` (see data/README.md), taken as they are.

    x, y, width and height are those of the tight box, pixels from the image's corner; `MARGIN` is added. Raises
    `UserError` for a file that is missing, damaged, of another form, or without a box.
    """
    readers: dict[str, Callable[[Path], Iterable[tuple[str, Box]]]] = {
        ".json": _read_json,
        ".csv": _read_csv,
        ".npz": _read_npz,
    }
    if path.suffix.lower() not in readers:
        raise UserError(f"boxes={path} is neither a json, nor a csv, nor an npz file", _REMEDY)
    boxes: dict[str, list[Box]] = {}
    try:
        for name, box in readers[path.suffix.lower()](path):
            boxes.setdefault(name, []).append(box)
    except OSError as error:
        raise UserError(f"cannot read the boxes {path}: {error.strerror}", "Correct the path.") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is not a file of boxes: {type(error).__name__}: {error}", _REMEDY) from None
    if not boxes:
        raise UserError(f"{path} holds no box", _REMEDY)
    return boxes


_REMEDY = (
    'Give {"image.jpg": [[x, y, width, height]]}, COCO\'s json, a csv with image,x,y,width,height, or annotations.'
)


def _read_json(path: Path) -> Iterable[tuple[str, Box]]:
    document: Any = json.loads(path.read_bytes())
    if "annotations" not in document:
        return [(name, box_of_corner(*map(float, box))) for name, boxes in document.items() for box in boxes]
    file = read_coco(document, path, "a file of boxes in COCO's format", _REMEDY)
    people: list[tuple[str, Box]] = []
    left_out: Counter[str] = Counter()
    for entry in file.annotations:
        reason = why_no_person(entry, file)
        box = None if reason else tight_box(entry)
        if box is None:
            left_out[reason or "no box, or one without a size"] += 1
        else:
            people.append((file.images[entry["image_id"]], box_of_corner(*box)))
    if left_out:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.most_common())
        print(f"boxes: {len(people)} people; left out: {reasons}", file=sys.stderr)
    return people


def _read_csv(path: Path) -> Iterable[tuple[str, Box]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file, skipinitialspace=True))
    return [(line[_COLUMNS[0]], box_of_corner(*(float(line[key]) for key in _COLUMNS[1:]))) for line in lines]


def _read_npz(path: Path) -> Iterable[tuple[str, Box]]:
    people = load_annotations(path)
    return [
        (str(name), Box(np.asarray(center, np.float64), float(scale)))
        for name, center, scale in zip(people.imgname, people.center, people.scale, strict=True)
    ]
