"""One set of annotations as two: most images to train on, and some that are held out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from hmr_light.data.annotations import Annotations
from hmr_light.errors import UserError

EVERY = 5
"""One image in so many is held out."""


def split_people(labels: Annotations, split: str, path: Path) -> np.ndarray:
    """The indices (K,) of the people who are in `train` or `held_out`, of the annotations `labels` of the file `path`.

    By image, so that no image is in both. The images are put in the order of their names' hashes, and the first fifth
    is held out: at least one image, always the same ones of the same set. Raises `UserError` if there is one image.
    """
    names = np.asarray(labels.imgname)
    images = sorted(set(names.tolist()), key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(images) < 2:
        raise UserError(
            f"split={split}: {path} has people in one image alone, of which none can be held out",
            "Give annotations of more images, or leave split= out.",
        )
    held_out = images[: -(-len(images) // EVERY)]
    return np.flatnonzero(np.isin(names, held_out) == (split == "held_out"))
