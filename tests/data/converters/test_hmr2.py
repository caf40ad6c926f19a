"""4D-Humans' tars and evaluation files: read exactly, images stay in place, nothing in them is run."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.foreign_files import Hostile, close, entry, picture, write_tar

from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.hmr2 import convert, convert_evaluation
from hmr_light.data.dataset import MeshDataset
from hmr_light.errors import UserError

PEOPLE = 5


def test_people_of_4d_humans_tars_are_read_with_their_images_in_place(tmp_path: Path, rng: np.random.Generator) -> None:
    none_3d = np.zeros((44, 4), np.float32)
    few = np.zeros((44, 3), np.float32)
    few[:4] = 1
    people = [
        [entry(rng), entry(rng, has_betas=np.array(0.0))],
        [entry(rng, betas=np.full(10, 3.5)), entry(rng, keypoints_2d=few), entry(rng, keypoints_3d=none_3d)],
    ]
    pictures = [picture(rng, ".jpg"), picture(rng, ".png")]
    parts = [
        {".jpg": pictures[0], ".data.pyd": pickle.dumps(people[0]), ".detection.npz": b"masks"},
        {".data.pyd": pickle.dumps(people[1], protocol=2), ".png": pictures[1]},
    ]
    write_tar(tmp_path / "coco" / "000000.tar", {"val/000.x": {}, "val/001": parts[0]})
    write_tar(tmp_path / "coco" / "000001.tar", {"val/002": parts[1]})
    summary = convert(tmp_path, tmp_path / "a.npz")
    assert (summary.kept, summary.dropped) == (4, {"no more than 4 keypoints": 1})
    assert summary.notes == {
        "SMPL labels left out: pose or betas are missing": 1,
        "SMPL labels left out: a beta is beyond 3": 1,
    }
    labels = load_annotations(tmp_path / "a.npz")
    assert labels.has_smpl.tolist() == [True, False, False, True]
    for row, person in enumerate([*people[0], people[1][0], people[1][2]]):
        close(labels.openpose[row], person["keypoints_2d"][:25])
        close(labels.part[row, :19], person["keypoints_2d"][25:])
        assert not labels.part[row, 19:].any()
        joints = person["keypoints_3d"][25:]
        close(labels.S[row, :19, :3], joints[:, :3] - joints[14, :3])
        close(labels.S[row, :19, 3], joints[:, 3])
        close(labels.center[row], person["center"])
        close(labels.scale[row], person["scale"].max())
        if labels.has_smpl[row]:
            close(labels.pose[row], person["body_pose"])
            close(labels.shape[row], person["betas"])

    dataset = MeshDataset(tmp_path / "a.npz", tmp_path, image_size=64)
    for row, content in ((0, pictures[0]), (1, pictures[0]), (3, pictures[1])):
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert np.isin(dataset.images.read(row, 1)[0].reshape(-1, 3), image.reshape(-1, 3)).all()
        assert torch.equal(dataset[row]["index"], torch.tensor(row))


def test_evaluation_npz_of_4d_humans_has_boxes_in_pixels(tmp_path: Path, rng: np.random.Generator) -> None:
    points, joints = rng.uniform(0, 99, (PEOPLE, 44, 3)), rng.uniform(0.5, 1, (PEOPLE, 44, 4))
    arrays = {
        "imgname": np.array([f"{index}.jpg" for index in range(PEOPLE)]),
        "center": rng.uniform(0, 99, (PEOPLE, 2)),
        "scale": rng.uniform(50, 99, (PEOPLE, 2)),
        "body_keypoints_2d": points[:, :25],
        "extra_keypoints_2d": points[:, 25:],
        "extra_keypoints_3d": joints[:, 25:],
        "extra_info": np.array([{}] * PEOPLE, object),
    }
    np.savez(tmp_path / "h36m.npz", **arrays)  # type: ignore[arg-type]
    convert_evaluation(tmp_path / "h36m.npz", tmp_path, tmp_path / "a.npz")
    labels = load_annotations(tmp_path / "a.npz")
    close(labels.scale, arrays["scale"].max(1) / 200)
    close(labels.openpose, points[:, :25])
    close(labels.part[:, :19], points[:, 25:])
    close(labels.S[:, :19, :3], joints[:, 25:, :3] - joints[:, 39:40, :3])
    assert not labels.has_smpl.any()


def test_hostile_pickles_in_tars_are_refused_without_effect(tmp_path: Path, rng: np.random.Generator) -> None:
    victim = tmp_path / "victim"
    (tmp_path / "tars").mkdir()
    parts = {".jpg": picture(rng, ".jpg"), ".data.pyd": pickle.dumps([Hostile(victim)])}
    write_tar(tmp_path / "tars" / "0.tar", {"a": parts})
    with pytest.raises(UserError, match="mkdir"):
        convert(tmp_path / "tars", tmp_path / "a.npz")
    assert not victim.exists()
    assert not (tmp_path / "a.npz").exists()


def test_a_tar_that_is_damaged_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "0.tar").write_bytes(rng.bytes(3000))
    with pytest.raises(UserError, match=r"0\.tar is not a tar file"):
        convert(tmp_path, tmp_path / "a.npz")
    (tmp_path / "0.tar").unlink()
    with pytest.raises(UserError, match=r"nobody in [^$]* 0 tar files"):
        convert(tmp_path, tmp_path / "a.npz")


def test_labels_that_are_left_out_are_counted(tmp_path: Path, rng: np.random.Generator) -> None:
    """Of five people of an evaluation file: one without a pelvis, two with pose or betas alone."""
    joints = rng.uniform(0.5, 1, (PEOPLE, 19, 4))
    joints[0, 14, 3] = 0
    arrays = {
        "imgname": np.array([f"{index}.jpg" for index in range(PEOPLE)]),
        "center": rng.uniform(0, 99, (PEOPLE, 2)),
        "scale": rng.uniform(50, 99, (PEOPLE, 2)),
        "extra_keypoints_3d": joints,
        "body_pose": rng.normal(size=(PEOPLE, 72)),
        "betas": rng.normal(size=(PEOPLE, 10)),
        "has_body_pose": np.array([1, 1, 0, 1, 1]),
        "has_betas": np.array([1, 0, 1, 1, 1]),
    }
    np.savez(tmp_path / "h36m.npz", **arrays)  # type: ignore[arg-type]
    summary = convert_evaluation(tmp_path / "h36m.npz", tmp_path, tmp_path / "a.npz")
    assert sorted(summary.notes.values()) == [1, 2]
    assert "1  3D joints left out: the pelvis" in str(summary)
    assert "2  SMPL labels left out: pose or betas are missing" in str(summary)
