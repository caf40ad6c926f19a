"""The embedded body: a closed, symmetric, plausible person in SMPL's format."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch
from smplx.body_models import SMPLLayer
from smplx.utils import Struct
from smplx.vertex_ids import vertex_ids

from hmr_light.body.files import EMBEDDED_BODY, read_body
from hmr_light.body.joints import EXTRA_NAMES, H36M_NAMES, JOINT_NAMES_24_SMPL, SMPL_FLIP


@pytest.fixture(scope="module")
def body():
    return read_body(EMBEDDED_BODY)


@pytest.fixture(scope="module")
def mirror(body):
    """Each vertex's mirror image, found by position."""
    index = {tuple(point): number for number, point in enumerate(body["v_template"].tolist())}
    return np.array([index[(-x or 0.0, y, z)] for x, y, z in body["v_template"].tolist()])


def joint(body, name):
    return body["J_regressor"][JOINT_NAMES_24_SMPL.index(name)] @ body["v_template"]


def test_file_has_smpls_counts_and_is_small(body):
    assert body["v_template"].shape == (6890, 3)
    assert body["f"].shape == (13776, 3)
    assert body["shapedirs"].shape == (6890, 3, 10)
    assert EMBEDDED_BODY.stat().st_size < 1_500_000


def test_mesh_is_one_closed_surface_of_genus_zero(body):
    faces = body["f"]
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges, counts = np.unique(directed, axis=0, return_counts=True)
    assert (counts == 1).all()  # each edge once in each direction: manifold and consistently oriented
    assert {tuple(edge) for edge in edges.tolist()} == {(b, a) for a, b in edges.tolist()}
    assert 6890 - len(edges) // 2 + len(faces) == 2

    reached = np.zeros(6890, bool)
    reached[0] = True
    while (grown := reached[edges].any(1)).any() and not reached[edges[grown]].all():
        reached[edges[grown].ravel()] = True
    assert reached.all()  # one piece, every vertex used


def test_faces_look_outwards_and_none_is_degenerate(body):
    a, b, c = (body["v_template"][body["f"][:, i]].astype(float) for i in range(3))
    volume = np.einsum("fi,fi->", a, np.cross(b, c)) / 6
    assert 0.05 < volume < 0.12  # m³, a person
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 0


def test_body_is_exactly_symmetric(body, mirror):
    flip = np.array([-1, 1, 1], np.float32)
    assert np.array_equal(body["shapedirs"][mirror], body["shapedirs"] * flip[:, None])
    assert np.array_equal(body["weights"][mirror][:, SMPL_FLIP], body["weights"])
    faces = {frozenset(face) for face in body["f"].tolist()}
    assert {frozenset(face) for face in mirror[body["f"]].tolist()} == faces
    joints = body["J_regressor"].astype(float) @ body["v_template"]
    np.testing.assert_allclose(joints[list(SMPL_FLIP)], joints * flip, atol=1e-6)


def test_skin_weights_are_shares(body):
    assert body["weights"].min() >= 0
    assert np.array_equal(body["weights"].sum(1), np.ones(6890))
    assert (body["weights"].max(0) == 1).sum() >= 8  # limbs have parts that move with one joint alone


@pytest.mark.parametrize("key", ["J_regressor", "J_regressor_extra", "J_regressor_h36m"])
def test_joint_regressors_sum_to_one(body, key):
    np.testing.assert_allclose(body[key].sum(1), 1, atol=1e-5)


def test_regressors_of_posed_meshes_have_no_negative_weight(body):
    assert body["J_regressor_extra"].min() >= 0
    assert body["J_regressor_h36m"].min() >= 0


