"""Leeds Sports Pose extended (Johnson and Everingham, CVPR 2011) → annotations with 2D keypoints."""

from __future__ import annotations

from pathlib import Path

from hmr_light.data.converters.builder import AnnotationBuilder, box_around, in_j24, refuse_existing
from hmr_light.data.converters.files import read_mat, reading
from hmr_light.data.converters.summary import ConversionSummary, train_step
from hmr_light.data.progress import track
from hmr_light.errors import UserError


def convert(root: Path, out: Path) -> ConversionSummary:
    """Convert the folder `root` with `joints.mat` and the images; `out` (npz) must not exist yet.

    `joints.mat` holds `joints` (14, 3, N): x, y, and whether the joint is annotated. The i-th image by name is the i-th
    person: the PNGs beside the file in the high-resolution edition (HR-LSPET, which SPIN uses), the JPEGs in `images/`
    in the first one. SPIN's `hr_lspet.py` takes all 14 joints as annotated; the coordinates of the others mean nothing,
    so here their confidence is 0 and they do not widen the box. MATLAB counts pixels from 1; our labels from 0. Raises
    `UserError` if the file is of another format, or there are not as many images as people.
    """
    refuse_existing(out)
    source = root / "joints.mat"
    with reading(source, "LSP-extended's joints"):
        joints = read_mat(source, "joints")["joints"].astype(float)
        if joints.ndim != 3 or joints.shape[:2] != (14, 3):
            raise ValueError(f"'joints' is {joints.shape}, not (14, 3, N); LSP's own is source=lsp")
    images = sorted(root.glob("*.png")) or sorted((root / "images").glob("*.jpg"))
    if len(images) != joints.shape[2]:
        raise UserError(
            f"{source} is of {joints.shape[2]} people, but {root} has {len(images)} images",
            "A person's image is found by its place among all of them: fetch the missing ones, or remove the others.",
        )
    people = AnnotationBuilder()
    for index, image in enumerate(track(images, "converting")):
        points, known = joints[:, :2, index] - 1, joints[:, 2, index] > 0
        box = box_around(points[known])
        if box is None:
            people.drop("fewer than two joints annotated")
        else:
            people.keep(image.relative_to(root).as_posix(), box, part=in_j24(points, range(14), known))
            if not known.all():
                people.note("people with joints that are not annotated, which are left out")
    return people.save(out, source, root, train_step("lsp_extended", out, root))
