"""Annotations that others made, as their own programs write them: read exactly, nothing in them is run."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.body.joints import J24_NAMES, OPENPOSE25_NAMES
from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters import people as gathering
from hmr_light.data.converters.bedlam import convert as convert_bedlam
from hmr_light.data.converters.hmr2 import convert as convert_tars
from hmr_light.data.converters.hmr2 import convert_evaluation
from hmr_light.data.converters.human_data import J24, OPENPOSE
from hmr_light.data.converters.human_data import convert as convert_human_data
from hmr_light.data.converters.spin_npz import convert as convert_spin
from hmr_light.data.dataset import MeshDataset
from hmr_light.errors import UserError

PEOPLE = 5


@pytest.fixture
def rng() -> np.random.Generator:
    seed = int(np.random.default_rng().integers(2**31))
    print("seed", seed)
    return np.random.default_rng(seed)


def close(value: np.ndarray, expected: Any) -> None:
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)


class Hostile:
    """What, read by pickle, makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_spin_npz_is_taken_as_it_is_and_fits_label_those_without(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays = {
        "imgname": np.array([f"train/{index}.jpg" for index in range(PEOPLE)]),
        "center": rng.uniform(10, 300, (PEOPLE, 2)),
        "scale": rng.uniform(0.5, 2, PEOPLE),
        "part": rng.uniform(0, 300, (PEOPLE, 24, 3)),
        "openpose": rng.uniform(0, 300, (PEOPLE, 25, 3)),
        "S": rng.normal(size=(PEOPLE, 24, 4)),
        "pose": rng.normal(size=(PEOPLE, 72)),
        "shape": rng.normal(size=(PEOPLE, 10)),
        "has_smpl": np.array([1.0, 0, 0, 0, 0]),
    }
    np.savez(tmp_path / "coco.npz", **arrays)  # type: ignore[arg-type]
    touch(tmp_path, "train/0.jpg")
    fits = rng.uniform(-2, 2, (PEOPLE, 82))
    fits[2, 75], fits[3], fits[4, 0] = 3.5, 0, np.nan  # a body that there is not, no fit, a failure
    np.save(tmp_path / "coco_fits.npy", fits)
    convert_spin(tmp_path / "coco.npz", tmp_path, tmp_path / "a.npz", fits=str(tmp_path / "coco_fits.npy"))
    labels = load_annotations(tmp_path / "a.npz")
    assert labels.has_smpl.tolist() == [True, True, False, False, False]
    for key, value in (arrays | {"has_smpl": labels.has_smpl}).items():
        expected = value.copy()
        if key in ("pose", "shape"):
            expected[1] = fits[1, :72] if key == "pose" else fits[1, 72:]
        (close if value.dtype.kind == "f" else np.testing.assert_array_equal)(getattr(labels, key), expected)

    np.save(tmp_path / "other.npy", fits[:3])
    with pytest.raises(UserError, match=r"other\.npy is not laid out.*\(3, 82\), not \(5, 82\)"):
        convert_spin(tmp_path / "coco.npz", tmp_path, tmp_path / "b.npz", fits=str(tmp_path / "other.npy"))
    with pytest.raises(UserError, match="names images that are not in"):
        convert_spin(tmp_path / "coco.npz", tmp_path / "train", tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()


def entry(rng: np.random.Generator, **changes: Any) -> dict[str, Any]:
    """One person of 4D-Humans, as `data.pyd` has him."""
    return {
        "keypoints_2d": rng.uniform(1, 60, (44, 3)).astype(np.float32),
        "keypoints_3d": rng.uniform(0.5, 1, (44, 4)).astype(np.float32),
        "center": rng.uniform(20, 40, 2),
        "scale": rng.uniform(0.1, 0.3, 2),
        "body_pose": rng.normal(size=72),
        "betas": rng.uniform(-2, 2, 10),
        "has_body_pose": np.array(1.0),
        "has_betas": np.array(1.0),
        "extra_info": {"fitting_loss": np.array({"reprojection_loss": 3.0}, object), "annot_valid": True},
    } | changes


def write_tar(path: Path, samples: dict[str, dict[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, parts in samples.items():
            for suffix, content in parts.items():
                member = tarfile.TarInfo(f"{key}{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def picture(rng: np.random.Generator, suffix: str) -> bytes:
    return cv2.imencode(suffix, rng.integers(0, 256, (64, 64, 3), np.uint8))[1].tobytes()


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
    summary = convert_tars(tmp_path, tmp_path / "a.npz")
    assert (summary.kept, summary.dropped) == (4, {"no more than 4 keypoints": 1})
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


def test_people_gathered_in_blocks_are_the_same(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shard, names in enumerate((["a", "b"], ["a_longer_name", "d", "e"])):
        parts = {
            name: {".jpg": picture(rng, ".jpg"), ".data.pyd": pickle.dumps([entry(rng), entry(rng)])} for name in names
        }
        write_tar(tmp_path / f"{shard}.tar", parts)
    convert_tars(tmp_path, tmp_path / "one.npz")
    monkeypatch.setattr(gathering, "BLOCK", 3)  # ten people: three full blocks, and one more
    convert_tars(tmp_path, tmp_path / "blocks.npz")
    one, blocks = (np.load(tmp_path / name, allow_pickle=False) for name in ("one.npz", "blocks.npz"))
    assert set(one.files) == set(blocks.files)
    assert len(blocks["imgname"]) == 10
    for key in one.files:
        np.testing.assert_array_equal(blocks[key], one[key], strict=True)


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
    convert_human_data(tmp_path / "coco.npz", tmp_path, tmp_path / "a.npz", margin=1.1)
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


def test_hostile_pickles_in_foreign_files_are_refused_without_effect(tmp_path: Path, rng: np.random.Generator) -> None:
    victim = tmp_path / "victim"
    (tmp_path / "tars").mkdir()
    parts = {".jpg": picture(rng, ".jpg"), ".data.pyd": pickle.dumps([Hostile(victim)])}
    write_tar(tmp_path / "tars" / "0.tar", {"a": parts})
    with pytest.raises(UserError, match="mkdir"):
        convert_tars(tmp_path / "tars", tmp_path / "a.npz")
    arrays = {"bbox_xywh": np.ones((1, 5)), "image_path": ["a.jpg"], "smpl": np.array(Hostile(victim), object)}
    np.savez(tmp_path / "human.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="mkdir"):
        convert_human_data(tmp_path / "human.npz", tmp_path, tmp_path / "a.npz")
    assert not victim.exists()
    assert not (tmp_path / "a.npz").exists()


def test_a_tar_that_is_damaged_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "0.tar").write_bytes(rng.bytes(3000))
    with pytest.raises(UserError, match=r"0\.tar is not a tar file"):
        convert_tars(tmp_path, tmp_path / "a.npz")
    (tmp_path / "0.tar").unlink()
    with pytest.raises(UserError, match=r"nobody in [^$]* 0 tar files"):
        convert_tars(tmp_path, tmp_path / "a.npz")


@pytest.mark.parametrize("rotated", [False, True])
def test_bedlam_joints_pose_and_turned_images(tmp_path: Path, rng: np.random.Generator, rotated: bool) -> None:
    """An independent camera projects the joints of the turned image; the stored image has them a quarter turn back."""
    width, height = (720, 1280) if rotated else (1280, 720)
    joints = rng.uniform(-0.5, 0.5, (PEOPLE, 24, 3)) + np.array([0, 0, 4])
    points = 900 * joints[..., :2] / joints[..., 2:] + [width / 2, height / 2]
    arrays = {
        "imgname": np.array([f"seq/{index}.png" for index in range(PEOPLE)]),
        "center": points.mean(1),
        "scale": rng.uniform(1, 2, PEOPLE),
        "gtkps": points,
        "pose_cam": rng.normal(size=(PEOPLE, 72)),
        "shape": rng.normal(size=(PEOPLE, 11)),
        "cam_int": np.tile(np.array([[900, 0, width / 2], [0, 900, height / 2], [0, 0, 1]]), (PEOPLE, 1, 1)),
        "gender": np.array(["male", "female", "neutral", "female", "male"]),
        "sub": np.array(["x"] * PEOPLE, object),
    }
    np.savez(tmp_path / "bedlam.npz", **arrays)  # type: ignore[arg-type]
    touch(tmp_path, "seq/0.png")
    convert_bedlam(tmp_path / "bedlam.npz", tmp_path, tmp_path / "a.npz", rotated=rotated)
    labels = load_annotations(tmp_path / "a.npz")
    if rotated:
        turned = np.zeros((height, width), np.uint8)
        for at in np.rint(points[0, [7, 8]]).astype(int):  # the ankles, as single pixels of the turned image
            turned[at[1], at[0]] = 255
        stored = cv2.rotate(turned, cv2.ROTATE_90_COUNTERCLOCKWISE)
        for joint in (0, 5):
            x, y = np.rint(labels.part[0, joint, :2]).astype(int)
            assert stored[y - 1 : y + 2, x - 1 : x + 2].any()
        # The camera of the stored image sees the same bodies turned about its axis.
        turn = Rotation.from_euler("z", -90, degrees=True).as_matrix()
        joints = joints @ turn.T
        points = 900 * joints[..., :2] / joints[..., 2:] + [height / 2, width / 2 - 1]
        for row in range(PEOPLE):
            root = Rotation.from_rotvec(arrays["pose_cam"][row, :3]).as_matrix()
            close(Rotation.from_rotvec(labels.pose[row, :3]).as_matrix(), turn @ root)
    else:
        close(labels.pose, arrays["pose_cam"])
    close(labels.pose[:, 3:], arrays["pose_cam"][:, 3:])
    close(labels.shape, arrays["shape"][:, :10])
    named = {"right_ankle": 8, "left_knee": 4, "right_wrist": 21, "left_shoulder": 16}
    for name, joint in named.items():
        np.testing.assert_allclose(labels.part[:, J24_NAMES.index(name), :2], points[:, joint], atol=1e-3)
    np.testing.assert_allclose(labels.openpose[:, OPENPOSE25_NAMES.index("neck"), :2], points[:, 12], atol=1e-3)
    assert not labels.part[:, J24_NAMES.index("nose")].any()
    assert labels.gender.tolist() == ["m", "f", "n", "f", "m"]


def test_poses_of_smpl_x_are_not_taken_for_smpl(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays = {
        "imgname": np.array(["a.png"]),
        "center": np.ones((1, 2)),
        "scale": np.ones(1),
        "gtkps": rng.uniform(1, 99, (1, 127, 3)),
        "pose_cam": rng.normal(size=(1, 165)),
        "shape": np.zeros((1, 10)),
    }
    np.savez(tmp_path / "agora.npz", **arrays)  # type: ignore[arg-type]
    touch(tmp_path, "a.png")
    convert_bedlam(tmp_path / "agora.npz", tmp_path, tmp_path / "a.npz")
    labels = load_annotations(tmp_path / "a.npz")
    assert not labels.has_smpl.any()
    close(labels.part[0, 0, :2], arrays["gtkps"][0, 8, :2])
