"""The MPI-INF-3DHP converter, on annotations (MATLAB cells; HDF5) and videos laid out as they are published."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from hmr_light.body.joints import J24_NAMES
from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.mpi_inf_3dhp import convert
from hmr_light.errors import UserError

# The joints in the dataset's own order and names, as its documentation lists them.
TRAIN_NAMES = (
    "spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top", "left_clavicle", "left_shoulder",
    "left_elbow", "left_wrist", "left_hand", "right_clavicle", "right_shoulder", "right_elbow", "right_wrist",
    "right_hand", "left_hip", "left_knee", "left_ankle", "left_foot", "left_toe", "right_hip", "right_knee",
    "right_ankle", "right_foot", "right_toe",
)  # fmt: skip
TEST_NAMES = (
    "head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head",
)  # fmt: skip
OURS = {
    "pelvis_mpii": "pelvis", "spine_h36m": "spine", "neck_lsp": "neck", "jaw_h36m": "head", "head_h36m": "head_top",
    "right_hip_lsp": "right_hip", "left_hip_lsp": "left_hip",
} | {f"{side}_{part}": f"{side}_{part}"
     for side in ("left", "right") for part in ("shoulder", "elbow", "wrist", "knee", "ankle")}  # fmt: skip
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
FRAMES = 23


def by_name(names: tuple[str, ...], values: np.ndarray) -> np.ndarray:
    """(24, D + 1) from `values` (K, D), joint by joint."""
    result = np.zeros((24, values.shape[1] + 1))
    for ours, theirs in OURS.items():
        result[J24_NAMES.index(ours)] = [*values[names.index(theirs)], 1]
    return result


def write_video(path: Path, frames: int) -> None:
    """Each frame is of one grey, by which it can be told."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 32))
    for number in range(frames):
        writer.write(np.full((32, 32, 3), 10 * number, np.uint8))
    writer.release()


def write_train(root: Path, rng: np.random.Generator, sequence: str, videos: int = FRAMES) -> tuple[np.ndarray, ...]:
    """annot.mat with a cell a camera (14 of them), and the cameras' videos; returns points and joints, camera first.

    Two people are partly outside the image: camera 1, frame 4, and camera 2, frame 0.
    """
    points = rng.uniform(0, 2048, (14, FRAMES, 28, 2))
    joints = rng.uniform(-900, 900, (14, FRAMES, 28, 3))
    points[0, 2, TRAIN_NAMES.index("left_toe")] = -5  # not one of the 17 that count
    points[1, 4, TRAIN_NAMES.index("neck"), 0] = 2048
    points[2, 0, TRAIN_NAMES.index("left_knee"), 1] = -0.1
    folder = root / sequence
    folder.mkdir(parents=True)
    annot2, annot3 = np.empty((14, 1), object), np.empty((14, 1), object)
    for camera in range(14):
        annot2[camera, 0] = points[camera].reshape(FRAMES, 56)
        annot3[camera, 0] = joints[camera].reshape(FRAMES, 84)
    savemat(folder / "annot.mat", {"annot2": annot2, "annot3": annot3, "cameras": np.arange(14.0)})
    for camera in CAMERAS:
        write_video(folder / "imageSequence" / f"video_{camera}.avi", videos)
    return points, joints


