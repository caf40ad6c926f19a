"""SPIN's own npz files (Kolotouros et al., ICCV 2019; `datasets/preprocess`) → annotations, with its static fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hmr_light.data.annotations import load_annotations, save_annotations
from hmr_light.data.converters.builder import refuse_existing
from hmr_light.data.converters.files import reading
from hmr_light.data.converters.summary import ConversionSummary
from hmr_light.data.images import ImageFiles

MAX_BETA = 3.0
"""SPIN and 4D-Humans take a fit with a beta beyond this for a failure."""


def convert(annotations: Path, images: Path, out: Path, *, fits: str | None = None) -> ConversionSummary:
    """Copy SPIN's annotations into `out`, which must not exist yet, mapped into memory from then on.

    They are ours but for the pixels, which SPIN's labels count from 0 too. `fits` is SPIN's `<dataset>_fits.npy`
    (N, 82: pose and betas): whoever has no SMPL label gets these as such, unless the fit is a failure: not finite,
    zero, or with a beta beyond 3. Raises `UserError` if the files do not belong together.
    """
    refuse_existing(out)
    labels = load_annotations(annotations)
    ImageFiles(labels, annotations, images)  # refuses another set's folder
    if fits:
        path = Path(fits).expanduser()
        with reading(path, "SPIN's static fits"):
            fitted = np.load(path, allow_pickle=False)
            if fitted.shape != (len(labels), 82):
                raise ValueError(f"it is {fitted.shape}, not ({len(labels)}, 82)")
        good = np.isfinite(fitted).all(1) & fitted.any(1) & (np.abs(fitted[:, 72:]) <= MAX_BETA).all(1)
        taken = good & ~labels.has_smpl
        labels = replace(
            labels,
            pose=np.where(taken[:, None], fitted[:, :72], labels.pose).astype(np.float32),
            shape=np.where(taken[:, None], fitted[:, 72:], labels.shape).astype(np.float32),
            has_smpl=labels.has_smpl | taken,
        )
    save_annotations(out, labels)
    step = f"train data=custom data.train.custom.annotations={out} data.train.custom.images={images}"
    return ConversionSummary(out, len(labels), {}, images, step)
