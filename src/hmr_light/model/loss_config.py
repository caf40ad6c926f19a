"""The choices of a loss; apart from the losses so that it can be checked without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from hmr_light.errors import UserError, did_you_mean

NORMS = ("mse", "l1")
TERMS = ("keypoints_2d", "keypoints_3d", "pose", "betas", "vertices", "camera")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms, and how errors are measured; see `conf/loss/`."""

    name: str
    norm: str
    """mse or l1: the error of the keypoints, pose and betas; vertices are always l1."""
    keypoints_2d: float
    """2D keypoints, projected onto the crop (-1…1), by confidence."""
    keypoints_3d: float
    """3D joints relative to the mid-hip, metres, by confidence; samples that have them."""
    pose: float
    """Rotation matrices; samples that have an SMPL fit, as for betas and vertices."""
    betas: float
    vertices: float
    camera: float
    """Keeps the camera's scale positive."""
    total: float
    """Factor of every term."""
    openpose_weight: float
    """Factor of the confidence of the 25 OpenPose keypoints."""
    gt_weight: float
    """Factor of the confidence of the other 24."""

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise UserError(f"loss.norm={self.norm} is not a choice", did_you_mean(str(self.norm), NORMS))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("name", "norm") and not (0 <= value < math.inf):
                raise UserError(f"loss.{field.name}={value} is not a weight", "Give a number of at least 0.")

    def term_weights(self) -> dict[str, float]:
        """The factors of the terms that count, by name; a term of weight 0 is not there, and not computed."""
        weights = {term: self.total * getattr(self, term) for term in TERMS}
        return {term: weight for term, weight in weights.items() if weight}
