"""LSP Extended becomes annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.lsp_extended import convert as convert_extended
from hmr_light.errors import UserError


@pytest.mark.parametrize("edition", ["high-resolution", "first"])
@pytest.mark.parametrize("seed", [12, 13])
def test_extended_takes_the_annotated_joints_and_pairs_images_by_their_order(
    tmp_path: Path, edition: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    joints = np.concatenate([rng.uniform(20, 900, (14, 2, 6)), rng.integers(0, 2, (14, 1, 6))], 1)
    joints[:2, 2] = 1
    joints[3:, 2, 4], joints[:3, 2, 4] = 0, [1, 0, 0]  # a person with one joint has no box
    joints[~joints[:, 2].astype(bool)[:, None].repeat(3, 1)] = 0
    joints[:, :2] -= (joints[:, 2:] == 0) * rng.uniform(1, 2000, (14, 1, 6))  # meaningless where not annotated
    savemat(tmp_path / "joints.mat", {"joints": joints})
    numbers = [1, 2, 5, 7, 8, 12]  # the high-resolution edition has gaps
    if edition == "first":
        (tmp_path / "images").mkdir()
    names = [f"im{n:05d}.png" if edition == "high-resolution" else f"images/im{n:05d}.jpg" for n in numbers]
    for name in names:
        (tmp_path / name).touch()
    summary = convert_extended(tmp_path, tmp_path / "out" / "lspet.npz")
    assert (summary.kept, summary.dropped) == (5, {"fewer than two joints annotated": 1})
    labels = load_annotations(tmp_path / "out" / "lspet.npz")
    assert list(labels.imgname) == names[:4] + names[5:]
    for row, index in enumerate([0, 1, 2, 3, 5]):
        known = joints[:, 2, index] > 0
        points = joints[known, :2, index] - 1
        np.testing.assert_allclose(labels.part[row, :14][known, :2], points, rtol=1e-6)
        np.testing.assert_array_equal(labels.part[row, :14, 2], known)
        assert not labels.part[row, :14][~known].any()
        assert labels.scale[row] == pytest.approx(1.2 * (points.max(0) - points.min(0)).max() / 200)


def test_extended_without_all_its_images_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "joints.mat", {"joints": np.ones((14, 3, 3))})
    (tmp_path / "im00001.png").touch()
    with pytest.raises(UserError, match=r"3 people, but .* has 1 images"):
        convert_extended(tmp_path, tmp_path / "lspet.npz")
