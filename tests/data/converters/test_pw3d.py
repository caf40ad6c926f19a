"""The 3DPW converter, on sequence files as they are published: Python 2 pickles of lists and arrays."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr_light.body.joints import J24_NAMES, JOINT_NAMES_24_SMPL, OPENPOSE25_NAMES
from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.pw3d import convert
from hmr_light.errors import UserError

COCO18_NAMES = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
LIMBS = [f"{side}_{part}" for side in ("left", "right") for part in ("ankle", "knee", "wrist", "elbow", "shoulder")]
FRAMES = 5


def sequence(rng: np.random.Generator, name: str, people: int) -> dict[str, Any]:
    cameras = np.tile(np.eye(4), (FRAMES, 1, 1))
    cameras[:, :3, :3] = Rotation.random(FRAMES, rng=rng).as_matrix()
    cameras[:, :3, 3] = rng.normal(size=(FRAMES, 3))
    # People stand four metres in front of each camera, so in the world somewhere else in every frame.
    seen = rng.normal(0, 0.5, (people, FRAMES, 24, 3)) + np.array([0, 0, 4])
    world = (seen - cameras[:, None, :3, 3]) @ cameras[:, :3, :3]
    detections = rng.uniform(1, 1000, (people, FRAMES, 3, 18))
    detections[:, :, 2] = rng.uniform(0.1, 1, (people, FRAMES, 18))
    detections[0, 1, :, 7:] = 0
    return {
        "sequence": name,
        "poses": list(rng.normal(size=(people, FRAMES, 72))),
        "betas": list(rng.normal(size=(people, 300))),
        "trans": list(rng.normal(size=(people, FRAMES, 3))),
        "poses2d": list(detections),
        "jointPositions": list(world.reshape(people, FRAMES, 72)),
        "cam_poses": cameras,
        "campose_valid": [np.ones(FRAMES, np.int8) for _ in range(people)],
        "cam_intrinsics": np.array([[1962.0, 0, 540], [0, 1969, 960], [0, 0, 1]]),
        "genders": ["m", "f"][:people],
        "img_frame_ids": np.arange(FRAMES) * 2,
        "poses_60Hz": [],
        "texture_maps": [],
        "v_template_clothed": [],
        "seen": seen,
    }


def write(root: Path, split: str, content: dict[str, Any]) -> Path:
    path = root / "sequenceFiles" / split / f"{content['sequence']}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = pickle.dumps({key: value for key, value in content.items() if key != "seen"}, protocol=2)
    path.write_bytes(data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    folder = root / "imageFiles" / content["sequence"]
    folder.mkdir(parents=True)
    for frame in range(FRAMES):
        (folder / f"image_{frame:05d}.jpg").touch()
    return path


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("seed", [41, 42])
def test_people_are_in_the_camera_frame_with_the_labels_of_their_frame(tmp_path: Path, split: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    contents = [sequence(rng, "courtyard_a_00", 2), sequence(rng, "downtown_b_01", 1)]
    for content in contents:
        write(tmp_path, split, content)
    write(tmp_path, "validation" if split == "train" else "train", sequence(rng, "another_split", 1))
    summary = convert(tmp_path, tmp_path / "3dpw.npz", split=split)  # type: ignore[arg-type]
    assert (summary.kept, summary.dropped) == (3 * FRAMES, {})
    labels = load_annotations(tmp_path / "3dpw.npz")
    people = [
        (one, person, frame) for one in contents for person in range(len(one["poses"])) for frame in range(FRAMES)
    ]
    for index, (content, person, frame) in enumerate(people):
        assert labels.imgname[index] == f"imageFiles/{content['sequence']}/image_{frame:05d}.jpg"
        camera, pose = content["cam_poses"][frame], content["poses"][person][frame]
        root = camera[:3, :3] @ cv2.Rodrigues(pose[:3])[0]
        np.testing.assert_allclose(cv2.Rodrigues(labels.pose[index, :3].astype(float))[0], root, atol=1e-6)
        np.testing.assert_allclose(labels.pose[index, 3:], pose[3:], rtol=1e-6)
        np.testing.assert_allclose(labels.shape[index], content["betas"][person][:10], rtol=1e-6)
        assert labels.gender[index] == content["genders"][person]

        detected = content["poses2d"][person][frame].T
        openpose = np.zeros((25, 3))
        for name, values in zip(COCO18_NAMES, detected, strict=True):
            openpose[OPENPOSE25_NAMES.index(name)] = values
        np.testing.assert_allclose(labels.openpose[index], openpose, rtol=1e-6)
        known = detected[detected[:, 2] > 0, :2]
        low, high = known.min(0), known.max(0)
        np.testing.assert_allclose(labels.center[index], (low + high) / 2, rtol=1e-6)
        assert labels.scale[index] == pytest.approx(1.2 * (high - low).max() / 200)

        part = np.zeros((24, 3))
        for name in LIMBS:
            x, y, z = content["seen"][person, frame, JOINT_NAMES_24_SMPL.index(name)]
            part[J24_NAMES.index(name)] = [1962 * x / z + 540, 1969 * y / z + 960, 1]
        np.testing.assert_allclose(labels.part[index], part, rtol=1e-4)
    assert labels.has_smpl.all()
    assert not labels.S.any()


def test_frames_without_camera_detection_or_image_are_counted(tmp_path: Path) -> None:
    content = sequence(np.random.default_rng(43), "downtown_c_00", 2)
    content["campose_valid"][0][:2] = 0
    content["poses2d"][0][2] = 0
    content["poses2d"][1][0, 2, 1:] = 0  # one keypoint spans no box
    write(tmp_path, "test", content)
    (tmp_path / "imageFiles" / "downtown_c_00" / "image_00004.jpg").unlink()
    summary = convert(tmp_path, tmp_path / "3dpw.npz")
    assert summary.kept == 4
    assert summary.dropped == {"camera not aligned": 2, "not detected in 2D": 2, "image missing": 2}


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch hostile-was-here",)


def test_a_hostile_sequence_is_refused_and_nothing_in_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = sequence(np.random.default_rng(44), "evil_00", 1) | {"texture_maps": [Hostile()]}
    write(tmp_path, "test", content)
    with pytest.raises(UserError, match="system"):
        convert(tmp_path, tmp_path / "3dpw.npz")
    assert not (tmp_path / "hostile-was-here").exists()
    assert not (tmp_path / "3dpw.npz").exists()


@pytest.mark.parametrize("name", ["../../secret", "a/../../../b", "..\\b"])
def test_a_sequence_outside_the_folder_of_images_is_refused(tmp_path: Path, name: str) -> None:
    content = sequence(np.random.default_rng(45), "fine", 1)
    path = write(tmp_path, "test", content)
    path.write_bytes(pickle.dumps(content | {"sequence": name, "seen": 0}, protocol=2))
    with pytest.raises(UserError, match="not inside the folder of images"):
        convert(tmp_path, tmp_path / "3dpw.npz")


@pytest.mark.parametrize("key", ["poses", "cam_poses", "campose_valid", "poses2d", "genders", "jointPositions"])
def test_a_sequence_without_its_labels_is_named(tmp_path: Path, key: str) -> None:
    content = sequence(np.random.default_rng(46), "short_00", 2)
    write(tmp_path, "test", {name: value for name, value in content.items() if name != key})
    with pytest.raises(UserError, match=r"short_00\.pkl is not laid out as a sequence of 3DPW"):
        convert(tmp_path, tmp_path / "3dpw.npz")
    assert not (tmp_path / "3dpw.npz").exists()


def test_missing_sequences_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sequences"):
        convert(tmp_path, tmp_path / "3dpw.npz")
