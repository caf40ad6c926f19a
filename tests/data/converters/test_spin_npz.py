"""SPIN's own files: their boxes count from the pixels' edges, and their fits are judged as SPIN's trainer does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support import spin_reference
from support.foreign_files import close, touch

from hmr_light.body import SMPL, load_body
from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.spin_npz import convert
from hmr_light.data.dataset import MeshDataset
from hmr_light.errors import UserError

PEOPLE = 7


def arrays_of_spin(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "imgname": np.array([f"train/{index}.jpg" for index in range(PEOPLE)]),
        "center": rng.uniform(10, 300, (PEOPLE, 2)),
        "scale": rng.uniform(0.5, 2, PEOPLE),
        "part": rng.uniform(0, 300, (PEOPLE, 24, 3)),
        "openpose": rng.uniform(0, 300, (PEOPLE, 25, 3)),
        "S": rng.normal(size=(PEOPLE, 24, 4)),
        "pose": rng.normal(size=(PEOPLE, 72)),
        "shape": rng.normal(size=(PEOPLE, 10)),
        "has_smpl": np.array([1.0] + [0] * (PEOPLE - 1)),
    }


def save(folder: Path, arrays: dict[str, Any]) -> Path:
    np.savez(folder / "coco.npz", **arrays)
    touch(folder, "train/0.jpg")
    return folder / "coco.npz"


def test_labels_are_kept_and_boxes_are_moved_to_pixel_centres(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays = arrays_of_spin(rng)
    convert(save(tmp_path, arrays), tmp_path, tmp_path / "a.npz")
    labels = load_annotations(tmp_path / "a.npz")
    for key, value in arrays.items():
        expected = value - 0.5 if key == "center" else value
        (close if value.dtype.kind == "f" else np.testing.assert_array_equal)(getattr(labels, key), expected)
    with pytest.raises(UserError, match="names images that are not in"):
        convert(tmp_path / "coco.npz", tmp_path / "train", tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()


def test_the_box_of_a_whole_image_gives_that_image(tmp_path: Path, rng: np.random.Generator) -> None:
    """SPIN cuts pixels 0 to 223 out of an image of 224 for the box at 112 with a side of 224."""
    image = rng.integers(0, 256, (224, 224, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    box = {"imgname": np.array(["a.png"]), "center": np.array([[112.0, 112.0]]), "scale": np.array([1.12])}
    np.savez(tmp_path / "spin.npz", **box)
    convert(tmp_path / "spin.npz", tmp_path, tmp_path / "a.npz")
    crop = MeshDataset(tmp_path / "a.npz", tmp_path, image_size=224)[0]["image"].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(crop, image[:, :, ::-1])


@pytest.fixture(scope="module")
def smpl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bodies in SMPL's format."""
    folder = tmp_path_factory.mktemp("smpl")
    spin_reference.make_bodies(folder, np.random.default_rng())
    return folder


def with_fits(rng: np.random.Generator, folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    """SPIN's arrays and fits: 1 and 2 agree with their keypoints, 2 has an extreme beta, 3 is none, 4 is NaN."""
    arrays, fits = arrays_of_spin(rng), rng.uniform(-0.5, 0.5, (PEOPLE, 82))
    fits[2, 75], fits[3], fits[4, 0] = 3.5, 0, np.nan
    for person in (1, 2):
        joints = spin_reference.joints_49(folder, fits[person, :72].reshape(24, 3), fits[person, 72:])
        moved = joints + np.array([0.1, -0.2, 45])
        in_crop = 5000 * moved[:, :2] / moved[:, 2:] + 112 + rng.uniform(-2, 2, (49, 2))
        pixels = (in_crop - 112) * 200 * arrays["scale"][person] / 224 + arrays["center"][person]
        confidence = rng.uniform(0.5, 1, (49, 1)) * (rng.random((49, 1)) < 0.8)
        arrays["openpose"][person], arrays["part"][person] = np.split(np.hstack([pixels, confidence]), [25])
    return arrays, fits


def test_fits_are_taken_as_spins_trainer_takes_them(tmp_path: Path, rng: np.random.Generator, smpl: Path) -> None:
    arrays, fits = with_fits(rng, smpl)
    stored = {key: value.astype(np.float32) for key, value in arrays.items() if value.dtype.kind == "f"}
    losses = [spin_reference.joint_loss(smpl, stored, fits[person], person) for person in (1, 2, 5, 6)]
    print("joint losses", losses)
    assert max(losses[:2]) < 100 < min(losses[2:])
    np.save(tmp_path / "coco_fits.npy", fits)
    body, options = load_body(smpl), {"fits": str(tmp_path / "coco_fits.npy")}
    save(tmp_path, arrays)

    def taken(limit: float | None, body: SMPL | None) -> list[int]:
        out = tmp_path / f"{limit}.npz"
        convert(tmp_path / "coco.npz", tmp_path, out, **options, max_joint_loss=limit, body=body)
        return np.flatnonzero(load_annotations(out).has_smpl).tolist()

    assert taken(100.0, body) == [0, 1, 2]
    labels = load_annotations(tmp_path / "100.0.npz")
    close(labels.pose[:3], [arrays["pose"][0], *fits[1:3, :72]])
    close(labels.shape[:3], [arrays["shape"][0], fits[1, 72:], np.zeros(10)])
    # The loss itself, from both sides of the limit.
    for person, loss in zip((1, 2, 5, 6), losses, strict=True):
        assert person in taken(loss * 1.001, body)
        assert person not in taken(loss * 0.999, body)
    assert taken(None, None) == [0, 1, 2, 5, 6]


def test_what_became_of_the_fits_is_told(tmp_path: Path, rng: np.random.Generator, smpl: Path) -> None:
    arrays, fits = with_fits(rng, smpl)
    np.save(tmp_path / "fits.npy", fits)
    save(tmp_path, arrays)
    summary = convert(
        tmp_path / "coco.npz", tmp_path, tmp_path / "a.npz", fits=str(tmp_path / "fits.npy"), body=load_body(smpl)
    )
    text = str(summary)
    for line in (
        "2  SMPL labels taken from fits",
        "1  of these, betas set to zero: one was beyond 3",
        "2  fits left out: joint loss of 100.0 or more",
        "2  people without a fit, and without an SMPL label",
        "1  fits not needed",
    ):
        assert line in text


def test_fits_that_cannot_be_judged_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays = arrays_of_spin(rng)
    path = save(tmp_path, arrays)
    np.save(tmp_path / "fits.npy", rng.uniform(-1, 1, (PEOPLE, 82)))
    for body in (None, load_body()):
        with pytest.raises(UserError, match="another one is chosen") as caught:
            convert(path, tmp_path, tmp_path / "a.npz", fits=str(tmp_path / "fits.npy"), body=body)
        assert "body=smpl" in caught.value.remedy
    np.save(tmp_path / "other.npy", rng.uniform(-1, 1, (3, 82)))
    with pytest.raises(UserError, match=r"other\.npy is not laid out.*\(3, 82\), not \(7, 82\)"):
        convert(path, tmp_path, tmp_path / "a.npz", fits=str(tmp_path / "other.npy"), max_joint_loss=None)
    assert not (tmp_path / "a.npz").exists()
