"""Leeds Sports Pose (Johnson and Everingham, BMVC 2010) → annotations with 2D keypoints."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hmr_light.data.converters.builder import AnnotationBuilder, box_around, in_j24, refuse_existing
from hmr_light.data.converters.files import read_mat, reading
from hmr_light.data.converters.summary import ConversionSummary, evaluate_step, train_step
from hmr_light.data.progress import track

# The first half of the 2,000 images is for training, the second for testing (the dataset's own readme).
SPLITS = {"train": range(0, 1000), "test": range(1000, 2000)}


def convert(root: Path, out: Path, *, split: Literal["train", "test"] = "train") -> ConversionSummary:
    """Convert the folder `root` with `joints.mat` and `images/im0001.jpg` …; `out` (npz) must not exist yet.

    `joints.mat` holds `joints` (3, 14, 2000): x, y, and whether the joint is hidden; where it is, is annotated all the
    same, so everyone is kept with all 14 joints (the first of our 24), as in SPIN's `lsp_dataset_original.py` and
    `lsp_dataset.py`. MATLAB counts pixels from 1; our labels from 0. Raises `UserError` if the file is of another
    format or nobody is kept.
    """
    refuse_existing(out)
    source = root / "joints.mat"
    with reading(source, "LSP's joints"):
        joints = read_mat(source, "joints")["joints"].astype(float)
        if joints.ndim != 3 or joints.shape[:2] != (3, 14):
            raise ValueError(f"'joints' is {joints.shape}, not (3, 14, 2000); LSP-extended's is source=lsp_extended")
    people = AnnotationBuilder()
    for index in track([index for index in SPLITS[split] if index < joints.shape[2]], "converting"):
        points = joints[:2, :, index].T - 1
        name = f"images/im{index + 1:04d}.jpg"
        box = box_around(points)
        if box is None:
            people.drop("no box")
        elif not (root / name).is_file():
            people.drop("image missing")
        else:
            people.keep(name, box, part=in_j24(points, range(14)))
    step = train_step("lsp", out, root)
    if split == "test":
        step = evaluate_step("lsp_test", "lsp_test", out, {"data.evaluation.lsp_test.images": root})
    return people.save(out, source, root, step, f"The images belong into {root / 'images'}.")
