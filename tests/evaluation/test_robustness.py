"""The sweep of boxes: which changes, and that a changed box is the box that annotations could have named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hmr_light.data.annotations import Annotations, save_annotations
from hmr_light.data.dataset import MeshDataset
from hmr_light.evaluation.robustness import BoxChange, box_changes, with_boxes


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (300, 400, 3), np.uint8), (0, 0), 3)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    return {
        "imgname": np.array(["a.png", "a.png"]),
        "center": np.array([[200.0, 150.0], [120.0, 140.0]]),
        "scale": np.array([1.0, 0.7]),
        "part": np.concatenate([rng.uniform(50, 250, (2, 24, 2)), np.ones((2, 24, 1))], 2),
    }


def opened(arrays: dict[str, np.ndarray], file: Path) -> MeshDataset:
    save_annotations(file, Annotations.from_arrays(arrays))
    return MeshDataset(file, file.parent, image_size=64)


@pytest.mark.parametrize("change", [BoxChange(scale=1.4), BoxChange(right=0.15), BoxChange(down=-0.075)])
def test_a_changed_box_is_what_annotations_of_that_box_give(
    arrays: dict[str, np.ndarray], tmp_path: Path, change: BoxChange
) -> None:
    plain = opened(arrays, tmp_path / "plain.npz")
    before = plain[1]
    changed = with_boxes(plain, change)
    side = 200 * arrays["scale"][:, None]
    boxes = {
        "center": arrays["center"] + side * np.array([[change.right, change.down]]),
        "scale": arrays["scale"] * change.scale,
    }
    named = opened(arrays | boxes, tmp_path / "named.npz")
    for person in range(2):
        for key, value in named[person].items():
            # A box that differs in float32's last digit may round a pixel otherwise.
            atol = 1 if key == "image" else 1e-5
            found, expected = changed[person][key].double(), value.double()
            torch.testing.assert_close(found, expected, atol=atol, rtol=0, msg=f"{key} of {person}")
    assert all(torch.equal(plain[1][key], value) for key, value in before.items())
    assert not torch.equal(changed[1]["image"], before["image"])


def test_boxes_change_in_one_way_at_a_time_and_the_given_box_comes_first() -> None:
    changes = box_changes([1.6, 1.0, 1.2], [0.15, -0.15])
    assert changes[0] == BoxChange()
    assert len(changes) == len(set(changes)) == 7
    assert all(sum([one.scale != 1, one.right != 0, one.down != 0]) <= 1 for one in changes)
    assert box_changes([], []) == [BoxChange()]
    assert str(BoxChange(1.2)) == "1.2 ×"
    assert str(BoxChange(right=-0.15)) == "1 ×, -15 % right"
