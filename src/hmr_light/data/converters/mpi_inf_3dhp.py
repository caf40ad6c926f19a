"""MPI-INF-3DHP (Mehta et al., 3DV 2017; vcai.mpi-inf.mpg.de/3dhp-dataset) → annotations with 3D joints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from hmr_light.config.hints import command_line
from hmr_light.data.converters.builder import (
    J17_TO_J24,
    AnnotationBuilder,
    box_around,
    in_j24,
    inside,
    refuse_existing,
)
from hmr_light.data.converters.files import open_hdf5, read_mat, reading
from hmr_light.data.converters.summary import ConversionSummary, evaluate_step
from hmr_light.data.converters.video import extract_frames
from hmr_light.data.progress import track
from hmr_light.errors import UserError

# All of this is SPIN's `mpi_inf_3dhp.py`. Which of the 28 joints of the training set, and which of the 17 of the test
# set, are the 17 joints of Human3.6M's figure (`H36M_NAMES`); the first is the root.
TRAIN_TO_J17 = (4, 18, 19, 20, 23, 24, 25, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16)
TEST_TO_J17 = (14, 11, 12, 13, 8, 9, 10, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)
TRAIN_SEQUENCES = tuple(f"S{subject}/Seq{sequence}" for subject in range(1, 9) for sequence in (1, 2))
# The cameras at the height of a person's chest and knees; the others look down from the ceiling.
TRAIN_CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
TRAIN_SIZE = (2048, 2048)
TRAIN_STRIDE = 10
TEST_SEQUENCES = tuple(f"mpi_inf_3dhp_test_set/TS{number}" for number in range(1, 7))


class _Frame(NamedTuple):
    number: int
    """Counted from 0."""
    points: np.ndarray
    """(17, 2), pixels."""
    joints: np.ndarray
    """(17, 3), metres relative to the root, camera frame."""


def convert(root: Path, out: Path, *, split: Literal["train", "test"] = "train") -> ConversionSummary:
    """Convert the folder `root` with `S1/Seq1/…` or with `mpi_inf_3dhp_test_set/TS1/…`; `out` must not exist yet.

    train: of S1–S8 and cameras 0–2 and 4–8, one in ten of the people with all 17 joints inside the image. Their frames
    are taken from `imageSequence/video_<camera>.avi` to `imageFrames/video_<camera>/frame_000001.jpg` …; those that are
    there already are kept.

    test: the frames that `valid_frame` names and that have all 17 joints inside the image; 3D from `univ_annot3`, in
    which everyone has the same height, the official protocol's choice. Images come with the dataset.

    The box is around the joints, with a margin of 1.2; `S` is relative to the pelvis. Raises `UserError` for files of
    another layout.
    """
    refuse_existing(out)
    people = AnnotationBuilder()
    if split == "train":
        _convert_train(root, people)
        places = {"data.root": root, "data.train.mpi_inf_3dhp.annotations": out}
        next_step = command_line("train", {"data": "mpi_inf_3dhp"} | places)
        remedy = f"The videos belong into {root / TRAIN_SEQUENCES[0] / 'imageSequence'} and its like."
    else:
        _convert_test(root, people)
        next_step = evaluate_step("mpi_inf_3dhp_test", "mpi_inf_3dhp", out, {"data.root": root})
        remedy = f"The images belong into {root / TEST_SEQUENCES[0] / 'imageSequence'} and its like."
    return people.save(out, root, root, next_step, remedy)


def _convert_train(root: Path, people: AnnotationBuilder) -> None:
    sequences = _present(root, TRAIN_SEQUENCES, "annot.mat")
    videos = [(sequence, camera) for sequence in sequences for camera in TRAIN_CAMERAS]
    visible = 0
    for sequence, camera in track(videos, "converting"):
        source = root / sequence / "annot.mat"
        with reading(source, "MPI-INF-3DHP's training annotations"):
            frames = list(_read_train(source, camera))
        chosen = []
        for frame in frames:
            if not inside(frame.points, *TRAIN_SIZE).all():
                people.drop("joints outside the image")
                continue
            if visible % TRAIN_STRIDE == 0:
                chosen.append(frame)
            else:
                people.drop(f"not one in {TRAIN_STRIDE}")
            visible += 1
        folder = f"{sequence}/imageFrames/video_{camera}"
        names = {frame.number: f"{folder}/frame_{frame.number + 1:06d}.jpg" for frame in chosen}
        video = root / sequence / "imageSequence" / f"video_{camera}.avi"
        there = extract_frames(video, {number: root / name for number, name in names.items()})
        for frame in chosen:
            _keep(people, frame, names[frame.number], frame.number in there)


def _convert_test(root: Path, people: AnnotationBuilder) -> None:
    for sequence in track(_present(root, TEST_SEQUENCES, "annot_data.mat"), "converting"):
        source = root / sequence / "annot_data.mat"
        with reading(source, "MPI-INF-3DHP's test annotations"):
            frames, left_out = _read_test(source)
        people.drop("not a valid frame", left_out)
        size: tuple[int, int] | None = None
        for frame in frames:
            name = f"{sequence}/imageSequence/img_{frame.number + 1:06d}.jpg"
            exists = (root / name).is_file()
            if exists and size is None:  # all images of a sequence have the same
                size = _image_size(root / name)
            if size is not None and not inside(frame.points, *size).all():
                people.drop("joints outside the image")
            else:
                _keep(people, frame, name, exists)


def _keep(people: AnnotationBuilder, frame: _Frame, name: str, exists: bool) -> None:
    box = box_around(frame.points)
    if not exists:
        people.drop("image missing")
    elif box is None:
        people.drop("no box")
    else:
        part, joints = in_j24(frame.points, J17_TO_J24), in_j24(frame.joints, J17_TO_J24)
        people.keep(name, box, part=part, S=joints)


def _present(root: Path, sequences: tuple[str, ...], annotations: str) -> list[str]:
    """Those of `sequences` that are in `root`, so that a part of the set can be converted."""
    present = [sequence for sequence in sequences if (root / sequence / annotations).is_file()]
    if not present:
        raise UserError(
            f"there is no {root / sequences[0] / annotations}, nor another sequence's",
            "Give the folder of MPI-INF-3DHP (source.root=); data/README.md says what it holds.",
        )
    return present


def _read_train(path: Path, camera: int) -> Iterator[_Frame]:
    """The frames of one camera: cells of (F, 28 x 2) pixels and (F, 28 x 3) millimetres, one a camera."""
    cells = read_mat(path, "annot2", "annot3")
    points = np.asarray(cells["annot2"].ravel()[camera], float).reshape(-1, 28, 2)[:, TRAIN_TO_J17]
    joints = np.asarray(cells["annot3"].ravel()[camera], float).reshape(-1, 28, 3)[:, TRAIN_TO_J17]
    for number, (pixels, millimetres) in enumerate(zip(points, joints, strict=True)):
        yield _Frame(number, pixels, (millimetres - millimetres[0]) / 1000)


def _read_test(path: Path) -> tuple[list[_Frame], int]:
    """The valid frames, and how many are not. (F, 1, 17, D) in HDF5, where MATLAB has (D, 17, 1, F)."""
    with open_hdf5(path) as file:
        points = file["annot2"][()].astype(float)[:, 0, TEST_TO_J17]
        joints = file["univ_annot3"][()].astype(float)[:, 0, TEST_TO_J17]
        valid = file["valid_frame"][()].ravel().astype(bool)
    joints = (joints - joints[:, :1]) / 1000
    frames = [_Frame(int(number), points[number], joints[number]) for number in np.flatnonzero(valid)]
    return frames, int((~valid).sum())


def _image_size(path: Path) -> tuple[int, int]:
    """Width and height, pixels."""
    image = cv2.imread(str(path))
    if image is None:
        raise UserError(f"{path} is not an image, or a damaged one", "Fetch it again.")
    return image.shape[1], image.shape[0]
