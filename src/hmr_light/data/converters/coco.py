"""COCO's person keypoints (Lin et al., ECCV 2014; cocodataset.org) → annotations with 2D keypoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hmr_light.body.joints import COCO_TO_J24
from hmr_light.data.coco import PEOPLE, load_json, read_coco, tight_box, why_no_person
from hmr_light.data.converters.builder import (
    BOX_MARGIN,
    AnnotationBuilder,
    SquareBox,
    image_path,
    refuse_existing,
)
from hmr_light.data.converters.summary import ConversionSummary, fine_tune_step, train_step
from hmr_light.data.progress import track
from hmr_light.errors import UserError

# The first five are of the face; the twelve after them say how the body stands.
FACE_KEYPOINTS = 5
# So many people are a set of one's own, on which a trained model is fine-tuned: enough for a batch, and less than COCO.
_FEW = range(20, 5000)


def convert(
    annotations: Path, images: Path, out: Path, *, min_keypoints: int = 12, category: str | None = None
) -> ConversionSummary:
    """Convert a `person_keypoints_*.json` of images in `images`, and write `out` (npz), which must not exist yet.

    Keeps people with at least `min_keypoints` of the twelve body keypoints labelled (visible or hidden); 12 is SPIN's
    rule (`coco_extract.py`). The box is the person's, made square, with a margin of 1.2. People are the entries of the
    category `category`, else of one that is named as people are; entries that cannot be used are counted, by reason.
    Raises `UserError` if the file is of another format or nobody is kept.
    """
    if min_keypoints not in range(13):
        raise UserError(f"min_keypoints={min_keypoints!r} is not a number of body keypoints", "Give 0 to 12.")
    refuse_existing(out)
    format_remedy = "Give a person_keypoints_*.json; instances_*.json and captions_*.json have no keypoints."
    file = read_coco(load_json(annotations), annotations, "in COCO's person_keypoints format", format_remedy)
    people = AnnotationBuilder()
    for entry in track(file.annotations, "converting"):
        reason = why_no_person(entry, file, (category.lower(),) if category else PEOPLE)
        labels = reason or _labels(entry, min_keypoints, people)
        if isinstance(labels, str):
            people.drop(labels)
            continue
        box, part = labels
        name = file.images[entry["image_id"]]
        try:
            exists = image_path(images, name, annotations).is_file()
        except UserError:
            people.drop("the image's path leads out of the folder of images")
            continue
        if exists:
            people.keep(name, box, part=part)
        else:
            people.drop("image missing")
    remedy = (
        f"Give the folder of images (now {images}); ask for fewer keypoints (source.min_keypoints=); or name the "
        f"category of people (source.category=; the file has: {', '.join(file.categories.values()) or 'none'})."
    )
    summary = people.save(out, annotations, images, train_step("coco", out, images), remedy)
    return replace(summary, or_step=fine_tune_step(out, images)) if summary.kept in _FEW else summary


def _labels(
    person: dict[str, Any], min_keypoints: int, people: AnnotationBuilder
) -> tuple[SquareBox, np.ndarray] | str:
    """The labels of one entry, or the reason why it has none."""
    if not person.get("keypoints"):
        return "no keypoints"
    try:
        keypoints = np.array(person["keypoints"], np.float64).reshape(-1, 3)
    except (TypeError, ValueError):
        return "keypoints that are not x, y, visibility"
    if len(keypoints) != 17:
        return f"keypoints of another skeleton: {len(keypoints)}, not COCO's 17"
    labelled = keypoints[:, 2] > 0
    finite = np.isfinite(keypoints).all(1)
    if labelled[~finite].any():
        people.note("people with keypoints that are not finite: those are taken as not labelled")
    labelled &= finite
    if labelled[FACE_KEYPOINTS:].sum() < min_keypoints:
        return f"fewer than {min_keypoints} body keypoints"
    tight = tight_box(person)
    if tight is None:
        return "no box, or one without a size"
    x, y, width, height = tight
    part = np.zeros((24, 3))
    part[np.array(COCO_TO_J24)[labelled], :2] = keypoints[labelled, :2]
    part[np.array(COCO_TO_J24)[labelled], 2] = 1
    # COCO measures boxes from the corner of the top left pixel, keypoints (and we everything) from its centre.
    side = max(width, height)
    return SquareBox((x + width / 2 - 0.5, y + height / 2 - 0.5), side * BOX_MARGIN / 200), part
