"""The body layer against linear blend skinning written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.body import load_body
from hmr_light.body.files import EMBEDDED_BODY, read_body
from hmr_light.body.joints import SMPL_FLIP, SMPL_PARENTS, SPIN_JOINTS_49
from hmr_light.body.smpl import SMPL
from hmr_light.errors import UserError

PICKED = (
    332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787, 2746, 2319, 2445, 2556, 2673, 6191, 5782, 5905,
    6016, 6133,
)  # fmt: skip


@pytest.fixture(scope="module")
def body():
    return load_body()


def random_rotations(seed: int, count: int) -> np.ndarray:
    return Rotation.random(count * 24, random_state=seed).as_matrix().reshape(count, 24, 3, 3)


def skinned(arrays: dict[str, np.ndarray], rotations: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and the 54 joints of one person, from SMPL's paper, in float64."""
    arrays = {key: array.astype(np.float64) for key, array in arrays.items()}
    shaped = arrays["v_template"] + arrays["shapedirs"] @ betas
    rest = arrays["J_regressor"] @ shaped
    feature = (rotations[1:] - np.eye(3)).reshape(-1)
    shaped = shaped + arrays["posedirs"] @ feature
    world = [np.vstack([np.c_[rotations[0], rest[0]], [0, 0, 0, 1]])]
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        local = np.vstack([np.c_[rotations[joint], rest[joint] - rest[parent]], [0, 0, 0, 1]])
        world.append(world[parent] @ local)
    vertices = np.zeros_like(shaped)
    for joint, transform in enumerate(world):
        moved = (shaped - rest[joint]) @ transform[:3, :3].T + transform[:3, 3]
        vertices += arrays["weights"][:, joint, None] * moved
    kinematic = np.stack([transform[:3, 3] for transform in world])
    return vertices, np.concatenate([kinematic, vertices[list(PICKED)], arrays["J_regressor_extra"] @ vertices])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_vertices_and_49_joints_agree_with_float64_skinning(body, seed):
    rng = np.random.default_rng(seed)
    arrays = read_body(EMBEDDED_BODY)
    arrays["posedirs"] = rng.normal(0, 1e-3, arrays["posedirs"].shape).astype(np.float32)
    rotations, betas = random_rotations(seed, 2), rng.normal(size=(2, 10))
    output = SMPL(arrays, "test")(torch.tensor(rotations), torch.tensor(betas))
    for person in range(2):
        vertices, joints = skinned(arrays, rotations[person], betas[person])
        np.testing.assert_allclose(output.vertices[person], vertices, atol=5e-6)
        np.testing.assert_allclose(output.joints[person], joints[list(SPIN_JOINTS_49)], atol=5e-6)


def test_human36m_joints_are_the_regressor_times_the_vertices(body):
    rotations = torch.tensor(random_rotations(4, 3), dtype=torch.float32)
    vertices = body(rotations, torch.randn(3, 10, generator=torch.Generator().manual_seed(4))).vertices
    expected = np.einsum("jv,bvd->bjd", read_body(EMBEDDED_BODY)["J_regressor_h36m"].astype(float), vertices.double())
    np.testing.assert_allclose(body.h36m_joints(vertices), expected, atol=1e-6)


@pytest.mark.parametrize("seed", [5, 6])
def test_mirrored_pose_gives_the_mirrored_body(body, seed):
    reflect = np.diag([-1.0, 1.0, 1.0])
    rotations = random_rotations(seed, 1)
    mirrored = reflect @ rotations[:, list(SMPL_FLIP)] @ reflect
    betas = torch.randn(1, 10, generator=torch.Generator().manual_seed(seed))
    one = body(torch.tensor(rotations), betas).vertices[0].numpy()
    other = body(torch.tensor(mirrored), betas).vertices[0].numpy() * [-1, 1, 1]
    # The same set of points, the order aside: equal when sorted along any direction.
    for direction in np.random.default_rng(seed).normal(size=(5, 3)):
        np.testing.assert_allclose(np.sort(one @ direction), np.sort(other @ direction), atol=1e-5)


def test_checkpoints_never_contain_the_body(body):
    assert body.state_dict() == {}
    assert not list(body.parameters())
    body.load_state_dict({})


def test_body_keeps_its_precision_under_autocast(body):
    rotations, betas = torch.tensor(random_rotations(7, 2), dtype=torch.float32), torch.ones(2, 10)
    expected = body(rotations, betas)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = body(rotations, betas)
        joints = body.h36m_joints(output.vertices)
    assert output.vertices.dtype == joints.dtype == torch.float32
    assert torch.equal(output.vertices, expected.vertices)
    assert torch.equal(output.joints, expected.joints)


def test_gradients_reach_pose_and_shape(body):
    rotations = torch.tensor(random_rotations(8, 1), dtype=torch.float32, requires_grad=True)
    betas = torch.zeros(1, 10, requires_grad=True)
    body(rotations, betas).joints[0, :25].square().sum().backward()
    assert rotations.grad is not None
    assert betas.grad is not None
    assert rotations.grad[0, 0].abs().sum() > 0
    assert (betas.grad.abs() > 0).all()


def test_loading_prints_nothing(capsys):
    load_body()
    assert capsys.readouterr() == ("", "")


def test_fingerprint_is_of_the_content_not_of_the_file(body, tmp_path):
    arrays = read_body(EMBEDDED_BODY)
    np.savez(tmp_path / "copy.npz", **arrays)
    copy = load_body(tmp_path / "copy.npz")
    assert copy.fingerprint == body.fingerprint
    assert (body.name, copy.name) == ("embedded", "copy")
    arrays["v_template"][0, 0] += 1e-3
    assert SMPL(arrays, "other").fingerprint != body.fingerprint


def test_smpls_regressors_are_refused_for_the_embedded_body(tmp_path):
    with pytest.raises(UserError, match="own joint regressors"):
        load_body(extra_regressor=tmp_path / "J_regressor_extra.npy")
