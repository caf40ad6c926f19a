"""What says where the people of an image are: MoveNet, a file of boxes, a detector, the whole image as one person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np

from hmr_light.data.boxes import BoxFile
from hmr_light.deployment.runtime.boxes import Box, misfit
from hmr_light.deployment.runtime.pictures import Picture
from hmr_light.errors import UserError


class Finder(NamedTuple):
    """Where the people of an image are."""

    says: str
    """Where the boxes come from, as the pictures and the terminal say it."""
    find: Callable[[Picture, np.ndarray], list[Box] | Literal["image"] | None]
    """The boxes that `Predictor` takes: None leaves it to the predictor's finder. Raises `UserError` for an image of
    which nothing is known."""


MOVENET = Finder("found by MoveNet, which comes with the package", lambda picture, image: None)
WHOLE_IMAGE = Finder("the whole image is taken for one person", lambda picture, image: "image")


def finder_of_file(file: BoxFile, path: Path, notes: list[str]) -> Finder:
    """The people of a file of boxes; boxes that cannot be of their image are left out, and told to `notes`."""

    def find(picture: Picture, image: np.ndarray) -> list[Box]:
        boxes = _boxes_of(picture.source, file.boxes, path)
        height, width = image.shape[:2]
        reasons = [misfit(box, width, height) for box in boxes]
        usable = [box for box, reason in zip(boxes, reasons, strict=True) if not reason]
        if bad := Counter(reason for reason in reasons if reason):
            problem = "; ".join(f"{count} of {len(boxes)} boxes: {reason}" for reason, count in bad.items())
            if not usable:
                raise UserError(problem)
            notes.append(f"{picture.name}: {problem}")
        return usable

    return Finder(f"those of {path.name}", find)


def detector(device_name: str, score: float) -> Finder:
    """The people that torchvision's detector is at least `score` sure of (0…1).

    Raises `UserError` where its weights are missing or damaged.
    """
    from hmr_light.data.detector import detector_file, load_detector
    from hmr_light.data.distributed import choose_device

    detect = load_detector(choose_device(device_name), score)
    found = detector_file()
    name = found[0] if found else "detector"

    def find(picture: Picture, image: np.ndarray) -> list[Box]:
        if not (boxes := detect(image)):
            raise UserError("nobody was found in it")
        return boxes

    return Finder(f"found by torchvision's {name}, at least {score:g} sure", find)


def _boxes_of(source: str, boxes: dict[str, list[Box]], file: Path) -> list[Box]:
    # A single image is looked up by its name alone, whatever folder the file has it in.
    keys = [source] if source in boxes else [key for key in boxes if PurePosixPath(key).name == source]
    if len(keys) != 1:
        raise UserError(f"{file} has {'several images' if keys else 'no box'} of that name")
    return boxes[keys[0]]
