"""mmhuman3d's HumanData: read exactly, nothing in it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.foreign_files import Hostile, close, touch

from hmr_light.body.joints import J24_NAMES, OPENPOSE25_NAMES
from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.human_data import J24, OPENPOSE, convert
from hmr_light.errors import UserError

PEOPLE = 5


@pytest.mark.parametrize("compressed", [False, True])
def test_human_data_is_read_by_its_mask_and_its_pickled_dicts(
    tmp_path: Path, rng: np.random.Generator, compressed: bool
) -> None:
    mask = (rng.random(190) < 0.7).astype(np.uint8)
    mask[148] = 1  # the pelvis that 3D joints are relative to
    points, joints = rng.uniform(1, 99, (PEOPLE, 190, 3)), rng.uniform(0.5, 1, (PEOPLE, 190, 4))
    kept = mask > 0 if compressed else slice(None)
    smpl = {
        "body_pose": rng.normal(size=(PEOPLE, 23, 3)).astype(np.float32),
        "global_orient": rng.normal(size=(PEOPLE, 3)).astype(np.float32),
        "betas": rng.normal(size=(PEOPLE, 10)).astype(np.float32),
        "transl": np.zeros((PEOPLE, 3)),
    }
    boxes = np.concatenate([rng.uniform(10, 99, (PEOPLE, 4)), np.ones((PEOPLE, 1))], 1)
    content: dict[str, Any] = {
        "__data_len__": PEOPLE,
        "__keypoints_compressed__": compressed,
        "image_path": [f"a/{index}.jpg" for index in range(PEOPLE)],
        "bbox_xywh": boxes,
        "keypoints2d": points[:, kept],
        "keypoints2d_mask": mask,
        "keypoints2d_convention": "human_data",
        "keypoints3d": joints[:, kept],
        "keypoints3d_mask": mask,
        "smpl": smpl,
        "meta": {"gender": ["male", "female", "neutral", "m", "f"]},
        "misc": {"focal_length": 1000},
        "config": "coco",
    }
    np.savez_compressed(tmp_path / "coco.npz", **content)
    touch(tmp_path, "a/0.jpg")
    convert(tmp_path / "coco.npz", tmp_path, tmp_path / "a.npz", margin=1.1)
    labels = load_annotations(tmp_path / "a.npz")
    for ours, places in ((labels.openpose, OPENPOSE), (labels.part, J24)):
        close(ours, points[:, places] * mask[list(places), None])
    expected = np.concatenate([joints[..., :3] - joints[:, 148:149, :3], joints[..., 3:]], 2) * mask[:, None]
    close(labels.S, expected[:, J24])
    close(labels.pose, np.concatenate([smpl["global_orient"], smpl["body_pose"].reshape(PEOPLE, 69)], 1))
    close(labels.shape, smpl["betas"])
    close(labels.center, boxes[:, :2] + boxes[:, 2:4] / 2)
    close(labels.scale, 1.1 * boxes[:, 2:4].max(1) / 200)
    assert labels.gender.tolist() == ["m", "f", "n", "m", "f"]
    assert labels.has_smpl.all()
    assert (len(OPENPOSE), len(J24)) == (len(OPENPOSE25_NAMES), len(J24_NAMES))


def test_a_hostile_pickle_is_refused_without_effect(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    arrays = {"bbox_xywh": np.ones((1, 5)), "image_path": ["a.jpg"], "smpl": np.array(Hostile(victim), object)}
    np.savez(tmp_path / "human.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="mkdir"):
        convert(tmp_path / "human.npz", tmp_path, tmp_path / "a.npz")
    assert not victim.exists()
    assert not (tmp_path / "a.npz").exists()


def test_labels_that_are_left_out_are_counted(tmp_path: Path, rng: np.random.Generator) -> None:
    content: dict[str, Any] = {
        "image_path": [f"a/{index}.jpg" for index in range(PEOPLE)],
        "bbox_xywh": np.ones((PEOPLE, 5)),
        "keypoints3d": rng.uniform(0.5, 1, (PEOPLE, 190, 4)),
        "keypoints3d_mask": np.ones(190),
        "smpl": {"body_pose": np.zeros((PEOPLE, 23, 3))},
        "smplx": {"betas": np.zeros((PEOPLE, 10))},
        "meta": {"gender": ["male"]},
    }
    content["keypoints3d"][2, :, 3] = 0
    content["keypoints3d"][2, J24[0], 3] = 1  # a joint, and no root
    np.savez_compressed(tmp_path / "coco.npz", **content)
    touch(tmp_path, "a/0.jpg")
    text = str(convert(tmp_path / "coco.npz", tmp_path, tmp_path / "a.npz"))
    for line in (
        "5  SMPL labels left out: they have only body_pose",
        "5  SMPL-X poses and betas left out",
        "5  genders left out: there are 1 for 5 people",
        "1  3D joints left out: no root",
    ):
        assert line in text