@pytest.mark.parametrize("seed", [21, 22])
def test_training_people_are_one_in_ten_of_the_visible_with_their_own_frames(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = tmp_path / "mpi"
    sequences = ("S1/Seq1", "S1/Seq2", "S8/Seq2")
    expected, outside, visible = [], 0, 0
    for sequence in sequences:
        points, joints = write_train(root, rng, sequence)
        for camera in CAMERAS:
            for frame in range(FRAMES):
                if (camera, frame) in ((1, 4), (2, 0)):
                    outside += 1
                    continue
                if visible % 10 == 0:
                    root_relative = (joints[camera, frame] - joints[camera, frame, 4]) / 1000
                    expected.append((sequence, camera, frame, points[camera, frame], root_relative))
                visible += 1
    summary = convert(root, root / "train.npz")
    assert summary.kept == len(expected)
    assert summary.dropped == {"not one in 10": visible - len(expected), "joints outside the image": outside}
    labels = load_annotations(root / "train.npz")
    for index, (sequence, camera, frame, points, joints) in enumerate(expected):
        name = f"{sequence}/imageFrames/video_{camera}/frame_{frame + 1:06d}.jpg"
        assert labels.imgname[index] == name
        assert cv2.imread(str(root / name)).mean() == pytest.approx(10 * frame, abs=4)
        part = by_name(TRAIN_NAMES, points)
        np.testing.assert_allclose(labels.part[index], part, rtol=1e-5)
        np.testing.assert_allclose(labels.S[index], by_name(TRAIN_NAMES, joints), atol=1e-5)
        low, high = part[part[:, 2] > 0, :2].min(0), part[:, :2].max(0)
        np.testing.assert_allclose(labels.center[index], (low + high) / 2, rtol=1e-5)
        assert labels.scale[index] == pytest.approx(1.2 * (high - low).max() / 200)
    frames = list(root.rglob("*.jpg"))
    assert len(frames) == len(expected)


def test_frames_that_are_there_are_kept_and_missing_ones_counted(tmp_path: Path) -> None:
    write_train(tmp_path, np.random.default_rng(23), "S2/Seq1", videos=12)
    first = convert(tmp_path, tmp_path / "first.npz")
    # Of 23 frames a camera and one in ten: frame 20 of camera 0, and others, are beyond the end of the videos.
    assert first.dropped["image missing"] > 0
    frames = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    assert len(frames) == first.kept
    lost = min(frames)
    lost.unlink()
    second = convert(tmp_path, tmp_path / "second.npz")
    assert second.kept == first.kept
    changed = {path for path, time in frames.items() if path.stat().st_mtime_ns != time}
    assert changed == {lost}
    assert not list(tmp_path.rglob("*.part"))


def write_test(root: Path, rng: np.random.Generator, sequence: str, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    folder = root / "mpi_inf_3dhp_test_set" / sequence
    (folder / "imageSequence").mkdir(parents=True)
    points = rng.uniform(0, 1, (8, 1, 17, 2)) * size
    joints, metric = rng.uniform(-900, 900, (2, 8, 1, 17, 3))
    points[3, 0, 5, 0] = size[0] + 1
    valid = np.ones((8, 1))
    valid[[0, 6]] = 0
    with h5py.File(folder / "annot_data.mat", "w") as file:
        file["annot2"], file["univ_annot3"], file["annot3"], file["valid_frame"] = points, joints, metric, valid
    for frame in range(8):
        name = folder / "imageSequence" / f"img_{frame + 1:06d}.jpg"
        cv2.imwrite(str(name), np.zeros((size[1], size[0], 3), np.uint8))
    return points[:, 0], joints[:, 0]


@pytest.mark.parametrize("seed", [24, 25])
def test_test_people_are_the_valid_and_visible_in_the_universal_frame(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected = []
    for sequence, size in (("TS1", (64, 64)), ("TS6", (96, 54))):
        points, joints = write_test(tmp_path, rng, sequence, size)
        expected += [(sequence, frame, points[frame], joints[frame]) for frame in (1, 2, 4, 5, 7)]
    summary = convert(tmp_path, tmp_path / "test.npz", split="test")
    assert (summary.kept, summary.dropped) == (10, {"not a valid frame": 4, "joints outside the image": 2})
    labels = load_annotations(tmp_path / "test.npz")
    for index, (sequence, frame, points, joints) in enumerate(expected):
        assert labels.imgname[index] == f"mpi_inf_3dhp_test_set/{sequence}/imageSequence/img_{frame + 1:06d}.jpg"
        np.testing.assert_allclose(labels.part[index], by_name(TEST_NAMES, points), rtol=1e-5)
        relative = (joints - joints[TEST_NAMES.index("pelvis")]) / 1000
        np.testing.assert_allclose(labels.S[index], by_name(TEST_NAMES, relative), atol=1e-5)


def test_files_of_another_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*annot\.mat"):
        convert(tmp_path, tmp_path / "train.npz")
    with pytest.raises(UserError, match=r"there is no .*annot_data\.mat"):
        convert(tmp_path, tmp_path / "test.npz", split="test")
    for folder, name in (("S1/Seq1", "annot.mat"), ("mpi_inf_3dhp_test_set/TS2", "annot_data.mat")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_bytes(b"not what it should be" * 40)
    with pytest.raises(UserError, match=r"annot\.mat is not laid out"):
        convert(tmp_path, tmp_path / "train.npz")
    with pytest.raises(UserError, match=r"annot_data\.mat is not laid out"):
        convert(tmp_path, tmp_path / "test.npz", split="test")
    assert not list(tmp_path.glob("*.npz"))


def test_a_damaged_video_is_refused(tmp_path: Path) -> None:
    write_train(tmp_path, np.random.default_rng(26), "S2/Seq1")
    (tmp_path / "S2/Seq1/imageSequence/video_0.avi").write_bytes(b"RIFF" + bytes(50))
    with pytest.raises(UserError, match=r"video_0\.avi is not a video"):
        convert(tmp_path, tmp_path / "train.npz")
    assert not (tmp_path / "train.npz").exists()
