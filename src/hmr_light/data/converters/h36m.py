"""Human3.6M's test subjects (Ionescu et al., PAMI 2014; vision.imar.ro/human3.6m) → annotations with 3D joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from hmr_light.data.converters.builder import (
    J17_TO_J24,
    AnnotationBuilder,
    SquareBox,
    in_j24,
    refuse_existing,
)
from hmr_light.data.converters.files import open_hdf5, read_cdf, reading
from hmr_light.data.converters.summary import ConversionSummary, evaluate_step
from hmr_light.data.converters.video import extract_frames
from hmr_light.data.progress import track
from hmr_light.errors import UserError

# Which of the 32 joints are the 17 that papers use (`H36M_NAMES`); the first is the root (SPIN, `h36m.py`).
H36M_TO_J17 = (11, 6, 7, 8, 1, 2, 3, 12, 24, 14, 15, 17, 18, 19, 25, 26, 27)
SUBJECTS = ("S9", "S11")
# Of 50 frames a second; other codes take one in 64.
STRIDE = 5
# Protocol 2 is evaluated on the frontal camera alone.
FRONTAL_CAMERA = "60457274"
# Of the box around the person's silhouette.
MARGIN = 0.9


class _Sequence(NamedTuple):
    subject: str
    file: str
    """Name of its files but for the suffix: action, a number for some, and camera, as in `Directions 1.60457274`."""


def convert(root: Path, out: Path, *, protocol: Literal[1, 2] = 1) -> ConversionSummary:
    """Convert S9 and S11 of the folder `root`, one frame in five; `out` (npz) must not exist yet.

    Protocol 1 is all four cameras, protocol 2 the frontal one. A subject's folder holds
    `MyPoseFeatures/D3_Positions_mono/*.cdf` (joints in the camera frame, mm), `MySegmentsMat/ground_truth_bb/*.mat`
    (silhouettes, whose box x 0.9 is the person's) and `Videos/*.mp4`, whose frames are written to
    `root/images/S9_Directions_1.60457274_000001.jpg` …; those that are there already are kept. With
    `MyPoseFeatures/D2_Positions/*.cdf` beside them the 2D joints are labelled, too. `S` is relative to the pelvis.

    As in SPIN's `h36m.py`, but that the frame of a label is the video's frame of the same number, where SPIN has
    the next one. Raises `UserError` for files of another layout.
    """
    refuse_existing(out)
    people = AnnotationBuilder()
    for sequence in track(_sequences(root, protocol), "converting"):
        _convert_sequence(root, sequence, people)
    name = f"h36m_p{protocol}"
    step = evaluate_step(name, name, out, {"data.root": root})
    remedy = f"The videos belong into {root / SUBJECTS[0] / 'Videos'} and {root / SUBJECTS[1] / 'Videos'}."
    return people.save(out, root, root, step, remedy)


def _sequences(root: Path, protocol: int) -> list[_Sequence]:
    sequences = [
        _Sequence(subject, path.stem)
        for subject in SUBJECTS
        for path in sorted((root / subject / "MyPoseFeatures" / "D3_Positions_mono").glob("*.cdf"))
        if not path.name.startswith("_ALL") and (protocol == 1 or path.stem.endswith(f".{FRONTAL_CAMERA}"))
    ]
    if not sequences:
        raise UserError(
            f"there are no 3D positions (*.cdf) in {root / SUBJECTS[0] / 'MyPoseFeatures' / 'D3_Positions_mono'}",
            "Give the folder of Human3.6M (source.root=); data/README.md says what it holds.",
        )
    return sequences


def _convert_sequence(root: Path, sequence: _Sequence, people: AnnotationBuilder) -> None:
    joints = _read_joints(root, "D3_Positions_mono", sequence, 3)
    assert joints is not None
    joints = (joints - joints[:, :1]) / 1000
    points = _read_joints(root, "D2_Positions", sequence, 2)
    numbers = range(0, len(joints), STRIDE)
    boxes = _read_boxes(root / sequence.subject / "MySegmentsMat" / "ground_truth_bb" / f"{sequence.file}.mat", numbers)
    stem = f"images/{sequence.subject}_{sequence.file.replace(' ', '_')}"
    names = {number: f"{stem}_{number + 1:06d}.jpg" for number in numbers}
    video = root / sequence.subject / "Videos" / f"{sequence.file}.mp4"
    there = extract_frames(video, {number: root / name for number, name in names.items()})
    people.drop(f"not one in {STRIDE}", len(joints) - len(numbers))
    for number in numbers:
        box = boxes.get(number)
        if number not in there:
            people.drop("image missing")
        elif box is None:
            people.drop("no silhouette")
        else:
            part = np.zeros((24, 3)) if points is None else in_j24(points[number], J17_TO_J24)
            people.keep(names[number], box, part=part, S=in_j24(joints[number], J17_TO_J24))
            if points is None:
                people.note("no 2D joints: there is no MyPoseFeatures/D2_Positions")


def _read_joints(root: Path, kind: str, sequence: _Sequence, dimensions: int) -> np.ndarray | None:
    """(F, 17, `dimensions`) of the variable `Pose` (1, F, 32 x `dimensions`); none where there is no D2_Positions."""
    path = root / sequence.subject / "MyPoseFeatures" / kind / f"{sequence.file}.cdf"
    if kind == "D2_Positions" and not path.is_file():
        return None
    with reading(path, "Human3.6M's positions"):
        pose = np.asarray(read_cdf(path, "Pose"), float)
        return pose.reshape(-1, 32, dimensions)[:, H36M_TO_J17]


def _read_boxes(path: Path, numbers: range) -> dict[int, SquareBox]:
    """The box of each of the frames `numbers` that has a silhouette."""
    boxes = {}
    with reading(path, "Human3.6M's silhouettes"), open_hdf5(path) as file:
        masks = file["Masks"][()].ravel()
        for number in numbers:
            box = _box(file[masks[number]][()]) if number < len(masks) else None
            if box is not None:
                boxes[number] = box
    return boxes


def _box(mask: Any) -> SquareBox | None:
    """The box of a silhouette (width, height), as HDF5 has MATLAB's images."""
    mask = np.asarray(mask) == 1
    columns, rows = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(columns):
        return None
    # From the first pixel's outer edge to the last one's.
    side = max(columns[-1] - columns[0], rows[-1] - rows[0]) + 1
    center = (float(columns[0] + columns[-1]) / 2, float(rows[0] + rows[-1]) / 2)
    return SquareBox(center, float(side) * MARGIN / 200)
