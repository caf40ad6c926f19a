"""The converters of LSP and LSP-extended, on `joints.mat` and folders as they are published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.lsp import convert as convert_lsp
from hmr_light.data.converters.lsp_extended import convert as convert_extended
from hmr_light.errors import UserError


def write_lsp(root: Path, joints: np.ndarray, missing: tuple[int, ...] = ()) -> None:
    (root / "images").mkdir()
    for index in range(joints.shape[2]):
        if index not in missing:
            (root / "images" / f"im{index + 1:04d}.jpg").touch()
    savemat(root / "joints.mat", {"joints": joints})


@pytest.mark.parametrize(("split", "first"), [("train", 0), ("test", 1000)])
def test_lsp_gives_each_thousand_with_its_images(tmp_path: Path, split: str, first: int) -> None:
    rng = np.random.default_rng(11)
    # The third row says which joints are hidden; they are annotated all the same.
    joints = np.concatenate([rng.uniform(1, 150, (2, 14, 2000)), rng.integers(0, 2, (1, 14, 2000))])
    write_lsp(tmp_path, joints, missing=(first + 5,))
    summary = convert_lsp(tmp_path, tmp_path / "lsp.npz", split=split)  # type: ignore[arg-type]
    assert (summary.kept, summary.dropped) == (999, {"image missing": 1})
    labels = load_annotations(tmp_path / "lsp.npz")
    assert labels.imgname[0] == f"images/im{first + 1:04d}.jpg"
    chosen = [index for index in range(first, first + 1000) if index != first + 5]
    points = joints[:2, :, chosen].transpose(2, 1, 0) - 1
    np.testing.assert_allclose(labels.part[:, :14, :2], points, rtol=1e-5, atol=1e-5)
    assert (labels.part[:, :14, 2] == 1).all()
    assert not labels.part[:, 14:].any()
    low, high = points.min(1), points.max(1)
    np.testing.assert_allclose(labels.center, (low + high) / 2, rtol=1e-5)
    np.testing.assert_allclose(labels.scale, 1.2 * (high - low).max(1) / 200, rtol=1e-5)


def test_the_one_set_is_not_taken_for_the_other(tmp_path: Path) -> None:
    savemat(tmp_path / "joints.mat", {"joints": np.ones((14, 3, 3))})
    with pytest.raises(UserError, match="source=lsp_extended"):
        convert_lsp(tmp_path, tmp_path / "lsp.npz")
    savemat(tmp_path / "joints.mat", {"joints": np.ones((3, 14, 3))})
    with pytest.raises(UserError, match="source=lsp"):
        convert_extended(tmp_path, tmp_path / "lsp.npz")
    (tmp_path / "joints.mat").unlink()
    with pytest.raises(UserError, match=r"there is no .*joints\.mat"):
        convert_lsp(tmp_path, tmp_path / "lsp.npz")
    assert not (tmp_path / "lsp.npz").exists()