def test_t_pose_is_upright_faces_forward_and_has_left_at_plus_x(body):
    height = np.ptp(body["v_template"][:, 1])
    assert 1.55 < height < 1.8
    np.testing.assert_allclose(joint(body, "pelvis"), 0, atol=2e-3)
    assert joint(body, "head")[1] > joint(body, "spine3")[1] > joint(body, "pelvis")[1] > joint(body, "left_knee")[1]
    assert joint(body, "left_foot")[2] > joint(body, "left_ankle")[2] + 0.08
    for parent, child in (("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("left_wrist", "left_hand")):
        bone = joint(body, child) - joint(body, parent)
        np.testing.assert_allclose(bone / np.linalg.norm(bone), [1, 0, 0], atol=0.02)


def test_smplx_landmarks_are_on_the_right_places(body):
    at = {name: body["v_template"][number] for name, number in vertex_ids["smplh"].items()}
    head = joint(body, "head")
    assert abs(at["nose"][0]) < 1e-3
    assert at["nose"][2] == max(point[2] for name, point in at.items() if name in ("nose", "leye", "lear", "reye"))
    assert 0.02 < at["leye"][0] < 0.045
    assert at["leye"][1] > at["nose"][1] + 0.01
    assert 0.06 < at["lear"][0] < 0.09
    assert abs(at["lear"][1] - at["nose"][1]) < 0.05
    assert at["lear"][2] < at["leye"][2] - 0.05
    assert all(point[1] > head[1] for name, point in at.items() if name in ("nose", "leye", "lear"))

    vertices = body["v_template"]
    feet = vertices[(vertices[:, 1] < joint(body, "left_ankle")[1]) & (vertices[:, 0] > 0)]
    assert at["LBigToe"][2] > feet[:, 2].max() - 0.01
    assert at["LHeel"][2] < feet[:, 2].min() + 0.01
    assert at["LBigToe"][0] < at["LSmallToe"][0]
    assert at["LSmallToe"][2] > joint(body, "left_foot")[2]

    tips = [at[f"l{finger}"] for finger in ("thumb", "index", "middle", "ring", "pinky")]
    assert at["lmiddle"][0] > vertices[:, 0].max() - 0.01
    assert [tip[2] for tip in tips] == sorted((tip[2] for tip in tips), reverse=True)  # thumb in front, palm down
    for left, right in (("leye", "reye"), ("lear", "rear"), ("LHeel", "RHeel"), ("lthumb", "rthumb")):
        np.testing.assert_array_equal(at[left] * [-1, 1, 1], at[right])


def test_extra_and_human36m_joints_are_on_the_right_places(body):
    extra = dict(zip(EXTRA_NAMES, body["J_regressor_extra"] @ body["v_template"], strict=True))
    h36m = dict(zip(H36M_NAMES, body["J_regressor_h36m"] @ body["v_template"], strict=True))
    order = [
        extra[name][1] for name in ("pelvis_mpii", "spine_h36m", "thorax_mpii", "neck_lsp", "jaw_h36m", "head_top")
    ]
    assert order == sorted(order)
    assert extra["head_top"][1] > body["v_template"][:, 1].max() - 0.03
    for name in ("left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow", "left_wrist"):
        assert np.linalg.norm(h36m[name] - joint(body, name)) < 0.01, name
        np.testing.assert_allclose(h36m[name] * [-1, 1, 1], h36m[name.replace("left", "right")], atol=1e-6)


@pytest.mark.parametrize("seed", [11, 12])
def test_people_of_random_betas_are_adults_with_joints_inside(body, seed):
    betas = np.random.default_rng(seed).normal(size=(50, 10)).clip(-2.5, 2.5)
    people = body["v_template"] + np.einsum("vdk,sk->svd", body["shapedirs"], betas)
    heights = np.ptp(people[:, :, 1], axis=1)
    assert heights.min() > 1.3
    assert heights.max() < 2.1
    assert 0.06 < heights.std() < 0.14
    joints = np.einsum("jv,svd->sjd", body["J_regressor"], people)
    assert (joints.max(1) < people.max(1)).all()
    assert (joints.min(1) > people.min(1)).all()
    thigh = np.linalg.norm(joints[:, 4] - joints[:, 1], axis=-1)
    assert thigh.min() > 0.25
    assert thigh.max() < 0.6


def test_raw_file_works_in_plain_smplx():
    with np.load(EMBEDDED_BODY, allow_pickle=False) as file, contextlib.redirect_stdout(io.StringIO()):
        layer = SMPLLayer("", data_struct=Struct(**file))
    posed = layer(betas=torch.zeros(1, 10))
    np.testing.assert_allclose(posed.vertices[0], layer.v_template, atol=1e-5)
    assert posed.joints.shape == (1, 45, 3)
