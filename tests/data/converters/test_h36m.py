"""The Human3.6M converter, on positions (CDF), silhouettes (HDF5) and videos laid out as they are published."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from cdflib.cdfwrite import CDF

from hmr_light.body.joints import J24_NAMES
from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.h36m import convert
from hmr_light.errors import UserError

# Human3.6M's 32 joints that have a name of their own, by their place; the neck is where a collar bone begins.
H36M_32 = {
    "pelvis_mpii": 11, "right_hip_lsp": 1, "right_knee": 2, "right_ankle": 3, "left_hip_lsp": 6, "left_knee": 7,
    "left_ankle": 8, "spine_h36m": 12, "neck_lsp": 24, "jaw_h36m": 14, "head_h36m": 15, "left_shoulder": 17,
    "left_elbow": 18, "left_wrist": 19, "right_shoulder": 25, "right_elbow": 26, "right_wrist": 27,
}  # fmt: skip
FRAMES = 12


def write_cdf(path: Path, pose: np.ndarray, majority: str) -> None:
    """One record (F, D) of the variable Pose; the format allows either order of its numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = CDF(path, cdf_spec={"Majority": majority})
    stored = pose if majority == "row_major" else np.ascontiguousarray(pose.T).reshape(pose.shape)
    spec = {
        "Variable": "Pose", "Data_Type": writer.CDF_FLOAT, "Num_Elements": 1, "Rec_Vary": True,
        "Var_Type": "zVariable", "Dim_Sizes": list(pose.shape),
    }  # fmt: skip
    writer.write_var(spec, var_data=stored[None].astype(np.float32))
    writer.close()


