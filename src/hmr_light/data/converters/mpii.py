"""MPII Human Pose (Andriluka et al., CVPR 2014; human-pose.mpi-inf.mpg.de) → annotations with 2D keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmr_light.data.converters.builder import (
    AnnotationBuilder,
    SquareBox,
    image_path,
    in_j24,
    refuse_existing,
)
from hmr_light.data.converters.files import open_hdf5, read_mat, reading
from hmr_light.data.converters.summary import ConversionSummary, train_step
from hmr_light.data.progress import track

# Where MPII's 16 joints (right ankle … left ankle, pelvis, thorax, upper neck, head top, right wrist … left wrist)
# stand among the 24 joints (SPIN, `mpii.py`).
MPII_TO_J24 = (0, 1, 2, 3, 4, 5, 14, 15, 12, 13, 6, 7, 8, 9, 10, 11)


class _Person(NamedTuple):
    imgname: str
    center: np.ndarray
    scale: float
    joints: np.ndarray
    """(16, 2): x, y; zeros where a joint is not annotated."""


def convert(annotations: Path, images: Path, out: Path) -> ConversionSummary:
    """Convert MPII's training people, whose images are in the folder `images`; `out` (npz) must not exist yet.

    `annotations` is the published `mpii_human_pose_v1_u12_1.mat`, or the `train.h5` of Newell's stacked hourglass code
    (ECCV 2016), from which SPIN made its own: MPII's training people without those set aside for validation. Keeps
    those with all 16 joints annotated, SPIN's rule (`mpii.py`). The box is MPII's own: `objpos` and `scale`. MATLAB
    counts pixels from 1; our labels from 0. Raises `UserError` if the file is of another format or nobody is kept.
    """
    refuse_existing(out)
    hdf5 = annotations.suffix.lower() in (".h5", ".hdf5")
    people = AnnotationBuilder()
    with reading(annotations, "MPII's annotations"):
        persons = list(_read_hdf5(annotations) if hdf5 else _read_mat(annotations))
    for person in track(persons, "converting"):
        if person.joints.shape != (16, 2) or not (person.joints > 0).all():
            people.drop("not all 16 joints annotated")
        elif not (person.scale > 0 and np.isfinite(person.center).all()):
            people.drop("no box")
        elif not image_path(images, person.imgname, annotations).is_file():
            people.drop("image missing")
        else:
            x, y = map(float, person.center - 1)
            people.keep(person.imgname, SquareBox((x, y), person.scale), part=in_j24(person.joints - 1, MPII_TO_J24))
    return people.save(
        out,
        annotations,
        images,
        train_step("mpii", out, images),
        f"Give the folder of images (now {images}).",
    )


def _read_hdf5(path: Path) -> Iterator[_Person]:
    with open_hdf5(path) as file:
        columns = (file[key][()] for key in ("imgname", "center", "scale", "part"))
        for name, center, scale, joints in zip(*columns, strict=True):
            yield _Person(name.decode(), center, float(scale), np.asarray(joints, np.float64))


def _read_mat(path: Path) -> Iterator[_Person]:
    """The people of RELEASE.annolist(i).annorect(j) in images of the training set."""
    (release,) = read_mat(path, "RELEASE")["RELEASE"].ravel()
    for image, train in zip(release.annolist.ravel(), release.img_train.ravel(), strict=True):
        if not train:
            continue
        name = str(image.image[0, 0].name[0])
        for person in image.annorect.ravel():
            joints = np.zeros((16, 2))
            for point in _points(person):
                joints[int(point.id[0, 0])] = float(point.x[0, 0]), float(point.y[0, 0])
            center, scale = _box(person)
            yield _Person(name, center, scale, joints)


def _points(person: Any) -> list[Any]:
    """The annotated joints of a person; many have none, and some not even the field."""
    points = getattr(person, "annopoints", None)
    return list(points[0, 0].point.ravel()) if points is not None and points.size else []


def _box(person: Any) -> tuple[np.ndarray, float]:
    """Centre and scale; scale 0 where a person has none."""
    scale, objpos = getattr(person, "scale", None), getattr(person, "objpos", None)
    if scale is None or objpos is None or not scale.size or not objpos.size:
        return np.zeros(2), 0.0
    return np.array([float(objpos[0, 0].x[0, 0]), float(objpos[0, 0].y[0, 0])]), float(scale[0, 0])
