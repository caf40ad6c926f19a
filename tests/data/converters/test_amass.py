"""The AMASS converter, on motions of the SMPL+H and SMPL-X editions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hmr_light.data.converters.amass import convert
from hmr_light.errors import UserError


@pytest.mark.parametrize("seed", [51, 52])
def test_poses_are_the_root_and_body_thinned_by_each_motions_own_rate(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = tmp_path / "amass"
    (root / "CMU" / "01").mkdir(parents=True)
    (root / "SSM").mkdir()
    old = rng.normal(size=(121, 156))
    np.savez(
        root / "CMU" / "01" / "01_poses.npz", poses=old, trans=np.zeros((121, 3)), betas=np.arange(16.0),
        dmpls=np.zeros((121, 8)), gender=np.array("female"), mocap_framerate=np.array(120.0),
    )  # fmt: skip
    np.savez(root / "CMU" / "01" / "shape.npz", betas=np.zeros(16), gender="female")
    new = rng.normal(size=(30, 165))
    np.savez(
        root / "SSM" / "walk_stageii.npz", root_orient=new[:, :3], pose_body=new[:, 3:66], pose_hand=new[:, 75:],
        betas=-np.arange(16.0), gender=np.array(b"male"), mocap_frame_rate=60.0, surface_model_type="smplx",
        labels_obs=np.array([["a", None]], object),
    )  # fmt: skip
    summary = convert(root, tmp_path / "amass.npz", rate_hz=10)
    assert (summary.kept, summary.dropped, summary.images) == (11 + 5, {"files without a motion": 1}, None)
    assert "16 poses kept" in str(summary)
    with np.load(tmp_path / "amass.npz", allow_pickle=False) as file:
        assert file["pose"].dtype == np.float32
        expected = np.zeros((16, 72))
        expected[:11, :66], expected[11:, :66] = old[::12, :66], new[::6, :66]
        np.testing.assert_allclose(file["pose"], expected, rtol=1e-6)
        np.testing.assert_array_equal(file["shape"], [np.arange(10)] * 11 + [-np.arange(10)] * 5)
        assert file["gender"].tolist() == ["f"] * 11 + ["m"] * 5
        assert file["sequences"][file["sequence"]].tolist() == ["CMU/01/01_poses"] * 11 + ["SSM/walk_stageii"] * 5


def motion(path: Path, **changes: object) -> None:
    arrays = {"poses": np.zeros((4, 156)), "betas": np.zeros(16), "gender": "male", "mocap_framerate": 60.0}
    np.savez(path, **(arrays | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"poses": np.zeros((4, 60))},
        {"poses": np.array([{"a": 1}])},
        {"gender": np.array([])},
        {"betas": np.array("none")},
        {"poses": np.full((4, 156), np.nan)},
    ],
)
def test_damaged_motions_are_refused_and_nothing_is_written(tmp_path: Path, changes: dict[str, object]) -> None:
    motion(tmp_path / "a.npz", **changes)
    with pytest.raises(UserError):
        convert(tmp_path, tmp_path / "out" / "amass.npz")
    assert not (tmp_path / "out").exists()


def test_nothing_to_convert_and_existing_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no motions"):
        convert(tmp_path, tmp_path / "amass.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(UserError, match=r"broken\.npz is not laid out"):
        convert(tmp_path, tmp_path / "amass.npz")
    (tmp_path / "amass.npz").write_text("precious")
    with pytest.raises(UserError, match="exists already"):
        convert(tmp_path, tmp_path / "amass.npz")
    with pytest.raises(UserError, match="is not a rate"):
        convert(tmp_path, tmp_path / "other.npz", rate_hz=0)