def write_sequence(
    root: Path, rng: np.random.Generator, subject: str, name: str, *, flat: bool = True, videos: int = FRAMES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The four files of a sequence; returns joints (F, 32, 3) mm, points (F, 32, 2), boxes (F, 4: x0, y0, x1, y1)."""
    joints, points = rng.normal(0, 700, (FRAMES, 32, 3)), rng.uniform(0, 1000, (FRAMES, 32, 2))
    poses = root / subject / "MyPoseFeatures"
    write_cdf(poses / "D3_Positions_mono" / f"{name}.cdf", joints.reshape(FRAMES, 96), "column_major")
    if flat:
        write_cdf(poses / "D2_Positions" / f"{name}.cdf", points.reshape(FRAMES, 64), "row_major")
    low, size = rng.integers(0, 20, (FRAMES, 2)), rng.integers(1, 20, (FRAMES, 2))
    folder = root / subject / "MySegmentsMat" / "ground_truth_bb"
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / f"{name}.mat", "w") as file:
        masks = file.create_dataset("Masks", (FRAMES, 1), h5py.ref_dtype)
        for frame, ((x, y), (width, height)) in enumerate(zip(low, size, strict=True)):
            mask = np.zeros((48, 40), np.uint8)  # rows, columns; HDF5 has MATLAB's axes the other way round
            mask[y : y + height, x : x + width] = 1
            masks[frame, 0] = file.create_dataset(f"#refs#/{frame}", data=mask.T).ref
    path = root / subject / "Videos" / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 50, (64, 64))
    for number in range(videos):
        writer.write(np.full((64, 64, 3), 20 * number, np.uint8))
    writer.release()
    return joints, points, np.concatenate([low, low + size], 1)


@pytest.mark.parametrize("seed", [31, 32])
@pytest.mark.parametrize("protocol", [1, 2])
def test_every_fifth_frame_of_the_protocols_cameras(tmp_path: Path, protocol: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sequences = [
        ("S9", "Directions 1.54138969"), ("S9", "Directions 1.60457274"), ("S11", "WalkTogether.55011271"),
        ("S11", "WalkTogether.60457274"),
    ]  # fmt: skip
    content = {sequence: write_sequence(tmp_path, rng, *sequence) for sequence in sequences}
    write_sequence(tmp_path, rng, "S11", "_ALL.60457274")
    write_sequence(tmp_path, rng, "S1", "Directions.60457274")
    chosen = [sequence for sequence in sequences if protocol == 1 or "60457274" in sequence[1]]
    summary = convert(tmp_path, tmp_path / "h36m.npz", protocol=protocol)  # type: ignore[arg-type]
    assert (summary.kept, summary.dropped) == (3 * len(chosen), {"not one in 5": 9 * len(chosen)})
    labels = load_annotations(tmp_path / "h36m.npz")
    people = [(subject, name, frame) for subject, name in chosen for frame in (0, 5, 10)]
    for index, (subject, name, frame) in enumerate(people):
        image = f"images/{subject}_{name.replace(' ', '_')}_{frame + 1:06d}.jpg"
        assert labels.imgname[index] == image
        assert cv2.imread(str(tmp_path / image)).mean() == pytest.approx(20 * frame, abs=6)
        joints, points, boxes = (one[frame] for one in content[subject, name])
        expected, part = np.zeros((24, 4)), np.zeros((24, 3))
        for joint, place in H36M_32.items():
            expected[J24_NAMES.index(joint)] = [*(joints[place] - joints[11]) / 1000, 1]
            part[J24_NAMES.index(joint)] = [*points[place], 1]
        np.testing.assert_allclose(labels.S[index], expected, atol=1e-5)
        np.testing.assert_allclose(labels.part[index], part, rtol=1e-5)
        # Pixels' centres are whole numbers: a silhouette from x0 to x1 (excluded) is centred half a pixel before.
        np.testing.assert_allclose(labels.center[index], (boxes[:2] + boxes[2:] - 1) / 2)
        assert labels.scale[index] == pytest.approx(0.9 * (boxes[2:] - boxes[:2]).max() / 200)
    assert len(list((tmp_path / "images").iterdir())) == len(people)


def test_without_2d_positions_there_are_no_2d_labels_and_a_short_video_is_counted(tmp_path: Path) -> None:
    write_sequence(tmp_path, np.random.default_rng(33), "S9", "Eating.60457274", flat=False, videos=6)
    summary = convert(tmp_path, tmp_path / "h36m.npz")
    assert (summary.kept, summary.dropped) == (2, {"not one in 5": 9, "image missing": 1})
    assert not load_annotations(tmp_path / "h36m.npz").part.any()
    # The frames are there: the same conversion needs the video no more.
    (tmp_path / "S9" / "Videos" / "Eating.60457274.mp4").unlink()
    assert convert(tmp_path, tmp_path / "again.npz").kept == 2


def test_frames_without_a_silhouette_are_counted(tmp_path: Path) -> None:
    write_sequence(tmp_path, np.random.default_rng(34), "S9", "Eating.60457274")
    with h5py.File(tmp_path / "S9/MySegmentsMat/ground_truth_bb/Eating.60457274.mat", "r+") as file:
        file["#refs#/5"][...] = 0
    summary = convert(tmp_path, tmp_path / "h36m.npz")
    assert (summary.kept, summary.dropped) == (2, {"not one in 5": 9, "no silhouette": 1})


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("MyPoseFeatures/D3_Positions_mono/Eating.60457274.cdf", "is not laid out as Human3.6M's positions"),
        ("MyPoseFeatures/D2_Positions/Eating.60457274.cdf", "is not laid out as Human3.6M's positions"),
        ("MySegmentsMat/ground_truth_bb/Eating.60457274.mat", "is not laid out as Human3.6M's silhouettes"),
        ("Videos/Eating.60457274.mp4", "is not a video"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, file: str, message: str) -> None:
    write_sequence(tmp_path, np.random.default_rng(35), "S9", "Eating.60457274")
    (tmp_path / "S9" / file).write_bytes(b"damaged " * 64)
    with pytest.raises(UserError, match=message) as caught:
        convert(tmp_path, tmp_path / "h36m.npz")
    assert file in caught.value.message
    assert not (tmp_path / "h36m.npz").exists()


def test_missing_parts_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no 3D positions"):
        convert(tmp_path, tmp_path / "h36m.npz")
    write_sequence(tmp_path, np.random.default_rng(36), "S9", "Eating.60457274")
    (tmp_path / "S9/MySegmentsMat/ground_truth_bb/Eating.60457274.mat").unlink()
    with pytest.raises(UserError, match=r"there is no .*ground_truth_bb.*mat"):
        convert(tmp_path, tmp_path / "h36m.npz")


@pytest.mark.parametrize("package", ["h5py", "cdflib"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    write_sequence(tmp_path, np.random.default_rng(37), "S9", "Eating.60457274")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=package) as caught:
        convert(tmp_path, tmp_path / "h36m.npz")
    assert "hmr-light[datasets]" in caught.value.remedy
