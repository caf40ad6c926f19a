"""The MPII converter, on files as MPII (MATLAB structs) and the stacked hourglass code (HDF5) publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from hmr_light.body.joints import J24_NAMES
from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.mpii import convert
from hmr_light.errors import UserError

# MPII's joints by their id, under the names of our 24 joints.
MPII_NAMES = (
    "right_ankle", "right_knee", "right_hip_lsp", "left_hip_lsp", "left_knee", "left_ankle", "pelvis_mpii",
    "thorax_mpii", "neck_lsp", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder",
    "left_elbow", "left_wrist",
)  # fmt: skip


def structs(*items: dict[str, Any]) -> np.ndarray:
    """A MATLAB struct array (1, N)."""
    array = np.empty((1, len(items)), [(key, object) for key in items[0]])
    for index, item in enumerate(items):
        array[0, index] = tuple(item.values())
    return array


def person(joints: np.ndarray, center: Any = (70.0, 80.0), scale: Any = 0.9) -> dict[str, Any]:
    """One entry of annorect; joints of NaN are not annotated. They stand in another order than that of their ids."""
    order = [index for index in (7, 3, *range(3), *range(4, 7), *range(8, 16)) if not np.isnan(joints[index, 0])]
    points = structs(*({"x": joints[i, 0], "y": joints[i, 1], "id": i, "is_visible": i % 2} for i in order))
    objpos = structs({"x": center[0], "y": center[1]}) if center else np.zeros((0, 0))
    return {"x1": 3.0, "annopoints": structs({"point": points}), "scale": scale, "objpos": objpos}


def write_mat(path: Path, images: list[tuple[str, int, list[dict[str, Any]]]]) -> Path:
    entries = [
        {"image": structs({"name": name}), "annorect": structs(*people) if people else np.zeros((0, 0)), "vididx": 1}
        for name, _, people in images
    ]
    train = np.array([[train for _, train, _ in images]], np.uint8)
    savemat(path, {"RELEASE": {"annolist": structs(*entries), "img_train": train, "version": "12"}})
    return path


def write_hdf5(path: Path, names: list[bytes], joints: np.ndarray, centers: np.ndarray, scales: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file["imgname"], file["part"], file["center"], file["scale"] = np.array(names), joints, centers, scales
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.jpg", "test.jpg"):
        cv2.imwrite(str(tmp_path / "images" / name), np.zeros((40, 40, 3), np.uint8))
    return tmp_path / "images"


def expected(joints: np.ndarray) -> np.ndarray:
    """In our order; MATLAB's first pixel is 1, ours 0."""
    part = np.zeros((24, 3))
    for name, (x, y) in zip(MPII_NAMES, joints, strict=True):
        part[J24_NAMES.index(name)] = x - 1, y - 1, 1
    return part


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("form", ["mat", "hdf5"])
def test_joints_go_by_name_and_the_box_is_mpiis(tmp_path: Path, images: Path, form: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    joints, centers, scales = rng.uniform(2, 90, (3, 16, 2)), rng.uniform(20, 90, (3, 2)), rng.uniform(0.3, 2, 3)
    if form == "mat":
        people = [person(*labels) for labels in zip(joints, centers.tolist(), scales, strict=True)]
        source = write_mat(tmp_path / "mpii.mat", [("a.jpg", 1, people[:2]), ("b.jpg", 1, people[2:])])
    else:
        source = write_hdf5(tmp_path / "train.h5", [b"a.jpg", b"a.jpg", b"b.jpg"], joints, centers, scales)
    summary = convert(source, images, tmp_path / "mpii.npz")
    assert (summary.kept, summary.dropped) == (3, {})
    labels = load_annotations(tmp_path / "mpii.npz")
    assert list(labels.imgname) == ["a.jpg", "a.jpg", "b.jpg"]
    np.testing.assert_allclose(labels.part, [expected(one) for one in joints], rtol=1e-6)
    np.testing.assert_allclose(labels.center, centers - 1, rtol=1e-6)
    np.testing.assert_allclose(labels.scale, scales, rtol=1e-6)
    assert not labels.has_smpl.any()


def test_everyone_of_the_training_images_is_kept_or_counted(tmp_path: Path, images: Path) -> None:
    joints = np.random.default_rng(3).uniform(2, 90, (16, 2))
    partial = joints.copy()
    partial[11] = np.nan
    unlabelled = {"x1": 3.0, "annopoints": np.zeros((0, 0)), "scale": np.zeros((0, 0)), "objpos": np.zeros((0, 0))}
    source = write_mat(
        tmp_path / "mpii.mat",
        [
            ("a.jpg", 1, [person(joints), person(partial), unlabelled]),
            ("b.jpg", 1, [{"x1": 3.0, "scale": 1.0}]),  # an image where nobody has joints has not even the field
            ("b.jpg", 1, [person(joints, center=None, scale=np.zeros((0, 0)))]),
            ("absent.jpg", 1, [person(joints)]),
            ("b.jpg", 1, []),
            ("test.jpg", 0, [person(joints)]),
        ],
    )
    summary = convert(source, images, tmp_path / "mpii.npz")
    assert summary.kept == 1
    assert summary.dropped == {"not all 16 joints annotated": 3, "no box": 1, "image missing": 1}


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "a/../../b.jpg", "C:\\a.jpg"])
def test_images_outside_their_folder_are_refused(tmp_path: Path, images: Path, name: str) -> None:
    source = write_mat(tmp_path / "mpii.mat", [(name, 1, [person(np.full((16, 2), 9.0))])])
    with pytest.raises(UserError, match="not inside the folder of images"):
        convert(source, images, tmp_path / "mpii.npz")
    assert not (tmp_path / "mpii.npz").exists()


@pytest.mark.parametrize("fault", ["absent", "text", "another.mat", "another.h5", "empty.h5"])
def test_file_of_another_format_is_refused(tmp_path: Path, images: Path, fault: str) -> None:
    source = tmp_path / fault
    if fault == "text":
        source.write_text("joints")
    elif fault == "another.mat":
        savemat(source, {"joints": np.zeros(3)})
    elif fault == "another.h5":
        write_hdf5(source, [b"a.jpg"], np.zeros((2, 16, 2)), np.zeros((1, 2)), np.zeros(1))
    elif fault == "empty.h5":
        source.write_bytes(b"")
    with pytest.raises(UserError, match=fault.replace(".", r"\.")) as caught:
        convert(source, images, tmp_path / "mpii.npz")
    assert caught.value.remedy
    assert not (tmp_path / "mpii.npz").exists()
