"""The rendered dataset in tests: its reference configuration, and what its labels say of the pixels."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from hmr_light.body import SMPL
from hmr_light.config.strict import typed
from hmr_light.data.annotations import Annotations
from hmr_light.data.synthetic import SyntheticConfig
from hmr_light.data.synthetic.config import SplitCounts
from hmr_light.geometry import axis_angle_to_matrix
from hmr_light.paths import conf_dir

COUNTS = SplitCounts(train=24, val=8, test=8, test_ood=8)


# A T-pose of unit-free but human proportions, metres: x left, y up, z front.
REST = np.array(
    [
        *([0, 0, 0], [0.07, -0.09, 0], [-0.07, -0.09, 0], [0, 0.11, -0.02], [0.1, -0.47, 0], [-0.1, -0.47, 0]),
        *([0, 0.24, -0.02], [0.09, -0.87, -0.03], [-0.09, -0.87, -0.03], [0, 0.3, -0.01], [0.11, -0.93, 0.09]),
        *([-0.11, -0.93, 0.09], [0, 0.5, -0.03], [0.08, 0.41, -0.02], [-0.08, 0.41, -0.02], [0, 0.58, 0]),
        *([0.18, 0.43, -0.02], [-0.18, 0.43, -0.02], [0.44, 0.43, -0.02], [-0.44, 0.43, -0.02], [0.7, 0.43, -0.02]),
        *([-0.7, 0.43, -0.02], [0.78, 0.43, -0.02], [-0.78, 0.43, -0.02]),
    ]
)


def reference_config(**changes: object) -> SyntheticConfig:
    values = OmegaConf.to_container(OmegaConf.load(conf_dir() / "source" / "synthetic.yaml"), resolve=False)
    assert isinstance(values, dict)
    del values["name"], values["out"]
    return replace(typed(SyntheticConfig, values), **changes)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def described_mesh(labels: Annotations, index: int, body: SMPL) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (V, 2) of the mesh, and pixels (49, 2) of the joints, as one row of the annotations describes them."""
    with torch.no_grad():
        output = body(
            axis_angle_to_matrix(torch.tensor(labels.pose[index].reshape(1, 24, 3))),
            torch.tensor(labels.shape[index])[None],
        )
    extras = labels.extras

    def project(points: torch.Tensor) -> np.ndarray:
        camera = points[0].double().numpy() + extras["camera_translation"][index]
        return extras["focal"][index] * camera[:, :2] / camera[:, 2:] + extras["principal_point"][index]

    return project(output.vertices), project(output.joints)


def covered_pixels(pixels: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """Which pixel centres lie in a triangle, by the signs of the three edge functions, in float64."""
    corners = pixels[faces]
    low = np.ceil(corners.min(1)).astype(int)
    span = np.floor(corners.max(1)).astype(int) - low
    edges = np.roll(corners, -1, axis=1) - corners
    mask = np.zeros((size, size), bool)
    for dy in range(span[:, 1].max() + 1):
        for dx in range(span[:, 0].max() + 1):
            near = ((dx, dy) <= span).all(1)
            point = low[near] + (dx, dy)
            offset = point[:, None] - corners[near]
            side = edges[near, :, 0] * offset[..., 1] - edges[near, :, 1] * offset[..., 0]
            inside = (side >= 0).all(1) | (side <= 0).all(1)
            x, y = point[inside & ((point >= 0) & (point < size)).all(1)].T
            mask[y, x] = True
    return mask


def undressed(config: SyntheticConfig) -> SyntheticConfig:
    """People in nothing that stands off the body, alone, with nothing in front."""
    people = replace(config.people, skirt=0.0, coat=0.0, loose=0.0, hair_m=(0.0, 0.0))
    return replace(config, people=people, scene=replace(config.scene, seat=0.0, second_person=0.0, occlusion=0.0))


def flux(points: np.ndarray, normals: np.ndarray, faces: np.ndarray) -> tuple[float, float]:
    """The volume (m3) that a closed surface holds, and the share of its area whose normals look outward."""
    corners = points[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    outward = np.einsum("fk,fk->f", area, normals[faces].mean(1)) > 0
    size = np.linalg.norm(area, axis=1)
    return float((area * corners.mean(1)).sum() / 3), float(size[outward].sum() / size.sum())
