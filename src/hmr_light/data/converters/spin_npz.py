"""SPIN's own npz files (Kolotouros et al., ICCV 2019; `datasets/preprocess`) → annotations, with its static fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hmr_light.body import SMPL
from hmr_light.data.annotations import Annotations, load_annotations, save_annotations
from hmr_light.data.converters.builder import refuse_existing
from hmr_light.data.converters.files import reading
from hmr_light.data.converters.spin_fits import MAX_BETA, judge_fits
from hmr_light.data.converters.summary import ConversionSummary, train_step
from hmr_light.data.images import ImageFiles
from hmr_light.errors import UserError

EMBEDDED = "embedded"


def convert(
    annotations: Path,
    images: Path,
    out: Path,
    *,
    fits: str | None = None,
    max_joint_loss: float | None = 100.0,
    body: SMPL | None = None,
) -> ConversionSummary:
    """Convert SPIN's annotations into `out`, which must not exist yet, mapped into memory from then on.

    `center` is moved by half a pixel: SPIN cuts from `center - side / 2` on, so it counts from the *edge* of the first
    pixel (`imutils.py`), and we from its centre. Its keypoints count from the centre and stay as they are.

    `fits` is SPIN's `<dataset>_fits.npy` (N, 82: pose and betas). People without an SMPL label get these as such, as in
    SPIN's `trainer.py`: a fit whose joint loss is not below `max_joint_loss` is left out, and where a beta is beyond 3
    all betas become zero and the pose stays. SPIN judges the fits anew in each augmented crop; here it is done once, in
    the plain one. The loss needs SMPL's own `body`; with `max_joint_loss` null, fits are taken unjudged. Raises
    `UserError` if the files do not belong together.
    """
    refuse_existing(out)
    labels = load_annotations(annotations)
    ImageFiles(labels, annotations, images)  # refuses another set's folder
    notes: dict[str, int] = {}
    if fits:
        labels, notes = _add_fits(labels, Path(fits).expanduser(), max_joint_loss, body)
    save_annotations(out, replace(labels, center=labels.center - np.float32(0.5)))
    step = train_step("custom", out, images)
    return ConversionSummary(out, len(labels), {}, images, step, notes=notes)


def _add_fits(
    labels: Annotations, path: Path, limit: float | None, body: SMPL | None
) -> tuple[Annotations, dict[str, int]]:
    """The labels with the fits that are good, and what became of the fits, by reason."""
    if limit is not None and (body is None or body.name == EMBEDDED):
        raise UserError(
            "SPIN's fits are judged by the joints of SMPL's own body, and another one is chosen",
            "Add body=smpl (data/README.md says how to get it), or take all fits unjudged: source.max_joint_loss=null",
        )
    with reading(path, "SPIN's static fits"):
        fitted = np.load(path, allow_pickle=False)
        if fitted.shape != (len(labels), 82):
            raise ValueError(f"it is {fitted.shape}, not ({len(labels)}, 82)")
    judged = judge_fits(fitted.astype(np.float64), labels, body if limit is not None else None)
    unlabelled = ~labels.has_smpl
    there = unlabelled & ~np.isnan(judged.joint_loss)
    taken = there & (judged.joint_loss < limit) if limit is not None else there
    notes = {
        "SMPL labels taken from fits": int(taken.sum()),
        f"of these, betas set to zero: one was beyond {MAX_BETA:g}": int((taken & judged.extreme).sum()),
        f"fits left out: joint loss of {limit} or more": int((there & ~taken).sum()),
        "people without a fit, and without an SMPL label": int((unlabelled & ~there).sum()),
        "fits not needed: the file has an SMPL label": int(labels.has_smpl.sum()),
    }
    labels = replace(
        labels,
        pose=np.where(taken[:, None], judged.pose, labels.pose).astype(np.float32),
        shape=np.where(taken[:, None], judged.betas, labels.shape).astype(np.float32),
        has_smpl=labels.has_smpl | taken,
    )
    return labels, {reason: count for reason, count in notes.items() if count}
