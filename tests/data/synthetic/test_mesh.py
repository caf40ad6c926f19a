from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.body import SMPL, load_body
from hmr_light.data.synthetic.mesh import Mesh


@pytest.fixture(scope="module")
def body() -> SMPL:
    return load_body()


@pytest.fixture(scope="module")
def body_with_correctives() -> SMPL:
    """The embedded body with pose blend shapes of random numbers, as a real SMPL has some."""
    smpl = load_body()
    rng = np.random.default_rng(3)
    smpl.layer.posedirs = torch.from_numpy(rng.normal(0, 2e-3, tuple(smpl.layer.posedirs.shape)).astype(np.float32))
    return smpl


@pytest.mark.parametrize("which", ["body", "body_with_correctives"])
@pytest.mark.parametrize("seed", range(3))
def test_posing_agrees_with_the_body_layer(which: str, seed: int, request: pytest.FixtureRequest) -> None:
    smpl: SMPL = request.getfixturevalue(which)
    rng = np.random.default_rng(seed)
    rotations = Rotation.from_rotvec(rng.normal(0, 0.6, (24, 3))).as_matrix()
    betas = rng.normal(0, 1.2, 10)
    person = Mesh.of(smpl).pose(rotations, betas)
    with torch.no_grad():
        expected = smpl(torch.from_numpy(rotations)[None].float(), torch.from_numpy(betas)[None].float())
    assert np.abs(person.vertices + person.pelvis - expected.vertices[0].numpy()).max() < 1e-5, f"seed {seed}"
    assert np.abs(person.joints + person.pelvis - expected.joints[0].numpy()).max() < 1e-5, f"seed {seed}"


def test_normals_point_outward(body: SMPL) -> None:
    """The flux of the position through a closed surface is three times its volume, and a person's is some 70 litres."""
    mesh = Mesh.of(body)
    person = mesh.pose(np.broadcast_to(np.eye(3), (24, 3, 3)), np.zeros(10))
    assert np.allclose(np.linalg.norm(person.normals, axis=1), 1, atol=1e-4)
    corners = person.vertices[mesh.faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    volume = (area * corners.mean(1)).sum() / 3
    assert 0.03 < volume < 0.15
    assert (np.einsum("fk,fk->f", area, person.normals[mesh.faces].mean(1)) > 0).mean() > 0.99
