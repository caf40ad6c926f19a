from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.synthetic import reference_config

from hmr_light.body import load_body
from hmr_light.data.synthetic.amass import amass_files, amass_pose
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sample import Renderer
from hmr_light.data.synthetic.sources import SPLITS, share_of_split
from hmr_light.errors import UserError


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Twelve AMASS files of SMPL+H: people who stand (z up), each with a knee bent by as many degrees as its number."""
    for number in range(12):
        poses = np.zeros((90, 156))
        poses[:, :3] = Rotation.from_euler("x", 90, degrees=True).as_rotvec()
        poses[:, 4 * 3] = np.radians(number)
        folder = tmp_path / "amass" / f"subject{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"walk{number}_poses.npz", poses=poses, mocap_framerate=60.0, betas=np.zeros(16))
        np.savez(folder / "shape.npz", betas=np.zeros(16))
    return tmp_path / "amass"


def test_splits_share_no_file(recordings: Path) -> None:
    files = amass_files(str(recordings))
    assert len(files) == 12
    shares = [share_of_split(files, split) for split in SPLITS]
    assert sum(len(share) for share in shares) == len(set().union(*shares)) == 12
    assert min(len(share) for share in shares) == 1
    assert max(len(share) for share in shares) == 9


def test_recorded_people_stand_upright_with_their_own_joints(recordings: Path) -> None:
    config = reference_config(size=64)
    config = replace(config, poses=replace(config.poses, amass=str(recordings)))
    renderer = Renderer(config, Mesh.of(load_body()))
    bent = set()
    for index in range(0, 80, 4):
        pose = renderer.pose("train", index)
        assert np.allclose(pose.rotations[0], np.eye(3), atol=1e-9)  # z up has become y up
        bent.add(round(np.degrees(Rotation.from_matrix(pose.rotations[4]).magnitude())))
        labels = renderer.sample("train", index).labels
        up = labels["S"][12, :3] - labels["S"][14, :3]
        assert -up[1] > 0.5 * np.linalg.norm(up)
        assert labels["archetype"] == "amass"
    assert len(bent) > 4


def test_a_clip_moves_through_a_recording(tmp_path: Path) -> None:
    poses = np.zeros((240, 165))
    poses[:, 3 * 18] = np.linspace(0, 2, 240)
    np.savez(tmp_path / "a_stageii.npz", poses=poses, mocap_frame_rate=60.0)
    turns = [
        amass_pose(np.random.default_rng(3), time, [tmp_path / "a_stageii.npz"]).rotations[18]
        for time in (0.125, 0.375, 0.625)
    ]
    gaps = [Rotation.from_matrix(a.T @ b).magnitude() for a, b in pairwise(turns)]
    assert np.allclose(gaps, 0.25 * 120 * 2 / 239, atol=1e-6)


def test_faulty_recordings_are_named(recordings: Path) -> None:
    bad = recordings / "subject0" / "bad_poses.npz"
    bad.write_bytes(b"not a zip")
    with pytest.raises(UserError, match="bad_poses"):
        amass_files(str(recordings))
    np.savez(bad, poses=np.zeros((5, 9)))
    with pytest.raises(UserError, match="bad_poses"):
        amass_pose(np.random.default_rng(0), 0.5, [bad])
    with pytest.raises(UserError, match=r"poses\.amass"):
        amass_files(str(recordings / "nowhere"))
