"""What is said of annotations: counts, ranges, uses, and mistakes of units."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hmr_light.data.annotations import Annotations
from hmr_light.data.check import describe_annotations

PEOPLE = 6


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """People with every label, of which the last has none but a box."""
    rng = np.random.default_rng()
    has = np.arange(PEOPLE) < PEOPLE - 1
    center = rng.uniform(40, 60, (PEOPLE, 2))
    points = np.concatenate([center[:, None] + rng.uniform(-30, 30, (PEOPLE, 24, 2)), np.ones((PEOPLE, 24, 1))], 2)
    points[:, 20:, 2] = 0
    joints = np.concatenate([rng.uniform(-0.5, 0.5, (PEOPLE, 24, 3)), np.ones((PEOPLE, 24, 1))], 2)
    return {
        "imgname": np.array([f"{index % 3}.jpg" for index in range(PEOPLE)]),
        "center": center,
        "scale": np.linspace(0.4, 0.5, PEOPLE),
        "part": points * has[:, None, None],
        "S": joints * has[:, None, None],
        "pose": rng.uniform(-0.5, 0.5, (PEOPLE, 72)),
        "shape": rng.uniform(-1, 1, (PEOPLE, 10)),
        "has_smpl": has,
        "gender": np.array(["f", "m", "m", "n", "n", "n"]),
    }


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.jpg"), np.zeros((100, 100, 3), np.uint8))
    return tmp_path


def said(arrays: dict[str, np.ndarray], images: Path) -> str:
    return "\n".join(describe_annotations(Annotations.from_arrays(arrays), Path("a.npz"), images))


def test_counts_ranges_and_uses(arrays: dict[str, np.ndarray], images: Path) -> None:
    text = said(arrays, images)
    for part in (
        "6 people in 3 images",
        "sides of 80 to 100 pixels, median 90",
        "2D joints (part): 5 people, 20.0 joints each",
        "never labelled: left_eye, right_eye, left_ear, right_ear",
        "OpenPose's 2D joints (openpose): none",
        "3D joints (S): 5 people, 24.0 joints each",
        "SMPL (pose, shape): 5 people",
        "1 female, 2 male, 3 not known",
        "with it you can: train; evaluate by lsp14; evaluate by h36m_p1",
    ):
        assert part in text, text
    assert "warning" not in text


MISTAKES = {
    "a box in pixels": ("scale", 200.0, "scale is the side / 200"),
    "millimetres": ("S", 1000.0, "are they millimetres"),
    "degrees": ("pose", 180 / np.pi, "is it in degrees"),
    "betas": ("shape", 9.0, "a beta is beyond 5"),
    "another image's size": ("part", 3.0, "most of their keypoints outside their box"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_units_are_told(arrays: dict[str, np.ndarray], images: Path, mistake: str) -> None:
    key, factor, says = MISTAKES[mistake]
    value = arrays[key] * factor
    if key in ("S", "part"):
        value[..., -1] = arrays[key][..., -1]
    warnings = [line for line in said(arrays | {key: value}, images).splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert says in warnings[0]


def test_missing_images_are_counted(arrays: dict[str, np.ndarray], images: Path) -> None:
    (images / "1.jpg").unlink()
    assert "warning: 1 of 3 images are not in" in said(arrays, images)


def test_boxes_alone_train_nothing(arrays: dict[str, np.ndarray], images: Path) -> None:
    text = said({key: arrays[key] for key in ("imgname", "center", "scale")}, images)
    assert "with it you can: not train: there is no label" in text
