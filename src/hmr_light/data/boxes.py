"""Where the people are in images: the boxes that a file holds."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmr_light.data.annotations import load_annotations
from hmr_light.data.coco import read_coco, tight_box, why_no_person
from hmr_light.deployment.runtime.boxes import Box, box_of_corner
from hmr_light.errors import UserError

_COLUMNS = ("image", "x", "y", "width", "height")
_SHOWN = 5
"""Places that a message names for each reason."""
_REMEDY = (
    'Give {"image.jpg": [[x, y, width, height], …]} in pixels, COCO\'s json with images and annotations, '
    "a csv with image,x,y,width,height, or annotations (npz)."
)


class BoxFile(NamedTuple):
    """The boxes of a file, and the entries of it that were not used."""

    boxes: dict[str, list[Box]]
    """By the image's name as the file has it."""
    left_out: dict[str, list[str]]
    """By reason, where each such entry is."""

    def describe_left_out(self) -> str:
        """The entries that were left out, counted by reason; empty if there are none."""
        parts = []
        for reason, places in self.left_out.items():
            more = ", …" if len(places) > _SHOWN else ""
            parts.append(f"{len(places)} {reason} ({', '.join(places[:_SHOWN])}{more})")
        return "; ".join(parts)


def read_boxes(path: Path) -> BoxFile:
    """The boxes of each image in a json, csv or npz file.

    - json: {"image.jpg": [[x, y, width, height], …]}, or a file in COCO's format (`images`, and `annotations` with
      `bbox`; entries that are no people, and crowds, are left out);
    - csv: a line a person with the columns image, x, y, width, height, between commas, semicolons or tabs;
    - npz: annotations, with `imgname`, `center` and `scale` (see data/README.md), taken as they are.

    x, y, width and height are those of the tight box, pixels from the image's corner; `MARGIN` is added. An entry that
    is no box is left out. Raises `UserError` for a file that is missing, damaged, of another form, or without a box.
    """
    readers = {".json": _read_json, ".csv": _read_csv, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        raise UserError(f"boxes={path} is neither a json, nor a csv, nor an npz file", _REMEDY)
    found = BoxFile({}, {})
    try:
        for name, place, value in readers[path.suffix.lower()](path):
            if isinstance(value := _box_of(value), Box):
                found.boxes.setdefault(name, []).append(value)
            else:
                found.left_out.setdefault(value, []).append(place)
    except OSError as error:
        raise UserError(f"cannot read the boxes {path}: {error.strerror}", "Correct the path.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a file of boxes: it is not UTF-8 text", _REMEDY) from error
    except RecursionError as error:
        raise UserError(f"{path} is not a file of boxes: its lists are nested too deep", _REMEDY) from error
    except ValueError as error:
        raise UserError(f"{path} is not a file of boxes: {error}", _REMEDY) from error
    if not found.boxes:
        why = found.describe_left_out()
        raise UserError(f"{path} holds no box of a person{f': left out are {why}' if why else ''}", _REMEDY)
    return found


class _Reason(str):
    """Why an entry is left out."""


_NO_BOX = _Reason("not four numbers with a width and a height")
_TOO_SMALL = _Reason("of at most one pixel: shares of the image (0…1) are not pixels")

# What the readers find, one by one: the image's name, where the entry is, and a box, or its values, or a reason.
_Entries = Iterator[tuple[str, str, Any]]


def _box_of(value: Any) -> Box | _Reason:
    """The box of four values, or the reason why they are none."""
    if isinstance(value, Box | _Reason):
        return value
    try:
        x, y, width, height = map(float, value)
        box = box_of_corner(x, y, width, height)
    except (TypeError, ValueError, OverflowError):
        return _NO_BOX
    return _TOO_SMALL if max(width, height) <= 1 else box


def _read_json(path: Path) -> _Entries:
    document: Any = json.loads(path.read_bytes())
    if isinstance(document, list) and document and isinstance(document[0], dict) and "image_id" in document[0]:
        raise ValueError("it is a list of COCO's results, which names images by numbers alone")
    if not isinstance(document, dict):
        what = "a list" if isinstance(document, list) else f"`{json.dumps(document)[:20]}`"
        raise ValueError(f"it holds {what}, not an object with the images' names")
    if "annotations" in document:
        yield from _read_coco(document, path)
        return
    for name, boxes in document.items():
        if not isinstance(boxes, list):
            yield name, name, _Reason("not a list")
        elif boxes and not any(isinstance(one, list | dict) for one in boxes):
            yield name, name, boxes  # one person, without the list around
        else:
            yield from ((name, name, box if isinstance(box, list) else None) for box in boxes)


def _read_coco(document: Any, path: Path) -> _Entries:
    file = read_coco(document, path, "a file of boxes in COCO's format", _REMEDY)
    for number, entry in enumerate(file.annotations, 1):
        if reason := why_no_person(entry, file):
            yield "", f"annotation {number}", _Reason(reason)
        else:
            yield file.images[entry["image_id"]], f"annotation {number}", tight_box(entry)


def _read_csv(path: Path) -> _Entries:
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = file.readline()
        delimiter = max(",;\t", key=header.count)
        titles = [title.strip().strip('"').lower() for title in header.split(delimiter)]
        if missing := [title for title in _COLUMNS if title not in titles]:
            raise ValueError(f"its first line names no column {', '.join(missing)}")
        try:
            lines = csv.DictReader(file, titles, delimiter=delimiter, skipinitialspace=True)
            for number, line in enumerate(lines, 2):
                name = (line["image"] or "").strip()
                values = [line[title] for title in _COLUMNS[1:]]
                yield name, f"line {number}", values if name else _Reason("without an image")
        except csv.Error as error:
            raise ValueError(str(error)) from error


def _read_npz(path: Path) -> _Entries:
    people = load_annotations(path)
    for name, center, scale in zip(people.imgname, people.center, people.scale, strict=True):
        yield str(name), str(name), Box(np.asarray(center, np.float64), float(scale))
