"""COCO's person keypoints (Lin et al., ECCV 2014; cocodataset.org) → annotations with 2D keypoints."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from hmr_light.data.converters.builder import BOX_MARGIN, AnnotationBuilder, Box, image_path, progress, refuse_existing
from hmr_light.data.converters.summary import ConversionSummary
from hmr_light.errors import UserError

# Where COCO's 17 keypoints (nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left before right) stand
# among the 24 joints.
COCO_TO_J24 = (19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0)
# The first five are of the face; the twelve after them say how the body stands.
FACE_KEYPOINTS = 5


def convert(annotations: Path, images: Path, out: Path, *, min_keypoints: int = 12) -> ConversionSummary:
    """Convert a `person_keypoints_*.json` of images in `images`, and write `out` (npz), which must not exist yet.

    Keeps people with at least `min_keypoints` of the twelve body keypoints labelled (visible or hidden); 12 is SPIN's
    rule (`coco_extract.py`). The box is the person's, made square, with a margin of 1.2. Raises `UserError` if the file
    is not of that format or nobody is kept.
    """
    if min_keypoints not in range(13):
        raise UserError(f"min_keypoints={min_keypoints!r} is not a number of body keypoints", "Give 0 to 12.")
    refuse_existing(out)
    names, entries = _read(annotations)
    people = AnnotationBuilder()
    for position, entry in enumerate(progress(entries)):
        try:
            labels = _labels(entry, min_keypoints)
            name = names[entry["image_id"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _malformed(annotations, f"annotations[{position}]", error) from None
        if isinstance(labels, str):
            people.drop(labels)
        elif not image_path(images, name, annotations).is_file():
            people.drop("image missing")
        else:
            box, part = labels
            people.keep(name, box, part=part)
    data = f"data.train.coco.annotations={out} data.train.coco.images={images}"
    remedy = f"Give the folder of images (now {images}), or ask for fewer keypoints (min_keypoints)."
    return people.save(out, annotations, images, f"train experiment=mobilenet_v2 data=coco {data}", remedy)


def _read(path: Path) -> tuple[dict[int, str], list[Any]]:
    """File names by image id, and the people."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "Correct the path.") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON, or a damaged file: {error}", "Fetch it again.") from None
    try:
        return {image["id"]: str(image["file_name"]) for image in document["images"]}, list(document["annotations"])
    except (KeyError, TypeError) as error:
        raise _malformed(path, "'images' or 'annotations'", error) from None


def _labels(person: Any, min_keypoints: int) -> tuple[Box, np.ndarray] | str:
    """The labels of one entry, or the reason why it has none."""
    keypoints = np.array(person["keypoints"], np.float64).reshape(17, 3)
    labelled = keypoints[:, 2] > 0
    x, y, width, height = map(float, person["bbox"])
    side = max(width, height)
    if person.get("iscrowd"):
        return "a crowd, not a person"
    if labelled[FACE_KEYPOINTS:].sum() < min_keypoints:
        return f"fewer than {min_keypoints} body keypoints"
    if not (side > 0 and math.isfinite(x + y + side)):
        return "no box"
    part = np.zeros((24, 3))
    part[np.array(COCO_TO_J24)[labelled], :2] = keypoints[labelled, :2]
    part[np.array(COCO_TO_J24)[labelled], 2] = 1
    # COCO measures boxes from the corner of the top left pixel, keypoints (and we everything) from its centre.
    return Box((x + width / 2 - 0.5, y + height / 2 - 0.5), side * BOX_MARGIN / 200), part


def _malformed(path: Path, place: str, error: Exception) -> UserError:
    return UserError(
        f"{path} is not in COCO's person_keypoints format: {place}: {type(error).__name__} {error}",
        "Give a person_keypoints_*.json; instances_*.json and captions_*.json have no keypoints.",
    )
